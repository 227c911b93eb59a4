"""The stream of differences that settles a pair of arms, and the rows to export from clicks."""

from __future__ import annotations

from typing import Any

import numpy as np

from tuneworthy.core.case import Case, Query
from tuneworthy.core.settlement import PairwiseVote
from tuneworthy.data.copies import normalised_text
from tuneworthy.settle.pairwise_votes import PairwiseVotes, Range, right_answer
from tuneworthy.stats.betting import ConfidenceSequence

Row = dict[str, Any]
_LEAST_NEW_ROWS = 50  # the fewest new rows that bets are sized for


class PairStream:
    """The differences of one pair, row by row, starting with those of the study if they count.

    `at` is the position of the next new input; on `apart` of the processed ones the answers differ.
    Scored cases count if the arms that answer now are the fits that were scored; the size of bets
    on them does not depend on their values.
    """

    def __init__(self, level: float, scored: np.ndarray, planned: int, pool: int) -> None:
        self.at, self.apart, self.bounds = 0, 0, ConfidenceSequence(level)
        for value in scored:
            self.bounds.see(float(value), float(value), 2 * len(scored))
        more = min(pool, max(planned - len(scored), _LEAST_NEW_ROWS))
        self.planned = len(scored) + more

    def see(self, found: Range, apart: bool = True) -> None:
        """Add the difference (least, most) on the next new input; `apart`: the answers differ."""
        self.bounds.see(*found, self.planned)
        self.at, self.apart = self.at + 1, self.apart + apart


def new_inputs(queries: list[Query], labelled: list[Case]) -> list[Query]:
    """Return the distinct inputs that no labelled row has, since an arm may have learnt those."""
    seen = {_input_key(case) for case in labelled}
    new = []
    for query in queries:
        if (key := _input_key(query)) not in seen:
            seen.add(key)
            new.append(query)
    return new


def _input_key(row: Query | Case) -> str:
    return normalised_text("\n".join(message.content for message in row.messages))


def gold_rows(votes: PairwiseVotes, clicks: list[PairwiseVote], queries: list[Query]) -> list[Row]:
    """Return the right answers from clicks as rows for the next study, one per input."""
    by_id, rows = {query.id: query for query in queries}, dict[str, Row]()
    for click in clicks:
        right = right_answer(click)
        if right is None or click.again or click.input in rows or click.input not in by_id:
            continue
        query, meta = by_id[click.input], {"from": "settle"}
        if votes.by_preference and click.choice != "typed":
            meta["right"] = "preferred"
        row: Row = {"input": query.input, "output": right, "meta": meta}
        if len(query.messages) > 1 or query.messages[0].role != "user":
            turns = [message.plain() for message in query.messages]
            turns.append({"role": "assistant", "content": right})
            row = {"messages": turns, "meta": meta}
        if click.choice == "equal" and votes.says_text(click.right) != votes.says_text(right):
            row["accepted"] = [click.right]
        rows[click.input] = row
    return list(rows.values())
