"""The rows that settle a pair of arms, one after the other, and what is known of them so far."""

from __future__ import annotations

from typing import Any

import numpy as np

from tuneworthy.core.case import Case, Query
from tuneworthy.core.settlement import Click
from tuneworthy.data.copies import plain_key
from tuneworthy.settle.pairwise_votes import Ballot, Range, right_answer
from tuneworthy.stats.betting import Sequence

Row = dict[str, Any]
_LEAST = 50  # new rows that bets are sized for at least


class Stream:
    """The differences of one pair, row by row: those of the study first where they count.

    `at` is the place of the next new input; on `apart` of those seen the answers differ. Scored
    cases count where the arms that answer now are the arms that were scored: bets on them are
    sized without a look at them.
    """

    def __init__(self, level: float, scored: np.ndarray, planned: int, pool: int) -> None:
        self.at, self.apart, self.bounds = 0, 0, Sequence(level)
        for value in scored:
            self.bounds.see(float(value), float(value), 2 * len(scored))
        more = min(pool, max(planned - len(scored), _LEAST))
        self.planned = len(scored) + more

    def see(self, found: Range, apart: bool = True) -> None:
        """Take in the difference on the next new input; `apart`: the answers differ."""
        self.bounds.see(*found, self.planned)
        self.at, self.apart = self.at + 1, self.apart + apart


def fresh(queries: list[Query], labelled: list[Case]) -> list[Query]:
    """Return the inputs that no labelled row asks, each once: an arm may have learnt the others."""
    seen = {_asks(case) for case in labelled}
    out = []
    for query in queries:
        if (key := _asks(query)) not in seen:
            seen.add(key)
            out.append(query)
    return out


def _asks(row: Query | Case) -> str:
    return plain_key("\n".join(message.content for message in row.messages))


def gold_rows(ballot: Ballot, clicks: list[Click], queries: list[Query]) -> list[Row]:
    """Return the right answers that clicks gave, as rows for the next study, one an input."""
    by_id, found = {query.id: query for query in queries}, dict[str, Row]()
    for click in clicks:
        right = right_answer(click)
        if right is None or click.again or click.input in found or click.input not in by_id:
            continue
        query, meta = by_id[click.input], {"from": "settle"}
        if ballot.by_preference and click.choice != "typed":
            meta["right"] = "preferred"
        row: Row = {"input": query.input, "output": right, "meta": meta}
        if len(query.messages) > 1 or query.messages[0].role != "user":
            turns = [message.plain() for message in query.messages]
            turns.append({"role": "assistant", "content": right})
            row = {"messages": turns, "meta": meta}
        if click.choice == "equal" and ballot.says_text(click.right) != ballot.says_text(right):
            row["accepted"] = [click.right]
        found[click.input] = row
    return list(found.values())
