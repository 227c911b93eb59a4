"""Bound open pairs click by click: choose the next question and update the evidence.

The given arms are live ones in a session, or stored answers when a settled study is recomputed. The
same clicks in the same order give the same bounds. Knows no arm by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import numpy as np

from tuneworthy.matrix.design import Design
from tuneworthy.records.answer import Answer
from tuneworthy.records.case import Case, Query
from tuneworthy.records.evidence import Evidence, Pair, Policy
from tuneworthy.records.record import digest
from tuneworthy.records.settlement import (
    DrawnInput,
    EndReason,
    PairwiseVote,
    Settlement,
    SettlementLog,
    share_of_wrong_votes,
)
from tuneworthy.rows.copies import normalised_text
from tuneworthy.verdict.open_pairs import (
    OpenPair,
    PairNames,
    SettledPair,
    pairs_left_open,
    with_settled_bounds,
)
from tuneworthy.verdict.pairwise_votes import (
    PairwiseVotes,
    ScoreRange,
    VoteQuestion,
    agreement_of_repeats,
    right_answer,
)


class _SettlingArms(Protocol):
    """Protocol of a study's arms that answer new inputs, which stand in drawing order."""

    @property
    def size(self) -> int:
        """Return the number of new inputs."""

    def query(self, at: int) -> Query:
        """Return the new input that was drawn at position `at`."""

    def answer(self, name: str, at: int) -> Answer:
        """Return an arm's answer to the input drawn at position `at`."""

    def lacks_answers(self, name: str) -> bool:
        """Return whether an arm can't answer new inputs."""

    def are_scored_fits(self, names: Sequence[str]) -> bool:
        """Return whether the arms that answer new inputs are the fits that the study scored."""

    @property
    def scored_rows_are_independent(self) -> bool:
        """Return whether the study's distinct inputs are independent draws, which bets require."""

    def study_differences(self, one: str, other: str) -> np.ndarray:
        """Return the score differences of two arms on the study's inputs, in a random order."""


class SequentialSettling:
    """The open pairs of a study, with bounds that are valid after every click.

    `study` is its evidence; `pairs` are compared at the level of this look. `asked` is the open
    question; `ended` is the reason for the end, None while questions remain.
    """

    def __init__(
        self,
        study: Evidence,
        policy: Policy,
        arms: _SettlingArms,
        votes: PairwiseVotes,
        pairs: Sequence[Pair],
    ) -> None:
        self._study, self._policy, self._arms, self._votes = study, policy, arms, votes
        self._pairs = {(pair.arm, pair.versus): pair for pair in pairs}
        self._streams: dict[PairNames, PairStream] = {}
        self._drawn: dict[int, dict[str, Answer]] = {}
        self._now = study
        self.clicks: list[PairwiseVote] = []
        self.asked: VoteQuestion | None = None
        self.ended: EndReason | None = None
        self._answerable_pairs()
        self.left = [self._score_left()]

    def question(self) -> VoteQuestion | None:
        """Return the next pair of answers to vote on; None at the end."""
        if self.asked is None and self.ended is None:
            self.asked = self._next_question()
        return self.asked

    def take(self, *clicks: PairwiseVote) -> None:
        """Add a person's clicks one by one: each tightens bounds and decides the next question."""
        for click in clicks:
            self.question()
            self.clicks.append(click)
            self.asked = None
            self.question()
            self.left.append(self._score_left())

    def _next_question(self) -> VoteQuestion | None:
        """Add differences that need no click; return the first that needs one, or None."""
        while True:
            open_pairs = self._answerable_pairs()
            if not open_pairs:
                firm = pairs_left_open(self._now, self._policy)[0].status == "firm"
                self.ended = "firm" if firm else "elsewhere"
                return None
            open_pair = min(open_pairs, key=lambda each: self._streams[each.names].at)
            stream = self._streams[open_pair.names]
            if stream.at >= self._arms.size:
                self.ended = "pool"
                return None
            query = self._arms.query(stream.at)
            first, second = (self._draw_answer(name, stream.at) for name in open_pair.names)
            clicks = [click for click in self.clicks if click.input == query.id]
            difference_range = self._votes.difference(query, first, second, clicks)
            if difference_range is None:
                return self._due_repeat() or self._votes.question(query, first, second)
            stream.see(
                difference_range,
                self._votes.normal_form(first) != self._votes.normal_form(second),
                share_of_wrong_votes(*agreement_of_repeats(self.clicks)),
            )
            self._now = self._evidence_so_far()

    def _draw_answer(self, name: str, at: int) -> Answer:
        answer = self._arms.answer(name, at)
        self._drawn.setdefault(at, {})[name] = answer
        return answer

    def _due_repeat(self) -> VoteQuestion | None:
        """Return an earlier question to repeat now, its sides swapped; None if none is due."""
        drawn_queries = {query.id: query for query in map(self._arms.query, self._drawn)}
        for old in self._votes.repeats(self.clicks):
            if old.input in drawn_queries:  # else the file of inputs has changed
                return VoteQuestion(drawn_queries[old.input], old.right, old.left, again=True)
        return None

    def _answerable_pairs(self) -> list[OpenPair]:
        """Return the open pairs whose arms can answer new inputs; starts a stream for each."""
        while True:
            open_pairs = [
                open_pair
                for open_pair in pairs_left_open(self._now, self._policy)[1]
                if self._can_answer(open_pair)
            ]
            new = [open_pair for open_pair in open_pairs if open_pair.names not in self._streams]
            if not new:
                return open_pairs
            for open_pair in new:
                self._streams[open_pair.names] = self._start_stream(open_pair)
            self._now = self._evidence_so_far()

    def _can_answer(self, open_pair: OpenPair) -> bool:
        return not any(self._arms.lacks_answers(name) for name in open_pair.names)

    def _start_stream(self, open_pair: OpenPair) -> PairStream:
        pair, pool, kind = (
            self._pairs[open_pair.names],
            self._arms.size,
            self._points_kind(open_pair.names),
        )
        scored = self._arms.study_differences(*open_pair.names) if kind == "all" else np.array([])
        limit = len(scored) + pool
        planned = limit if kind == "preference" else open_pair.planned_rows(pair, limit)
        level = min(pair.level, pair.low_level or pair.level)  # either bound may close the pair
        return PairStream(level, scored, planned, pool)

    def _points_kind(self, names: PairNames) -> Literal["new", "all", "preference"]:
        if self._votes.by_preference:
            return "preference"
        counted = self._arms.are_scored_fits(names) and self._arms.scored_rows_are_independent
        return "all" if counted else "new"

    def _evidence_so_far(self) -> Evidence:
        """Return the study's evidence; pairs with a stream have the bounds reached by now."""
        opened = {names for a, b in self._streams for names in ((a, b), (b, a))}
        pairs = tuple(
            self._pairs.get((pair.arm, pair.versus), pair)
            if (pair.arm, pair.versus) in opened else pair
            for pair in self._study.pairs
        )  # fmt: skip
        tightened_pairs = {}
        for names, stream in self._streams.items():
            bounds = stream.bounds
            tightened_pairs[names] = SettledPair(
                **{key: getattr(bounds, key) for key in ("n", "wins", "losses", "differ")},
                apart=stream.apart, mean=bounds.mean, low=bounds.low, high=bounds.high,
                points=self._points_kind(names),
            )  # fmt: skip
        return with_settled_bounds(self._study.model_copy(update={"pairs": pairs}), tightened_pairs)

    def _score_left(self) -> float | None:
        return pairs_left_open(self._now, self._policy)[0].left

    def clicks_left(self) -> int | None:
        """Return roughly how many more clicks are needed by the slowest pair; None if unknown."""
        clicks = [0]
        for open_pair in self._answerable_pairs() if self.ended is None else ():
            stream, kind = self._streams[open_pair.names], self._points_kind(open_pair.names)
            before = (
                self._arms.study_differences(*open_pair.names) if kind == "new" else np.array([])
            )
            targets = (open_pair.margin - open_pair.shift, -open_pair.shift)[
                : 1 if open_pair.margin < 0 else 2
            ]
            rows = stream.bounds.rows_left(targets, before, stream.planned)
            if rows > 100 * self._arms.size:
                return None
            clicks.append(max(1, round(rows * self._share_answered_differently(open_pair.names))))
        return max(clicks)

    def _share_answered_differently(self, names: PairNames) -> float:
        """Return the share of inputs on which the answers of two arms differ."""
        stream, before = self._streams[names], self._pairs[names]
        return (stream.apart + (before.apart or 0)) / max(1, stream.at + before.n)

    def evidence(self, look: int, ended: EndReason | None) -> Evidence:
        """Return evidence with the bounds reached, and how settling went; `look` is its ordinal."""
        settled = self._settlement(look, ended or "stopped")
        return self._now.model_copy(
            update={
                "settled": settled,
                "looks": look,
                "pool": self._arms.size - settled.inputs,
                "hash": evidence_hash_after_settling(self._study.hash, settled, self.clicks),
            }
        )

    def _settlement(self, look: int, ended: EndReason) -> Settlement:
        agreed, again = agreement_of_repeats(self.clicks)
        first = [click for click in self.clicks if not click.again]
        return Settlement(
            look=look,
            inputs=max((stream.at for stream in self._streams.values()), default=0),
            differing=len({click.input for click in first}),
            clicks=len(self.clicks),
            skipped=sum(click.choice == "skip" for click in first),
            again=again,
            agreed=agreed,
            points="preference" if self._votes.by_preference else "score",
            left=(self.left[0], self.left[-1]),
            ended=ended,
        )

    def course(self) -> SettlementLog:
        """Return the record from which settling can be repeated with stored answers alone."""
        names = (arm.name for arm in self._study.arms)
        return SettlementLog(
            looks=self._study.looks,
            pool=self._study.pool,
            new=self._arms.size,
            mute=tuple(name for name in names if self._arms.lacks_answers(name)),
            drawn=tuple(
                DrawnInput(query=self._arms.query(at), answers=answers)
                for at, answers in sorted(self._drawn.items())
            ),
            clicks=tuple(self.clicks),
        )


def evidence_hash_after_settling(
    study: str, settled: Settlement, clicks: Sequence[PairwiseVote]
) -> str:
    """Return the evidence hash of a settled study, from the study's hash and the clicks."""
    return digest([study, settled.plain(), [click.plain() for click in clicks]])


Row = dict[str, Any]

_NEW_INPUTS_DESIGN = Design.independent("copies of an input and rows of a group are drawn once")

_LEAST_NEW_ROWS = 50  # the fewest new rows that bets are sized for


class PairStream:
    """The bounds of one pair, updated row by row; the study's differences `scored` come first.

    `at` is the position of the next new input; on `apart` of the processed ones the answers differ.
    `scored` is empty unless the arms that answer now are the fits that were scored; the size of
    bets on them does not depend on their values.
    """

    def __init__(self, level: float, scored: np.ndarray, planned: int, pool: int) -> None:
        self.at, self.apart, self.bounds = 0, 0, _NEW_INPUTS_DESIGN.stream(level)
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
    """Return the inputs of `queries` without repeats, labelled rows' inputs and labelled groups.

    An arm may have learnt from a labelled row.
    """
    seen = {_normalised_input(case) for case in labelled}
    groups = {case.group for case in labelled if case.group is not None}
    new = []
    for query in queries:
        if (key := _normalised_input(query)) not in seen and query.group not in groups:
            seen.add(key)
            new.append(query)
    return new


def _normalised_input(row: Query | Case) -> str:
    return normalised_text("\n".join(message.content for message in row.messages))


def gold_rows(votes: PairwiseVotes, clicks: list[PairwiseVote], queries: list[Query]) -> list[Row]:
    """Return labelled rows (dicts as in a data file) from clicks that give a right answer."""
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
