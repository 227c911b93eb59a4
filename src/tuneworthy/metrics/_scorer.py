"""Combine a task's metrics into one callable; scores of a whole corpus; options of a metric."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from types import ModuleType
from typing import Any, TypeVar

import numpy as np

from tuneworthy.records import plugins
from tuneworthy.records.answer import Answer, Score, Unscored, value_or_zero
from tuneworthy.records.case import Case
from tuneworthy.records.escape import quoted
from tuneworthy.records.record import Record
from tuneworthy.records.task import Task

Metric = Callable[[Case, Answer], Score | Unscored]

Scores = list[Score | Unscored]


@dataclass(frozen=True)
class Scorer:
    """A metric: call it with a case and its answer, or call `all` with one arm's cases and answers.

    `parts` are the metrics it combines; a case's score is the lowest of theirs. `valid` returns
    whether an answer is valid. `by_set`: an answer's score depends on the other answers in `all`.
    """

    parts: tuple[Metric, ...]
    valid: Callable[[Answer], bool | None]

    @property
    def by_set(self) -> bool:
        """Return whether some part scores all answers of an arm together."""
        return any(by_set(part) for part in self.parts)

    def __call__(self, case: Case, answer: Answer) -> Score | Unscored:
        """Return the score of one answer alone."""
        if answer.error is not None:
            return _unscored_failure(answer)
        return self._lowest_score(answer, [part(case, answer) for part in self.parts])

    def all(self, cases: Sequence[Case], answers: Sequence[Answer]) -> Scores:
        """Return one score per case of an arm's answers, in order; failed answers are Unscored."""
        answered = [i for i, answer in enumerate(answers) if answer.error is None]
        own_cases, own_answers = [cases[i] for i in answered], [answers[i] for i in answered]
        columns = [score_all(part, own_cases, own_answers) for part in self.parts]
        rows = dict(zip(answered, zip(*columns, strict=True), strict=True))
        return [
            self._lowest_score(answer, rows[i]) if i in rows else _unscored_failure(answer)
            for i, answer in enumerate(answers)
        ]

    def _lowest_score(self, answer: Answer, scores: Sequence[Score | Unscored]) -> Score | Unscored:
        lost = next((score for score in scores if isinstance(score, Unscored)), None)
        if lost is not None:
            return lost
        least = min((s for s in scores if isinstance(s, Score)), key=lambda score: score.value)
        return least.model_copy(update={"valid": self.valid(answer)})


def by_set(metric: Metric) -> bool:
    """Return whether a metric scores all answers of an arm together."""
    return bool(getattr(metric, "by_set", False))


def score_all(metric: Metric, cases: Sequence[Case], answers: Sequence[Answer]) -> Scores:
    """Return one score per case of the answers of one arm, in order.

    A metric with `all` is called once; any other one case by case. Of a case with several answers
    the mean counts, an unscored one as 0. Raises ValueError if the numbers of cases and answers
    differ.
    """
    if any(answer.repeats for answer in answers):
        return _score_repeats(metric, cases, answers)
    together = getattr(metric, "all", None)
    if together is not None and len(cases) == len(answers):
        found: Scores = together(cases, answers)
        return found
    return [metric(case, answer) for case, answer in zip(cases, answers, strict=True)]


def _score_repeats(metric: Metric, cases: Sequence[Case], answers: Sequence[Answer]) -> Scores:
    most = 1 + max(len(answer.repeats) for answer in answers)
    rounds = []
    for at in range(most):
        asked = [(c, (a, *a.repeats)[at]) for c, a in zip(cases, answers, strict=True)
                 if at <= len(a.repeats)]  # fmt: skip
        first = [answer.model_copy(update={"repeats": ()}) for _, answer in asked]
        scores = score_all(metric, [case for case, _ in asked], first)
        rounds.append({case.id: score for (case, _), score in zip(asked, scores, strict=True)})
    return [_mean_score([own[case.id] for own in rounds if case.id in own]) for case in cases]


def _mean_score(scores: Scores) -> Score | Unscored:
    """Return the score of the first answer that has one, with the mean of all; else the first."""
    whole = next((score for score in scores if isinstance(score, Score)), None)
    if whole is None or len(scores) < 2:
        return scores[0]
    values = tuple(value_or_zero(score) for score in scores)
    return whole.model_copy(update={"value": fmean(values), "repeats": values})


def load_metrics(task: Task, names: Sequence[str]) -> list[Metric]:
    """Return a metric for each plug-in name, bound to the task's options."""
    options = {
        **task.success.options,
        "type": task.output.type,
        "labels": task.output.labels,
        "schema": task.output.json_schema,
        **({"costs": task.success.costs} if task.success.costs else {}),
    }
    prefix = len(names) > 1
    return [_LoadedMetric(name, plugins.load("metrics", name), options, prefix) for name in names]


@dataclass(frozen=True)
class _LoadedMetric:
    """A metric plug-in bound to its options; an exception in the plug-in gives Unscored.

    `prefix`: the reason of a score starts with the metric's name.
    """

    name: str
    module: ModuleType
    options: dict[str, Any]
    prefix: bool

    @property
    def by_set(self) -> bool:
        return hasattr(self.module, "score_all")

    def __call__(self, case: Case, answer: Answer) -> Score | Unscored:
        try:
            return self._prefixed(self.module.score(case, answer, self.options))
        except Exception as error:  # one bad answer must not end the run
            return self._unscored_crash(error)

    def all(self, cases: Sequence[Case], answers: Sequence[Answer]) -> Scores:
        if not self.by_set:
            return [self(case, answer) for case, answer in zip(cases, answers, strict=True)]
        try:
            scores = self.module.score_all(cases, answers, self.options)
        except Exception as error:
            return [self._unscored_crash(error) for _ in answers]
        return [self._prefixed(score) for score in scores]

    def _prefixed(self, score: Score | Unscored) -> Score | Unscored:
        if self.prefix and isinstance(score, Score):
            return score.model_copy(update={"why": f"{self.name}: {score.why}"})
        return score

    def _unscored_crash(self, error: Exception) -> Unscored:
        return Unscored(reason=f"{self.name} crashed: {type(error).__name__}: {quoted(str(error))}")


def _unscored_failure(answer: Answer) -> Unscored:
    return Unscored(reason=f"no answer came back: {quoted(answer.error or '')}")


def ece(confidence: Any, correct: Any, bins: int = 10) -> float | None:
    """Return the expected calibration error over equal-width bins: |confidence - accuracy|.

    `confidence` in [0, 1]; a bin includes its upper edge. Source: Guo et al., arXiv 1706.04599.
    """
    sure, right = np.asarray(confidence, float), np.asarray(correct, float)
    if sure.shape != right.shape:
        raise ValueError(f"{sure.size} confidences for {right.size} answers")
    if not sure.size:
        return None
    place = np.clip(np.ceil(sure * bins).astype(int) - 1, 0, bins - 1)
    return float(np.abs(np.bincount(place, weights=sure - right)).sum() / sure.size)


def auroc(scores: Any, positive: Any) -> float | None:
    """Return the chance that a positive outscores a negative, ties half; None for one class."""
    values, mark = np.asarray(scores, float), np.asarray(positive, bool)
    if values.shape != mark.shape:
        raise ValueError(f"{values.size} scores for {mark.size} marks")
    ups, downs = int(mark.sum()), int((~mark).sum())
    if not ups or not downs:
        return None
    _, place, times = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(times) - (times - 1) / 2)[place]  # equal values share the mean of theirs
    return float((ranks[mark].sum() - ups * (ups + 1) / 2) / (ups * downs))


Kind = TypeVar("Kind", bound=Record)


def read_options(kind: type[Kind], options: Mapping[str, Any]) -> Kind:
    """Return `options` as a metric's own Record; keys of other metrics are ignored.

    Raises pydantic's ValidationError; a task file is checked before (`rows/task_consistency.py`).
    """
    return kind.model_validate({k: v for k, v in options.items() if k in kind.model_fields})
