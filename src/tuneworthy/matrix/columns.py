"""One arm's answers and scores by case (a matrix column), and the order of the arms. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import ceil
from statistics import fmean, variance
from typing import Any

import numpy as np

from tuneworthy.matrix.design import Design, Fit, Values
from tuneworthy.matrix.ladder import best_by_fold
from tuneworthy.records.answer import Answer, Score, Unscored
from tuneworthy.records.evidence import Repeats
from tuneworthy.records.record import digest
from tuneworthy.records.run import Run, Spec
from tuneworthy.records.split import Split
from tuneworthy.records.task import TOOLS, TRAINED_TOOLS, Task
from tuneworthy.stats import many
from tuneworthy.stats.clusters import RETRAINING_SD

Array = np.ndarray[Any, Any]

PRESENT_ARM = "present"  # the arm for the system that runs today, which the task file names

LadderPlace = tuple[str | None, bool]  # (tool, whether the arm is `present`)

_MeanFunction = Callable[["Column"], float]


@dataclass(frozen=True)
class Column:
    """One arm's answer and score per case, from the best seed of each fold.

    `stopped`: the arm was stopped early, so its mean covers only part of the cases.
    """

    spec: Spec
    cells: dict[str, tuple[Answer, Score | Unscored]]
    fold: dict[str, int]
    learned: bool
    runs: tuple[Run, ...]
    stopped: bool = False

    def part(self, ids: Collection[str]) -> Column:
        """Return the column with only those of these cases that the arm answered."""
        return replace(self, cells={i: self.cells[i] for i in ids if i in self.cells})

    def fit(self, split: Split) -> Fit | None:
        """Return how the arm learnt in the folds of a split, None if it learns nothing."""
        if not self.learned:
            return None
        return Fit(self.fold, split, retraining_sd(self.spec))

    def fit_beside(self, versus: Column, split: Split) -> Fit | None:
        """Return the fit that widens the difference of two arms, None if neither learns.

        A reference that learns (the most common answer) varies little, so it does not count.
        """
        learned = self.learned or (versus.learned and versus.spec.role == "candidate")
        if not learned:
            return None
        fitted = self if self.learned else versus
        sd = max(retraining_sd(self.spec), retraining_sd(versus.spec))
        return Fit(fitted.fold, split, sd)

    def folds_done(self, split: Split) -> float:
        """Return on how many folds of a split the arm was scored; part of one counts as a part."""
        counts = Counter(self.fold[case] for case in self.cells)
        sizes = {fold: len(part.test) for fold, part in enumerate(split.parts)}
        return sum(min(1.0, n / sizes[f]) if sizes.get(f) else 1.0 for f, n in counts.items())

    @property
    def scores(self) -> dict[str, float]:
        """Return {case id: score}, in the order of the ids; an unscored case counts 0."""
        ids = sorted(self.cells)
        return dict(zip(ids, self.values(ids).tolist(), strict=True))

    @property
    def mean(self) -> float:
        """Return the mean score over the cases that the arm answered."""
        return float(self.values(sorted(self.cells)).mean())

    @property
    def alike_note(self) -> str:
        """Return a note that repeated answers were always alike; "" if not so or none repeat."""
        times = 1 + max((len(answer.repeats) for answer, _ in self.cells.values()), default=0)
        told = f"{times} answers to each row, always alike: they count once"
        return told if times > 1 and not self.draws else ""

    @property
    def draws(self) -> dict[str, tuple[float, ...]]:
        """Return {case id: score of each answer} for repeated answers; {} if no text ever differs.

        Answers that are one text say no more than one of them.
        """
        if all(a.text == b.text for a, _ in self.cells.values() for b in a.repeats):
            return {}
        scores = ((i, self.cells[i][1]) for i in sorted(self.cells))
        return {i: s.repeats for i, s in scores if isinstance(s, Score) and s.repeats}

    def values(self, ids: Sequence[str], wrong: float = 0.0) -> Array:
        """Return the scores, in [0, 1], of these cases; an unscored case counts as `wrong`."""
        scores = [self.cells[i][1] for i in ids]
        return np.array([s.value if isinstance(s, Score) else wrong for s in scores])


def retraining_sd(spec: Spec) -> float:
    """Return the assumed standard deviation between trainings of an arm's tool; 0: untrained."""
    return RETRAINING_SD if spec.tool in TRAINED_TOOLS else 0.0


def by_spec(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Return {arm name: its runs}, in the order in which the arms come first."""
    table: dict[str, list[Run]] = {}
    for run in runs:
        table.setdefault(run.spec.name, []).append(run)
    return table


def column(runs: Sequence[Run]) -> Column | None:
    """Return an arm's column; None if a run failed or was skipped, or none was measured."""
    done = [run for run in runs if run.state == "measured"]
    if not done or any(run.state in {"failed", "skipped"} for run in runs):
        return None
    cells: dict[str, tuple[Answer, Score | Unscored]] = {}
    fold: dict[str, int] = {}
    for best in best_by_fold(done):
        for answer, score in zip(best.answers, best.scores, strict=True):
            cells[answer.case], fold[answer.case] = (answer, score), best.fold or 0
    learned = any(run.learned for run in done)
    stopped = any(run.state == "stopped_early" for run in runs)
    return Column(done[0].spec, cells, fold, learned, tuple(done), stopped)


def columns_of(runs: Sequence[Run]) -> dict[str, Column]:
    """Return {arm name: its column}, in the order of the runs; an arm without one is left out."""
    table = {name: column(own) for name, own in by_spec(runs).items()}
    return {name: one for name, one in table.items() if one is not None}


def ladder_place(spec: Spec) -> LadderPlace:
    """Return the place on the ladder that an arm competes for: (tool, whether it is `present`).

    The system that runs today has its own place, separate from other arms of its tool. Recorded
    systems without a given tool share one place, above all tools.
    """
    return spec.tool, spec.arm == PRESENT_ARM


def preselected_arm(task: Task, spec: Spec) -> str | None:
    """Return the name of the arm that `success.finalists` chose for this arm's place, or None."""
    now = ladder_place(spec)[1]
    return None if now or spec.tool is None else task.success.finalists.get(spec.tool)


def group_by_place(
    columns: Iterable[Column], task: Task, corrected: _MeanFunction | None = None
) -> dict[LadderPlace, list[Column]]:
    """Return {place on the ladder: the columns that compete for it, the best mean first}.

    Means are those on the shared cases; ties go to the simpler arm, never by name, and arms that
    were stopped early come last. If `success.finalists` named an arm before the run, that arm
    stands alone. `corrected` returns means corrected by human grades, if there are any.
    """
    places: dict[LadderPlace, list[Column]] = {}
    for column in columns:
        if column.spec.role == "candidate":
            places.setdefault(ladder_place(column.spec), []).append(column)
    for place, rivals in places.items():
        finalist = preselected_arm(task, rivals[0].spec)
        chosen_before = [column for column in rivals if column.spec.name == finalist]
        finished = rank_columns([column for column in rivals if not column.stopped], corrected)
        places[place] = chosen_before or finished + rank_columns(
            [column for column in rivals if column.stopped], corrected
        )
    return places


def rank_columns(columns: Sequence[Column], corrected: _MeanFunction | None = None) -> list[Column]:
    """Return the columns from highest to lowest mean on shared cases; ties: the simpler one first.

    Ties in the mean are broken by the covariances with the other arms, so that the order does not
    depend on a name, an id or a position in a file.
    """
    if corrected:
        return sorted(columns, key=lambda column: (-corrected(column), column.spec.simplicity))
    ids = shared_cases(columns)
    if not ids:
        return sorted(columns, key=lambda column: -column.mean)
    scores = np.stack([column.values(ids) for column in columns], 1)
    means, spread = scores.mean(0).round(9), many.covariance(scores).round(12)

    def key(at: int) -> tuple[float, int, list[tuple[float, float]]]:
        others = zip(means.tolist(), spread[at].tolist(), strict=True)
        return -means[at], columns[at].spec.simplicity, sorted(others)

    return [columns[at] for at in sorted(range(len(columns)), key=key)]


def shared_cases(columns: Sequence[Column]) -> list[str]:
    """Return the ids of the cases that all these arms answered, sorted."""
    if not columns:
        return []
    return sorted(set.intersection(*(set(column.cells) for column in columns)))


def row_order(ids: Iterable[str], fold: Mapping[str, int], seed: int) -> list[str]:
    """Return the case ids sorted by fold, then by a hash of seed and id."""
    return sorted(ids, key=lambda i: (fold.get(i, 0), _hash_of_case(seed, i)))


@lru_cache(maxsize=100_000)  # called for every pair of arms
def _hash_of_case(seed: int, case: str) -> str:
    return digest([seed, "race", case], 16)


def ladder_position(spec: Spec) -> int:
    """Return the position of an arm's tool on the ladder, from 0; no tool is above all tools."""
    return TOOLS.index(spec.tool) if spec.tool else len(TOOLS)


Draws = Mapping[str, Sequence[float]]

_LEAST_REPEATED_CASES = 10  # of fewer cases no part is told


def repeats_of(design: Design, means: Values, draws: Sequence[Draws]) -> Repeats | None:
    """Return the number of answers a case and the share of variance due to it; None if unknown.

    `means` are one arm's scores by case, or the differences of two; `draws` the scores of all
    answers of that arm, or of both. None unless each answered its cases equally often, twice or
    more. Groups of cases make the variance larger, and so the part smaller.
    """
    times = {len(values) for one in draws for values in one.values()}
    if not all(draws) or len(means) < _LEAST_REPEATED_CASES or len(times) != 1 or times == {1}:
        return None
    (k,), n = times, len(means)
    within = sum(fmean(variance(values) for values in one.values()) for one in draws)
    total = design.variance(means)
    share = min(1.0, within / k / n / total) if total else 0.0
    return Repeats(k=k, share=round(share, 6), rows_alone=ceil(n * (1 - share + k * share)))
