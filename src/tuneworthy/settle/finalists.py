"""The arms of a finished study on inputs that it did not score: drawn, answered, compared.

Asked live, or read again from what a settled study stored.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property

import numpy as np

from tuneworthy.core.answer import Answer
from tuneworthy.core.answer_files import matched_by, recorded_files
from tuneworthy.core.case import Case, Query
from tuneworthy.core.errors import DataError
from tuneworthy.core.evidence import ArmResult, Evidence
from tuneworthy.core.results import Results
from tuneworthy.core.run import Run
from tuneworthy.core.settlement import Course
from tuneworthy.core.split import Split
from tuneworthy.core.task import Task
from tuneworthy.data.answers import read_answers
from tuneworthy.data.copies import plain_key, whole
from tuneworthy.measure.built_arm import Built, scores_of
from tuneworthy.measure.units import SHARD, Bench
from tuneworthy.settle.pairwise_votes import in_order

Recorded = Mapping[str, Mapping[str, Answer]]


class _Scored:
    """What the study itself says of its arms, by name."""

    def __init__(
        self, task: Task, study: str, split: Split, runs: Sequence[Run], arms: Sequence[ArmResult]
    ) -> None:
        self._task, self._study, self._split, self._runs = task, study, split, runs
        self._arms = {arm.name: arm for arm in arms}

    def same(self, names: Sequence[str]) -> bool:
        """Say whether the arms that answer new inputs are those whose scores the study has.

        Under cross-fitting an arm that learns was scored fold by fold, and is built from all rows.
        """
        learned = any(self._arms[name].learned for name in names)
        return not learned or len(self._split.learning) == 1

    def scored(self, one: str, other: str) -> np.ndarray:
        """Return the differences of two arms on the study's cases, in a drawn order."""
        mine, its = (scores_of(self._runs, name, self._seed(name)) for name in (one, other))
        ids = sorted(set(mine) & set(its))
        order = np.random.default_rng(int(self._study[:8], 16)).permutation(len(ids))
        return np.array([mine[i] - its[i] for i in ids])[order]

    def _seed(self, name: str) -> int:
        found = self._arms[name].seed
        return self._task.seed if found is None else found


class Finalists(_Scored):
    """Arms by name, with what they answer to new inputs.

    `arms` are those of the evidence, `pool` the inputs that may be drawn, `recorded` the logged
    answers to them of arms known by those alone (see `recorded`).
    """

    def __init__(
        self,
        bench: Bench,
        runs: Sequence[Run],
        arms: Sequence[ArmResult],
        pool: Sequence[Query],
        recorded: Recorded,
    ) -> None:
        super().__init__(bench.task, bench.study, bench.split, runs, arms)
        self._bench, self._recorded, self._pool = bench, recorded, pool
        self._built: dict[str, Built] = {}
        self._answers: dict[str, list[Answer]] = defaultdict(list)

    @cached_property
    def inputs(self) -> list[Query]:
        """Return the new inputs in the order in which they are drawn."""
        compared = [name for name, arm in self._arms.items() if arm.competes]
        logs = [log for name, log in self._recorded.items() if log and name in compared]
        there = [query for query in self._pool if all(query.id in log for log in logs)]
        return in_order(there, self._study)

    @property
    def size(self) -> int:
        """Return how many new inputs there are."""
        return len(self.inputs)

    def query(self, at: int) -> Query:
        """Return the new input at a place."""
        return self.inputs[at]

    def mute(self, name: str) -> bool:
        """Say whether an arm is known by recorded answers alone and has none to the new inputs."""
        return name in self._recorded and not self._recorded[name]

    def answer(self, name: str, at: int) -> Answer:
        """Return an arm's answer to the new input at a place; they are asked shard by shard."""
        known = self._answers[name]
        while len(known) <= at:
            if name not in self._built:
                self._bench.say(f"{name}: answering new inputs")
                log = self._recorded.get(name, {})
                self._built[name] = Built(self._bench, self._runs, name, self._seed(name), log)
            known += self._built[name].answers(self.inputs[len(known) : len(known) + SHARD])
        return known[at]


class Stored(_Scored):
    """The arms of a settled study as it stored them; an answer that it lacks raises LookupError."""

    def __init__(self, results: Results, study: Evidence, split: Split, course: Course) -> None:
        super().__init__(results.task, study.task_hash, split, results.runs, study.arms)
        self._course, self.size = course, course.new

    def query(self, at: int) -> Query:
        """Return the new input at a place."""
        return self._course.drawn[at].query

    def mute(self, name: str) -> bool:
        """Say whether an arm could not answer new inputs."""
        return name in self._course.mute

    def answer(self, name: str, at: int) -> Answer:
        """Return an arm's stored answer to the new input at a place."""
        return self._course.drawn[at].answers[name]


def recorded(task: Task, pool: Sequence[Query], labelled: Sequence[Case]) -> Recorded:
    """Return the recorded answers to new inputs by arm and id; empty where a file has none.

    A new input with the id of a row that asks something else has none: whose would it be?
    Answers that are matched by order are those of the scored rows alone.
    """
    taken = {case.id: plain_key(whole(case)) for case in labelled}
    new = [
        case
        for at, query in enumerate(pool)
        for case in [Case(id=query.id, messages=query.messages, output="", where=f"pool:{at}")]
        if taken.get(query.id) in (None, plain_key(whole(case)))
    ]
    found: dict[str, dict[str, Answer]] = {}
    for name, file in recorded_files(task).items():
        match, key = matched_by(task, name)
        answers: list[Answer] = []
        if match != "order":
            with suppress(DataError):
                read = read_answers(task.folder / file, [*labelled, *new], match, key)
                answers = read[len(labelled) :]
        found[name] = {answer.case: answer for answer in answers if answer.error is None}
    return found
