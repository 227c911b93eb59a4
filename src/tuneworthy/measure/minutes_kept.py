"""Keep the minutes of each step of a study in the ledger, as measured the first time.

A resumed study, and one that goes on with more minutes, counts the same minutes again, and so makes
the same decisions.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from tuneworthy.core.errors import StoreError
from tuneworthy.core.plan import Plan
from tuneworthy.core.run import Run
from tuneworthy.ledger.store import Ledger
from tuneworthy.matrix.columns import by_spec

LEAST_MEASURED_MINUTES = 0.5  # planned minutes that must be measured before estimates are corrected
MOST_CORRECTION = 4.0  # the largest factor by which estimates are corrected, up or down


@dataclass
class PaceCorrection:
    """The minutes that were planned and that were taken so far, by pace."""

    planned: dict[str, float] = field(default_factory=dict)
    took: dict[str, float] = field(default_factory=dict)

    def add(self, pace: str, planned: float, took: float) -> None:
        """Add what an arm was planned to take, and took."""
        for totals, minutes in ((self.planned, planned), (self.took, took)):
            totals[pace] = totals.get(pace, 0.0) + minutes

    def corrected(self, planned: float, pace: str) -> float:
        """Return planned minutes corrected by the ratio of measured to planned time so far.

        The ratio is that of arms of the same pace if enough of those were measured, else of all.
        """
        known = self.planned.get(pace, 0.0) >= LEAST_MEASURED_MINUTES and pace
        before = self.planned.get(pace, 0.0) if known else sum(self.planned.values())
        if before < LEAST_MEASURED_MINUTES:
            return planned
        took = self.took[pace] if known else sum(self.took.values())
        return planned * min(MOST_CORRECTION, max(1 / MOST_CORRECTION, took / before))


def spent_key(minutes: float) -> str:
    """Return the ledger key of the minutes that a study with this limit has spent."""
    return f"spent of {minutes:g} minutes"


def at_measured_pace(
    plan: Plan, runs: Sequence[Run], corrected: Callable[[float, str], float]
) -> Plan:
    """Return the plan with corrected minutes for every arm that did not run on all its folds.

    The next step names these minutes, and the stage rule asks for as many before it runs the arm.
    """
    folds = {name: {run.fold for run in own if run.scores} for name, own in by_spec(runs).items()}
    arms = []
    for arm in plan.arms:
        if not arm.because and len(folds.get(arm.spec.name, ())) < len(arm.folds):
            minutes = round(corrected(arm.minutes, arm.pace), 3)
            arm = arm.model_copy(update={"minutes": minutes})
        arms.append(arm)
    return plan.model_copy(update={"arms": tuple(arms)})


@dataclass(frozen=True)
class KeptMinutes:
    """The minutes of one study's steps, as its ledger keeps them."""

    ledger: Ledger
    study: str

    def end(self, limit: float, spent: float) -> None:
        """Keep the minutes that the study with this limit has spent."""
        self.ledger.freeze(self.study, spent_key(limit), {"minutes": round(spent, 4)})

    def folds_done(self, arm: str, folds: Sequence[int]) -> int:
        """Return how many of the first of these folds one earlier step has measured."""
        counts = range(len(folds), 0, -1)
        return next((n for n in counts if self._of(_step(arm, folds[:n])) is not None), 0)

    @contextmanager
    def count_folds(self, arm: str, folds: Sequence[int]) -> Iterator[list[float]]:
        """Count the block that measures an arm on these folds, some of which may be done already.

        The minutes of the folds that were done before are those of then.
        """
        done = self.folds_done(arm, folds)
        before = _step(arm, folds[:done]) if 0 < done < len(folds) else ""
        with self.count(_step(arm, folds), before) as minutes:
            yield minutes

    @contextmanager
    def count(self, what: str, before: str = "") -> Iterator[list[float]]:
        """Yield a list that receives the minutes of the block, or of its first run.

        `before` is a step that this one contains and that was done: its minutes are added. A block
        that ends by an error or a stop keeps its minutes, for the run that resumes it.
        """
        stopped, begun, minutes = self._stopped(what), time.perf_counter(), list[float]()
        try:
            yield minutes
        except BaseException:
            with suppress(StoreError):  # the error of the block says more
                self._keep(f"{what}, stopped {len(stopped) + 1}", _minutes_since(begun))
            raise
        earlier = (self._of(before) or 0.0) if before else 0.0
        minutes.append(self._keep(what, sum(stopped) + earlier + _minutes_since(begun)))

    def _stopped(self, what: str) -> list[float]:
        parts: list[float] = []
        while (part := self._of(f"{what}, stopped {len(parts) + 1}")) is not None:
            parts.append(part)
        return parts

    def _of(self, what: str) -> float | None:
        kept = self.ledger.frozen(self.study, _key(what))
        return None if kept is None else float(kept["minutes"])

    def _keep(self, what: str, minutes: float) -> float:
        kept = self.ledger.freeze(self.study, _key(what), {"minutes": round(minutes, 4)})
        return float(kept["minutes"])


def _step(arm: str, folds: Sequence[int]) -> str:
    return f"{arm} {tuple(folds)}"


def _key(what: str) -> str:
    return f"minutes of {what}"


def _minutes_since(begun: float) -> float:
    return (time.perf_counter() - begun) / 60
