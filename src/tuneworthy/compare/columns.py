"""One arm down the matrix: its answers and scores by case, of the seed chosen by fold. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tuneworthy.compare.choice import best_by_fold
from tuneworthy.compare.costs import TUNED
from tuneworthy.core.answer import Answer, Score, Unscored
from tuneworthy.core.run import Run, Spec
from tuneworthy.core.task import Task
from tuneworthy.stats import many
from tuneworthy.stats.clusters import RETRAINED

Array = np.ndarray[Any, Any]
PRESENT = "present"  # the one arm the task itself names: what runs today
Seat = tuple[str | None, bool]
Mean = Callable[["Column"], float]


@dataclass(frozen=True)
class Column:
    """One arm down the matrix: per case its answer and score (of the seed chosen in its fold).

    `stopped`: it was stopped early, so its mean is that of some of the cases only.
    """

    spec: Spec
    cells: dict[str, tuple[Answer, Score | Unscored]]
    fold: dict[str, int]
    learned: bool
    runs: tuple[Run, ...]
    stopped: bool = False

    @property
    def retrained(self) -> float:
        """Return the sd from one training to the next that is taken for granted at least."""
        return RETRAINED if self.spec.tool in TUNED else 0.0

    def values(self, ids: Sequence[str], wrong: float = 0.0) -> Array:
        """Return scores in [0, 1]; a case without a score counts `wrong`."""
        scores = [self.cells[i][1] for i in ids]
        return np.array([s.value if isinstance(s, Score) else wrong for s in scores])


def by_spec(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Return the runs of each arm by its name."""
    table: dict[str, list[Run]] = {}
    for run in runs:
        table.setdefault(run.spec.name, []).append(run)
    return table


def column(runs: Sequence[Run]) -> Column | None:
    """Return an arm's column from its runs; None where it was skipped, or a run of it failed."""
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


def seat(spec: Spec) -> Seat:
    """Return what an arm competes for a place on the ladder with: its tool.

    What runs today has a place of its own: it is there, whatever else its tool could do. Recorded
    systems whose tool is not given share the place above all tools.
    """
    return spec.tool, spec.arm == PRESENT


def named_before(task: Task, spec: Spec) -> str | None:
    """Return the arm that `success.finalists` names for the place of this one, if it names any."""
    now = seat(spec)[1]
    return None if now or spec.tool is None else task.success.finalists.get(spec.tool)


def competing(
    columns: Iterable[Column], task: Task, corrected: Mean | None = None
) -> dict[Seat, list[Column]]:
    """Return the arms that compete for each place on the ladder, the one that takes it first.

    That is the one with the best mean on the cases they share (of equal means the simpler one, and
    never by name; one that was stopped early comes last), or the one that `success.finalists` named
    before the run: then it is alone. `corrected` gives means that humans corrected, if any.
    """
    seats: dict[Seat, list[Column]] = {}
    for one in columns:
        if one.spec.role == "candidate":
            seats.setdefault(seat(one.spec), []).append(one)
    for place, rivals in seats.items():
        asked = named_before(task, rivals[0].spec)
        named = [one for one in rivals if one.spec.name == asked]
        whole = in_order([one for one in rivals if not one.stopped], corrected)
        seats[place] = named or whole + in_order([one for one in rivals if one.stopped], corrected)
    return seats


def in_order(columns: Sequence[Column], corrected: Mean | None = None) -> list[Column]:
    """Return arms by their mean on shared cases, then by simplicity, then by what they scored.

    Arms of equal means differ in how they go with the others: no name, id or place in a file
    counts.
    """
    if corrected:
        return sorted(columns, key=lambda one: (-corrected(one), one.spec.simplicity))
    ids = shared(columns)
    if not ids:
        return sorted(columns, key=lambda one: -float(one.values(sorted(one.cells)).mean()))
    scores = np.stack([one.values(ids) for one in columns], 1)
    means, spread = scores.mean(0).round(9), many.covariance(scores).round(12)

    def key(at: int) -> tuple[float, int, list[tuple[float, float]]]:
        others = zip(means.tolist(), spread[at].tolist(), strict=True)
        return -means[at], columns[at].spec.simplicity, sorted(others)

    return [columns[at] for at in sorted(range(len(columns)), key=key)]


def shared(columns: Sequence[Column]) -> list[str]:
    """Return the cases that all of the arms answered."""
    if not columns:
        return []
    return sorted(set.intersection(*(set(one.cells) for one in columns)))
