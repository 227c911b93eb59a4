"""What is asked before the matrix can be read across: placebos and pilots, on which cases.

A placebo is asked only where its arm passes more cases than the base (without that nothing can
act) or where failures are few; on all failed cases and at most 60 of the passed ones. An arm that
is too dear for every case (ON_FAILURES) is asked on at most 60 of the failed ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tuneworthy.compare.choice import own_prompts
from tuneworthy.core.arm import Recipe
from tuneworthy.core.plan import PlannedArm
from tuneworthy.core.plugins import load
from tuneworthy.core.record import digest
from tuneworthy.core.run import Run, Spec
from tuneworthy.core.specs import probes_of, trains, variant_of
from tuneworthy.core.task import Task
from tuneworthy.diagnose.diagnosis import Column, base_of, columns, compared, hopeful
from tuneworthy.measure.planning import ON_FAILURES
from tuneworthy.measure.units import Bench, measure
from tuneworthy.metrics import sees_sets

PASSED = 60  # passed cases that a placebo is asked on
PART = "asked on failed cases and some of the passed ones, to read across"


@dataclass(frozen=True)
class Probe:
    """An arm, a pilot or a placebo that is asked on some cases only."""

    planned: PlannedArm
    cases: frozenset[str]

    def run(self, bench: Bench, recipes: Sequence[Recipe], runs: Sequence[Run]) -> list[Run]:
        """Return its runs, marked as what they are: no score of the task, and never timed.

        A placebo is handed the prompt that its arm ended up with in each fold.
        """
        recipes = own_prompts(runs, self.planned.spec.of, recipes)
        # Nothing is chosen between a pilot's epochs: it and its placebo both keep the last.
        trained = hasattr(load("arms", self.planned.spec.arm), "pilot")
        dev: dict[str, Any] = {"dev": ()} if trained else {}
        parts = tuple(
            part.model_copy(update={"test": tuple(i for i in part.test if i in self.cases), **dev})
            for part in bench.split.parts
        )
        some = replace(bench, split=bench.split.model_copy(update={"parts": parts}), timed=False)
        folds = tuple(fold for fold in self.planned.folds if parts[fold].test)
        found = measure(some, self.planned.model_copy(update={"folds": folds}), recipes, False)
        change = {"state": "stopped_early", "because": PART}
        return [run.model_copy(update=change) if run.state == "measured" else run for run in found]


def probes(
    bench: Bench,
    arms: Sequence[PlannedArm],
    runs: Sequence[Run],
    paid: bool,
    read: int | None = None,
) -> list[Probe]:
    """Return what is still to be asked before the matrix can be read across.

    `read`: at most so many failed and so many passed cases, None for every failed and 60 passed.
    """
    task = bench.task
    table = columns(task, runs)
    rows = max(len(part.train) for part in bench.split.parts)
    base = base_of(table)
    if base is None:
        return []
    base = compared(base, table, bench.split)
    if all(base.passed.values()):
        return []
    most = ON_FAILURES if read is None else min(read, ON_FAILURES)
    few = _sample(task, base, most, 0)
    some = _sample(task, base, ON_FAILURES if paid and read is None else read, min(most, PASSED))
    done = {run.spec.name for run in runs}
    found: list[Probe] = []
    for planned in arms:
        for spec in _tried(task, planned, base, table, rows):
            if spec.name not in done:
                cases = few if spec == planned.spec else some
                found.append(Probe(_as_planned(planned, spec), cases))
    return found


def _sample(task: Task, base: Column, failed: int | None, passed: int) -> frozenset[str]:
    """Return at most so many failed cases (None: all) and passed ones, the same for every arm.

    Every case where the metric looks at all answers together: a part of them scores otherwise.
    """
    if sees_sets(task):
        return frozenset(base.passed)

    def first(ids: list[str], most: int | None) -> list[str]:
        return sorted(ids, key=lambda i: digest([task.seed, "across", i]))[:most]

    fails = [i for i, right in base.passed.items() if not right]
    passes = [i for i, right in base.passed.items() if right]
    return frozenset([*first(fails, failed), *first(passes, passed)])


def _tried(
    task: Task, planned: PlannedArm, base: Column, table: Mapping[str, Column], rows: int
) -> list[Spec]:
    """Return the specs that must be asked for one arm: itself or its pilot, and its placebo."""
    spec, arm = planned.spec, load("arms", planned.spec.arm)
    if planned.because or spec.name == base.spec.name or variant_of(task, spec) >= 0:
        return []
    found, own = probes_of(spec, rows), table.get(spec.name)
    if getattr(arm, "ON_FAILURES", False) and own is None:
        return [spec, *found]
    if own is None:  # a pilot runs before the arm itself is paid for
        return found if hasattr(arm, "pilot") else []
    return found if hopeful(own, base) else []


def _as_planned(planned: PlannedArm, spec: Spec) -> PlannedArm:
    """Return a probe as it is run: one seed, and what is trained for it on one fold."""
    folds = planned.folds[:1] if trains(spec) else planned.folds
    return PlannedArm(spec=spec, folds=folds, seeds=planned.seeds[:1])
