"""Answer new inputs with the arms of a finished study, and compare the arms' study scores.

Answers are generated live, or read from the log of a settled study.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from statistics import fmean

import numpy as np

from tuneworthy.measure.answering import CASES_PER_SHARD, Runner
from tuneworthy.measure.built_arm import DeployedArm, scores_of
from tuneworthy.records.answer import Answer
from tuneworthy.records.case import Case, Query
from tuneworthy.records.errors import DataError
from tuneworthy.records.evidence import ArmResult, Evidence
from tuneworthy.records.results import Results
from tuneworthy.records.run import Run
from tuneworthy.records.settlement import SettlementLog
from tuneworthy.records.split import Split
from tuneworthy.records.task import Task, match_setting, recorded_files
from tuneworthy.rows.answers import read_answers
from tuneworthy.rows.copies import full_text, normalised_text
from tuneworthy.verdict.pairwise_votes import shuffled_by_seed

_RecordedAnswers = Mapping[str, Mapping[str, Answer]]


class _StudyScores:
    """A finished study's arms by name: their score differences, fits, independence of rows."""

    def __init__(
        self, task: Task, study: str, split: Split, runs: Sequence[Run], arms: Sequence[ArmResult]
    ) -> None:
        self._task, self._study, self._split, self._runs = task, study, split, runs
        self._arms = {arm.name: arm for arm in arms}

    def are_scored_fits(self, names: Sequence[str]) -> bool:
        """Return whether the arms that answer new inputs are the fits that the study scored.

        Under cross-fitting they are not if an arm learns: each fold's fit was scored, but the arm
        that answers is fitted on the rows of all folds (see `measure/built_arm.py`).
        """
        learned = any(self._arms[name].learned for name in names)
        return not learned or len(self._split.learning) == 1

    @property
    def scored_rows_are_independent(self) -> bool:
        """Return whether the study's distinct inputs are independent draws, which bets require.

        They are not if scored rows share a named `group`, or if larger groups may come.
        """
        split, scored = self._split, self._split.scored
        alone = len({split.groups.get(case, case) for case in scored}) == len(scored)
        return (split.only_copies or alone) and (self._task.data.largest_group or 0) <= 1

    def study_differences(self, one: str, other: str) -> np.ndarray:
        """Return the score differences of two arms on the study's inputs, in a random order.

        Copies and near-copies of an input count once, with their mean, as new inputs count once.
        """
        own, theirs = (scores_of(self._runs, name, self._seed_of(name)) for name in (one, other))
        groups, by_input = self._split.groups, defaultdict[str, list[float]](list)
        for case in sorted(set(own) & set(theirs)):
            by_input[groups.get(case, case)].append(own[case] - theirs[case])
        means = np.array([fmean(diffs) for diffs in by_input.values()])
        order = np.random.default_rng(int(self._study[:8], 16)).permutation(means.size)
        return means[order]

    def _seed_of(self, name: str) -> int:
        seed = self._arms[name].seed
        return self._task.seed if seed is None else seed


class Finalists(_StudyScores):
    """The study's arms, fitted again on demand to answer new inputs.

    `arms` are those of the evidence, `pool` the inputs that may be drawn, `recorded` the logged
    answers of arms that are only recorded (see `recorded_answers_by_arm`).
    """

    def __init__(
        self,
        runner: Runner,
        runs: Sequence[Run],
        arms: Sequence[ArmResult],
        pool: Sequence[Query],
        recorded: _RecordedAnswers,
    ) -> None:
        super().__init__(runner.task, runner.study, runner.split, runs, arms)
        self._runner, self._recorded, self._pool = runner, recorded, pool
        self._built: dict[str, DeployedArm] = {}
        self._answers: dict[str, list[Answer]] = defaultdict(list)

    @cached_property
    def inputs(self) -> list[Query]:
        """Return the new inputs that every recorded competitor answers, in random order.

        Of inputs that share a `group` the first one is kept, so that bets are on independent draws.
        """
        compared = [name for name, arm in self._arms.items() if arm.competes]
        logs = [log for name, log in self._recorded.items() if log and name in compared]
        answerable = [query for query in self._pool if all(query.id in log for log in logs)]
        drawn: dict[tuple[str, str], Query] = {}
        for query in shuffled_by_seed(answerable, self._study):
            alone = query.group is None
            drawn.setdefault(("id", query.id) if alone else ("group", str(query.group)), query)
        return list(drawn.values())

    @property
    def size(self) -> int:
        """Return the number of new inputs."""
        return len(self.inputs)

    def query(self, at: int) -> Query:
        """Return the new input that was drawn at position `at`."""
        return self.inputs[at]

    def lacks_answers(self, name: str) -> bool:
        """Return whether an arm is only recorded and has no answers to the new inputs."""
        return name in self._recorded and not self._recorded[name]

    def answer(self, name: str, at: int) -> Answer:
        """Return an arm's answer to the new input at position `at`; generates shards as needed."""
        answers = self._answers[name]
        while len(answers) <= at:
            if name not in self._built:
                self._runner.say(f"{name}: answering new inputs")
                log = self._recorded.get(name, {})
                self._built[name] = DeployedArm(
                    self._runner, self._runs, name, self._seed_of(name), log
                )
            answers += self._built[name].answers(
                self.inputs[len(answers) : len(answers) + CASES_PER_SHARD]
            )
        return answers[at]


class StoredFinalists(_StudyScores):
    """The arms of a settled study with their stored answers; a missing one raises LookupError."""

    def __init__(
        self, results: Results, study: Evidence, split: Split, course: SettlementLog
    ) -> None:
        super().__init__(results.task, study.task_hash, split, results.runs, study.arms)
        self._course, self.size = course, course.new

    def query(self, at: int) -> Query:
        """Return the query drawn at position `at`: a new input without a right answer."""
        return self._course.drawn[at].query

    def lacks_answers(self, name: str) -> bool:
        """Return whether an arm could not answer new inputs."""
        return name in self._course.mute

    def answer(self, name: str, at: int) -> Answer:
        """Return an arm's stored answer to the input drawn at position `at`."""
        return self._course.drawn[at].answers[name]


def recorded_answers_by_arm(
    task: Task, pool: Sequence[Query], labelled: Sequence[Case]
) -> _RecordedAnswers:
    """Return {arm: {input id: answer}} to new inputs from files of recorded answers; {} if none.

    A new input whose id belongs to a row with another input has no answer, since the answer could
    be to either. Files matched by order contain answers to the scored rows only.
    """
    taken = {case.id: normalised_text(full_text(case)) for case in labelled}
    new = [
        case
        for at, query in enumerate(pool)
        for case in [Case(id=query.id, messages=query.messages, output="", where=f"pool:{at}")]
        if taken.get(query.id) in (None, normalised_text(full_text(case)))
    ]
    by_arm: dict[str, dict[str, Answer]] = {}
    for name, file in recorded_files(task).items():
        match, key = match_setting(task, name)
        answers: list[Answer] = []
        if match != "order":
            with suppress(DataError):
                read = read_answers(task.folder / file, [*labelled, *new], match, key)
                answers = read[len(labelled) :]
        by_arm[name] = {answer.case: answer for answer in answers if answer.error is None}
    return by_arm
