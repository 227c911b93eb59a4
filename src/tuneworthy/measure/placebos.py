"""Select the placebos and pilots that the diagnosis needs, and the cases they run on; run them.

A placebo runs only if its arm passes more cases than the base (otherwise the remedy cannot act) or
if failures are few. It runs on failed cases alone: asking it of passed ones too names planted
causes no better (bench/causes.py). A pilot also runs on at most 60 passed cases, which show what it
harms. An arm that is too dear for every case (ON_FAILURES) runs on at most 60 failed ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tuneworthy.explain.diagnosis import (
    AnswerColumn,
    answer_columns,
    base_of,
    comparable_base,
    may_act,
)
from tuneworthy.matrix.ladder import own_prompts
from tuneworthy.measure.answering import Runner
from tuneworthy.measure.planning import ON_FAILURES
from tuneworthy.measure.units import measure
from tuneworthy.metrics import scores_by_set
from tuneworthy.records.arm import Recipe
from tuneworthy.records.plan import PlannedArm
from tuneworthy.records.plugins import load
from tuneworthy.records.reason import Reason
from tuneworthy.records.record import digest
from tuneworthy.records.run import Run, Spec
from tuneworthy.records.specs import diagnosis_runs, trains, variant_of
from tuneworthy.records.task import Task

_IN_PART = Reason(text="asked on a part of the cases, to read across")


@dataclass(frozen=True)
class Probe:
    """An arm, a pilot or a placebo that runs on a subset of the cases."""

    planned: PlannedArm
    cases: frozenset[str]

    @property
    def most_minutes(self) -> tuple[float, str]:
        """Return (the most minutes that the probe takes, the pace at which it trains)."""
        return self.planned.minutes, self.planned.pace

    def run(self, runner: Runner, recipes: Sequence[Recipe], runs: Sequence[Run]) -> list[Run]:
        """Run the probe on its cases; return the runs, untimed and marked `stopped_early`.

        They are no score of the task. A placebo gets the prompt that its arm used in each fold.
        """
        recipes = own_prompts(runs, self.planned.spec.of, recipes)
        # Without dev rows a pilot and its placebo both keep their last epoch.
        trained = hasattr(load("arms", self.planned.spec.arm), "pilot")
        dev: dict[str, Any] = {"dev": ()} if trained else {}
        parts = tuple(
            part.model_copy(update={"test": tuple(i for i in part.test if i in self.cases), **dev})
            for part in runner.split.parts
        )
        subset = replace(
            runner, split=runner.split.model_copy(update={"parts": parts}), timed=False
        )
        folds = tuple(fold for fold in self.planned.folds if parts[fold].test)
        measured = measure(subset, self.planned.model_copy(update={"folds": folds}), recipes, False)
        change = {"state": "stopped_early", "because": _IN_PART}
        return [
            run.model_copy(update=change) if run.state == "measured" else run for run in measured
        ]


def probes(
    runner: Runner,
    arms: Sequence[PlannedArm],
    runs: Sequence[Run],
    paid: bool,
    read: int | None = None,
) -> list[Probe]:
    """Return the placebos, pilots and arms that the diagnosis must still run, with their cases.

    `read`: the most failed cases, and the most passed ones of a pilot; None for every failed and
    60 passed ones.
    """
    task = runner.task
    table = answer_columns(task, runs)
    rows = max(len(part.train) for part in runner.split.parts)
    base = base_of(table)
    if base is None:
        return []
    base = comparable_base(base, table, runner.split)
    if all(base.passed.values()):
        return []
    most = ON_FAILURES if read is None else min(read, ON_FAILURES)
    failed = ON_FAILURES if paid and read is None else read
    parts = () if runner.split.by_time else runner.split.parts  # early rows do not represent all
    fold = {case: at for at, part in enumerate(parts) for case in part.test}
    placebo_cases = _sampled_cases(task, base, fold, failed, 0)
    pilot_cases = _sampled_cases(task, base, fold, failed, most)
    dear_cases = _sampled_cases(task, base, fold, most, 0)
    done = {run.spec.name for run in runs}
    result: list[Probe] = []
    for planned in arms:
        for spec in _arm_and_placebo_specs(task, planned, base, table, rows):
            if spec.name not in done:
                cases = placebo_cases if spec.of else pilot_cases
                cases = dear_cases if spec == planned.spec else cases
                share = len(cases) / len(base.passed)
                result.append(Probe(_probe_plan(planned, spec, share), cases))
    return result


def _sampled_cases(
    task: Task, base: AnswerColumn, fold: Mapping[str, int], failed: int | None, passed: int
) -> frozenset[str]:
    """Return ids of at most `failed` failed (None: all) and `passed` passed cases.

    The first folds (`fold`: by case) come first, since training is probed there alone; then a hash
    chooses. Returns every case for a metric that scores all answers together, since a subset would
    score differently.
    """
    if scores_by_set(task):
        return frozenset(base.passed)

    def first(ids: list[str], most: int | None) -> list[str]:
        return sorted(ids, key=lambda i: (fold.get(i, 0), digest([task.seed, "across", i])))[:most]

    fails = [i for i, right in base.passed.items() if not right]
    passes = [i for i, right in base.passed.items() if right]
    return frozenset([*first(fails, failed), *first(passes, passed)])


def _arm_and_placebo_specs(
    task: Task,
    planned: PlannedArm,
    base: AnswerColumn,
    table: Mapping[str, AnswerColumn],
    rows: int,
) -> list[Spec]:
    """Return the specs to run for an arm (itself or its pilot, its placebo); [] if it can't act."""
    spec, arm = planned.spec, load("arms", planned.spec.arm)
    if planned.because or spec.name == base.spec.name or variant_of(task, spec) >= 0:
        return []
    specs, own = diagnosis_runs(spec, rows), table.get(spec.name)
    if getattr(arm, "ON_FAILURES", False) and own is None:
        return [spec, *specs]
    if own is None:  # a pilot runs before the arm itself is paid for
        return specs if hasattr(arm, "pilot") else []
    return specs if may_act(own, base) else []


def _probe_plan(planned: PlannedArm, spec: Spec, share: float) -> PlannedArm:
    """Return the plan of a probe: one seed, and one fold if it trains.

    Its minutes are at most those of its arm on this `share` of the cases, or on one fold.
    """
    folds = planned.folds[:1] if trains(spec) else planned.folds
    part = 1 / max(len(planned.folds), 1) if trains(spec) else min(share, 1.0)
    minutes = planned.minutes * part / max(len(planned.seeds), 1)
    return PlannedArm(
        spec=spec, folds=folds, seeds=planned.seeds[:1], minutes=minutes, pace=planned.pace
    )
