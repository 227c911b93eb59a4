"""The metric of a task as one callable: a case and an answer, or all answers of one arm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from tuneworthy.core import plugins
from tuneworthy.core.answer import Answer, Score, Unscored
from tuneworthy.core.case import Case
from tuneworthy.core.escape import quoted
from tuneworthy.core.task import Task

Metric = Callable[[Case, Answer], Score | Unscored]
Scores = list[Score | Unscored]


@dataclass(frozen=True)
class Scorer:
    """A metric: called with a case and an answer, or `all` with those of one arm.

    `parts` are the metrics it is made of; a case is worth the least of them. `valid` says whether
    an answer is valid. `by_set`: an answer's worth depends on the other answers given to `all`.
    """

    parts: tuple[Metric, ...]
    valid: Callable[[Answer], bool | None]

    @property
    def by_set(self) -> bool:
        """Return whether `all` says more than one call a case would."""
        return any(by_set(part) for part in self.parts)

    def __call__(self, case: Case, answer: Answer) -> Score | Unscored:
        """Return what one answer alone is worth."""
        if answer.error is not None:
            return _lost(answer)
        return self._filled(answer, [part(case, answer) for part in self.parts])

    def all(self, cases: Sequence[Case], answers: Sequence[Answer]) -> Scores:
        """Return one score a case of the answers of one arm, in order; lost ones are left out."""
        there = [i for i, answer in enumerate(answers) if answer.error is None]
        asked, said = [cases[i] for i in there], [answers[i] for i in there]
        columns = [score_all(part, asked, said) for part in self.parts]
        found = dict(zip(there, zip(*columns, strict=True), strict=True))
        return [
            self._filled(answer, found[i]) if i in found else _lost(answer)
            for i, answer in enumerate(answers)
        ]

    def _filled(self, answer: Answer, scores: Sequence[Score | Unscored]) -> Score | Unscored:
        lost = next((score for score in scores if isinstance(score, Unscored)), None)
        if lost is not None:
            return lost
        least = min((s for s in scores if isinstance(s, Score)), key=lambda score: score.value)
        return least.model_copy(update={"valid": self.valid(answer)})


def by_set(metric: Metric) -> bool:
    """Say whether a metric looks at all answers of an arm together."""
    return bool(getattr(metric, "by_set", False))


def score_all(metric: Metric, cases: Sequence[Case], answers: Sequence[Answer]) -> Scores:
    """Return one score a case of the answers of one arm, in order.

    A metric with `all` is asked once; any other one case by case. Raises ValueError where cases
    and answers are not as many.
    """
    together = getattr(metric, "all", None)
    if together is not None and len(cases) == len(answers):
        found: Scores = together(cases, answers)
        return found
    return [metric(case, answer) for case, answer in zip(cases, answers, strict=True)]


def named(task: Task, names: Sequence[str]) -> list[Metric]:
    """Return the plug-ins of these names as metrics, called with the options of the task."""
    options = {
        **task.success.options,
        "type": task.output.type,
        "labels": task.output.labels,
        "schema": task.output.json_schema,
    }
    prefix = len(names) > 1
    return [_Named(name, plugins.load("metrics", name), options, prefix) for name in names]


@dataclass(frozen=True)
class _Named:
    """A plug-in with its options. A crash (it may be of another package) scores nothing."""

    name: str
    module: ModuleType
    options: dict[str, Any]
    prefix: bool

    @property
    def by_set(self) -> bool:
        return hasattr(self.module, "score_all")

    def __call__(self, case: Case, answer: Answer) -> Score | Unscored:
        try:
            return self._told(self.module.score(case, answer, self.options))
        except Exception as error:  # one bad answer ends no run
            return self._crash(error)

    def all(self, cases: Sequence[Case], answers: Sequence[Answer]) -> Scores:
        if not self.by_set:
            return [self(case, answer) for case, answer in zip(cases, answers, strict=True)]
        try:
            found = self.module.score_all(cases, answers, self.options)
        except Exception as error:
            return [self._crash(error) for _ in answers]
        return [self._told(score) for score in found]

    def _told(self, score: Score | Unscored) -> Score | Unscored:
        if self.prefix and isinstance(score, Score):
            return score.model_copy(update={"why": f"{self.name}: {score.why}"})
        return score

    def _crash(self, error: Exception) -> Unscored:
        return Unscored(reason=f"{self.name} crashed: {type(error).__name__}: {quoted(str(error))}")


def _lost(answer: Answer) -> Unscored:
    return Unscored(reason=f"no answer came back: {quoted(answer.error or '')}")
