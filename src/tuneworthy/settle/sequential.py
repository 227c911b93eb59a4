"""Open pairs bounded click by click: what has to be asked next, and what the evidence says so far.

Pure but for the arms it is given: live ones in a session, stored answers where a settled study is
recomputed. The same clicks in the same order give the same bounds. Knows no arm by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np

from tuneworthy.core.answer import Answer
from tuneworthy.core.case import Query
from tuneworthy.core.evidence import Evidence, Pair, Policy
from tuneworthy.core.record import digest
from tuneworthy.core.settlement import Click, Course, Drawn, Ended, Settled
from tuneworthy.settle.open_rows import Stream
from tuneworthy.settle.pairwise_votes import Ballot, Question, agreement
from tuneworthy.verdict.open_pairs import Names, Open, Tightened, standing, tightened


class Arms(Protocol):
    """What settling has to know of a study's arms and of the new inputs, in drawn order."""

    @property
    def size(self) -> int:
        """Return how many new inputs there are."""

    def query(self, at: int) -> Query:
        """Return the new input at a place."""

    def answer(self, name: str, at: int) -> Answer:
        """Return an arm's answer to the new input at a place."""

    def mute(self, name: str) -> bool:
        """Say whether an arm can't answer new inputs."""

    def same(self, names: Sequence[str]) -> bool:
        """Say whether the arms that answer new inputs are those whose scores the study has."""

    def scored(self, one: str, other: str) -> np.ndarray:
        """Return the differences of two arms on the study's cases, in a drawn order."""


class Sequential:
    """The open pairs of a study, tightened by clicks; valid at every one.

    `study` is its evidence, `pairs` are compared at the level of this look. `ended` says why
    nothing is asked any more, None while it goes on.
    """

    def __init__(
        self, study: Evidence, policy: Policy, arms: Arms, ballot: Ballot, pairs: Sequence[Pair]
    ) -> None:
        self._study, self._policy, self._arms, self._ballot = study, policy, arms, ballot
        self._pairs = {(pair.arm, pair.versus): pair for pair in pairs}
        self._streams: dict[Names, Stream] = {}
        self._drawn: dict[int, dict[str, Answer]] = {}
        self._now = study
        self.clicks: list[Click] = []
        self.asked: Question | None = None
        self.ended: Ended | None = None
        self._open()
        self.left = [self._points()]

    # What is asked next.

    def question(self) -> Question | None:
        """Return the next pair of answers that has to be looked at; None where it has ended."""
        if self.asked is None and self.ended is None:
            self.asked = self._advance()
        return self.asked

    def take(self, *clicks: Click) -> None:
        """Take in what a person said of the questions, one after the other, and go on.

        Never all at once: what is known of an input by then decides what is asked and counted.
        """
        for click in clicks:
            self.question()
            self.clicks.append(click)
            self.asked = None
            self.question()
            self.left.append(self._points())

    def _advance(self) -> Question | None:
        """Take in differences until one has to be asked; None where there is none left."""
        while True:
            found = self._open()
            if not found:
                firm = standing(self._now, self._policy)[0].status == "firm"
                self.ended = "firm" if firm else "elsewhere"
                return None
            one = min(found, key=lambda each: self._streams[each.names].at)
            stream = self._streams[one.names]
            if stream.at >= self._arms.size:
                self.ended = "pool"
                return None
            query = self._arms.query(stream.at)
            first, second = (self._answer(name, stream.at) for name in one.names)
            clicks = [click for click in self.clicks if click.input == query.id]
            known = self._ballot.difference(query, first, second, clicks)
            if known is None:
                return self._repeat() or self._ballot.question(query, first, second)
            stream.see(known, self._ballot.says(first) != self._ballot.says(second))
            self._now = self._evidence()

    def _answer(self, name: str, at: int) -> Answer:
        answer = self._arms.answer(name, at)
        self._drawn.setdefault(at, {})[name] = answer
        return answer

    def _repeat(self) -> Question | None:
        """Return a pair that is due to be shown again, its sides swapped."""
        there = {query.id: query for query in map(self._arms.query, self._drawn)}
        for old in self._ballot.repeats(self.clicks):
            if old.input in there:  # else the file of inputs was changed since
                return Question(there[old.input], old.right, old.left, again=True)
        return None

    def _open(self) -> list[Open]:
        """Return the open pairs that can be asked, each with its stream begun."""
        while True:
            found = [one for one in standing(self._now, self._policy)[1] if self._can(one)]
            new = [one for one in found if one.names not in self._streams]
            if not new:
                return found
            for one in new:
                self._streams[one.names] = self._begin(one)
            self._now = self._evidence()

    def _can(self, one: Open) -> bool:
        return not any(self._arms.mute(name) for name in one.names)

    def _begin(self, one: Open) -> Stream:
        pair, pool, kind = self._pairs[one.names], self._arms.size, self._kind(one.names)
        scored = self._arms.scored(*one.names) if kind == "all" else np.array([])
        most = len(scored) + pool
        planned = most if kind == "preference" else one.planned(pair, most)
        level = min(pair.level, pair.low_level or pair.level)  # either end may close it
        return Stream(level, scored, planned, pool)

    def _kind(self, names: Names) -> Literal["new", "all", "preference"]:
        if self._ballot.by_preference:
            return "preference"
        return "all" if self._arms.same(names) else "new"

    # What the evidence says after the clicks so far.

    def _evidence(self) -> Evidence:
        """Return the study's evidence; the bounds of opened pairs are those of this look."""
        opened = {names for a, b in self._streams for names in ((a, b), (b, a))}
        pairs = tuple(
            self._pairs.get((pair.arm, pair.versus), pair)
            if (pair.arm, pair.versus) in opened else pair
            for pair in self._study.pairs
        )  # fmt: skip
        found = {}
        for names, stream in self._streams.items():
            seen = stream.bounds
            found[names] = Tightened(
                **{key: getattr(seen, key) for key in ("n", "wins", "losses", "differ")},
                apart=stream.apart, mean=seen.mean, low=seen.low, high=seen.high,
                points=self._kind(names),
            )  # fmt: skip
        return tightened(self._study.model_copy(update={"pairs": pairs}), found)

    def _points(self) -> float | None:
        return standing(self._now, self._policy)[0].left

    def more(self) -> int | None:
        """Return about how many more clicks close the pair that takes most; None: no telling."""
        clicks = [0]
        for one in self._open() if self.ended is None else ():
            stream, kind = self._streams[one.names], self._kind(one.names)
            before = self._arms.scored(*one.names) if kind == "new" else np.array([])
            targets = (one.margin - one.shift, -one.shift)[: 1 if one.margin < 0 else 2]
            rows = stream.bounds.rows_left(targets, before, stream.planned)
            if rows > 100 * self._arms.size:
                return None
            clicks.append(max(1, round(rows * self._share(one.names))))
        return max(clicks)

    def _share(self, names: Names) -> float:
        """Return the share of inputs on which two arms answer differently."""
        stream, before = self._streams[names], self._pairs[names]
        return (stream.apart + (before.apart or 0)) / max(1, stream.at + before.n)

    def evidence(self, look: int, ended: Ended | None) -> Evidence:
        """Return the settled evidence; `look` is the how-manieth it is, `ended` why it ended."""
        settled = self._settled(look, ended or "stopped")
        return self._now.model_copy(
            update={
                "settled": settled,
                "looks": look,
                "pool": self._arms.size - settled.inputs,
                "hash": settled_hash(self._study.hash, settled, self.clicks),
            }
        )

    def _settled(self, look: int, ended: Ended) -> Settled:
        agreed, again = agreement(self.clicks)
        first = [click for click in self.clicks if not click.again]
        return Settled(
            look=look,
            inputs=max((stream.at for stream in self._streams.values()), default=0),
            differing=len({click.input for click in first}),
            clicks=len(self.clicks),
            skipped=sum(click.choice == "skip" for click in first),
            again=again,
            agreed=agreed,
            points="preference" if self._ballot.by_preference else "score",
            left=(self.left[0], self.left[-1]),
            ended=ended,
        )

    def course(self) -> Course:
        """Return all that it took, so that it can be done again from stored answers alone."""
        names = (arm.name for arm in self._study.arms)
        return Course(
            looks=self._study.looks,
            pool=self._study.pool,
            new=self._arms.size,
            mute=tuple(name for name in names if self._arms.mute(name)),
            drawn=tuple(
                Drawn(query=self._arms.query(at), answers=answers)
                for at, answers in sorted(self._drawn.items())
            ),
            clicks=tuple(self.clicks),
        )


def settled_hash(study: str, settled: Settled, clicks: Sequence[Click]) -> str:
    """Return the evidence hash of a settled study: that of the study, and what clicks added."""
    return digest([study, settled.plain(), [click.plain() for click in clicks]])
