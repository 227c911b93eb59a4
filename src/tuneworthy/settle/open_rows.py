"""Bound a pair of arms by its stream of differences, and make rows to export from clicks."""

from __future__ import annotations

from typing import Any

import numpy as np

from tuneworthy.core.case import Case, Query
from tuneworthy.core.settlement import PairwiseVote
from tuneworthy.data.copies import normalised_text
from tuneworthy.matrix.design import Design
from tuneworthy.settle.pairwise_votes import PairwiseVotes, ScoreRange, right_answer

Row = dict[str, Any]
NEW_INPUTS = Design.independent("copies of an input and rows of a group are drawn once")
_LEAST_NEW_ROWS = 50  # the fewest new rows that bets are sized for


class PairStream:
    """The bounds of one pair, updated row by row; the study's differences `scored` come first.

    `at` is the position of the next new input; on `apart` of the processed ones the answers differ.
    `scored` is empty unless the arms that answer now are the fits that were scored; the size of
    bets on them does not depend on their values.
    """

    def __init__(self, level: float, scored: np.ndarray, planned: int, pool: int) -> None:
        self.at, self.apart, self.bounds = 0, 0, NEW_INPUTS.stream(level)
        for value in scored:
            self.bounds.see(float(value), float(value), 2 * len(scored))
        more = min(pool, max(planned - len(scored), _LEAST_NEW_ROWS))
        self.planned = len(scored) + more

    def see(self, found: ScoreRange, apart: bool = True, wrong: float = 0.0) -> None:
        """Add the difference (least, most) on the next new input; `apart`: the answers differ.

        `wrong` is the share of votes that may be wrong: each turns a difference round.
        """
        self.bounds.see(*found, self.planned, 1 - 2 * wrong)
        self.at, self.apart = self.at + 1, self.apart + apart


def new_inputs(queries: list[Query], labelled: list[Case]) -> list[Query]:
    """Return the distinct inputs of `queries` that are not those of labelled rows or their groups.

    An arm may have learnt from a labelled row.
    """
    seen = {_input_key(case) for case in labelled}
    groups = {case.group for case in labelled if case.group is not None}
    new = []
    for query in queries:
        if (key := _input_key(query)) not in seen and query.group not in groups:
            seen.add(key)
            new.append(query)
    return new


def _input_key(row: Query | Case) -> str:
    return normalised_text("\n".join(message.content for message in row.messages))


def gold_rows(votes: PairwiseVotes, clicks: list[PairwiseVote], queries: list[Query]) -> list[Row]:
    """Return the right answers that the clicks give as rows for a next study, one per input."""
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
        if click.choice == "equal" and votes.normal_text(click.right) != votes.normal_text(right):
            row["accepted"] = [click.right]
        rows[click.input] = row
    return list(rows.values())
