"""Read the matrix across while it is measured: which placebos to run, on which cases, and what the
answers then show. Knows no arm by name; what an arm repairs it declares itself (REMEDY).

A placebo is asked only where its arm passes more cases than the base (without that nothing can
act) or where failures are few; on all failed cases and at most 60 of the passed ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tuneworthy.core.answer import Answer
from tuneworthy.core.arm import Recipe
from tuneworthy.core.case import Case
from tuneworthy.core.causes import Base, Diagnosis, Intervention
from tuneworthy.core.plan import PlannedArm
from tuneworthy.core.plugins import load
from tuneworthy.core.record import digest
from tuneworthy.core.run import Run, Spec
from tuneworthy.core.task import Task
from tuneworthy.data.folds import Split
from tuneworthy.matrix.causes import FEW, diagnose
from tuneworthy.matrix.compare import PRESENT
from tuneworthy.matrix.labels import contradicted, doubts
from tuneworthy.matrix.literal import literal
from tuneworthy.matrix.measure import Bench, Metric, measure
from tuneworthy.matrix.rescore import passes, rescored, strangers
from tuneworthy.matrix.specs import probes_of, variant_of
from tuneworthy.stats import bounds

PASSED = 60  # passed cases that a placebo is asked on, and failed ones where each answer is paid
PART = "asked on failed cases and some of the passed ones, to read across"


@dataclass(frozen=True)
class Column:
    """One arm's answers and whether each passes, by case; of several seeds the smallest."""

    spec: Spec
    answers: dict[str, Answer]
    passed: dict[str, bool]


@dataclass(frozen=True)
class Probe:
    """An arm, a pilot or a placebo that is asked on some cases only."""

    planned: PlannedArm
    cases: frozenset[str]

    def run(self, bench: Bench, recipes: Sequence[Recipe]) -> list[Run]:
        """Return its runs, marked as what they are: no score of the task, and never timed."""
        parts = tuple(
            part.model_copy(update={"test": tuple(i for i in part.test if i in self.cases)})
            for part in bench.split.parts
        )
        some = replace(bench, split=bench.split.model_copy(update={"parts": parts}), timed=False)
        folds = tuple(fold for fold in self.planned.folds if parts[fold].test)
        runs = measure(some, self.planned.model_copy(update={"folds": folds}), recipes, False)
        change = {"state": "stopped_early", "because": PART}
        return [run.model_copy(update=change) if run.state == "measured" else run for run in runs]


def columns(task: Task, runs: Sequence[Run]) -> dict[str, Column]:
    """Return every arm that answered, placebos and pilots among them."""
    found: dict[str, Column] = {}
    for run in sorted(runs, key=lambda r: -r.seed):  # the smallest seed is written last
        if run.state not in {"measured", "stopped_early"}:
            continue
        column = found.setdefault(run.spec.name, Column(run.spec, {}, {}))
        for answer, score in zip(run.answers, run.scores, strict=True):
            column.answers[answer.case] = answer
            column.passed[answer.case] = passes(score, _least(task))
    return found


def base_of(table: Mapping[str, Column]) -> Column | None:
    """Return what is read across: what runs today, else the simplest prompt."""
    whole = [c for c in table.values() if c.spec.role == "candidate"]
    now = [c for c in whole if c.spec.arm == PRESENT]
    rivals = now or [c for c in whole if c.spec.tool == "prompt"]
    return min(rivals, key=lambda c: (c.spec.simplicity, c.spec.name), default=None)


def probes(task: Task, arms: Sequence[PlannedArm], runs: Sequence[Run], paid: bool) -> list[Probe]:
    """Return what is still to be asked before the matrix can be read across."""
    table = columns(task, runs)
    base = base_of(table)
    if base is None or all(base.passed.values()):
        return []
    cases = _sample(task, base, paid)
    done = {run.spec.name for run in runs}
    found: list[Probe] = []
    for planned in arms:
        for spec in _tried(task, planned, base, table):
            if spec.name not in done:
                found.append(Probe(_as_planned(planned, spec), cases))
    return found


def _sample(task: Task, base: Column, paid: bool) -> frozenset[str]:
    def first(ids: list[str], most: int) -> list[str]:
        return sorted(ids, key=lambda i: digest([task.seed, "across", i]))[:most]

    fails = [i for i, passed in base.passed.items() if not passed]
    passes = [i for i, passed in base.passed.items() if passed]
    return frozenset([*(first(fails, PASSED) if paid else fails), *first(passes, PASSED)])


def _tried(
    task: Task, planned: PlannedArm, base: Column, table: Mapping[str, Column]
) -> list[Spec]:
    """Return the specs that must be asked for one arm: itself or its pilot, and its placebo."""
    spec, arm = planned.spec, load("arms", planned.spec.arm)
    if planned.because or spec.name == base.spec.name or variant_of(task, spec) >= 0:
        return []
    found, own = probes_of(spec), table.get(spec.name)
    if getattr(arm, "ON_FAILURES", False) and own is None:
        return [spec, *found]
    if hasattr(arm, "pilot") or (own is not None and _hopeful(own, base)):
        return found
    return []


def _hopeful(own: Column, base: Column) -> bool:
    """Return whether the arm is shown to pass more than the base, or failures are too few to say.

    Else it cannot act (causes.diagnose asks for both), and its placebo is not worth asking.
    """
    ids = [i for i in base.passed if i in own.passed]
    gain = np.array([float(own.passed[i]) - float(base.passed[i]) for i in ids])
    fails = sum(not base.passed[i] for i in ids)
    rescued = bool((gain > 0).any())
    return rescued and (fails <= FEW or bounds.paired(gain, 0.025).low > 0)


def _as_planned(planned: PlannedArm, spec: Spec) -> PlannedArm:
    """Return a probe as it is run: one seed, and a pilot beside its placebo on one fold."""
    pilots = spec.role == "ceiling" or spec.of not in ("", planned.spec.name)
    folds = planned.folds[:1] if pilots else planned.folds
    return PlannedArm(spec=spec, folds=folds, seeds=planned.seeds[:1])


def across(
    task: Task,
    cases: Sequence[Case],
    runs: Sequence[Run],
    metric: Metric,
    split: Split,
    others: Sequence[Case] = (),
) -> Diagnosis | None:
    """Return the diagnosis that the runs allow, None where there is no base to read across.

    `others` are further labelled rows, which labels are compared with.
    """
    table = columns(task, runs)
    base = base_of(table)
    if base is None:
        return None
    fails = tuple(sorted(i for i, passed in base.passed.items() if not passed))
    ground = Base(
        arm=base.spec.name,
        fails=fails,
        passes=tuple(sorted(i for i, passed in base.passed.items() if passed)),
        groups={i: split.groups[i] for i in base.passed if i in split.groups},
        conflicts=contradicted(doubts(task, cases, others), fails) if fails else (),
        literal=literal(task, cases, fails),
        margin=task.success.margin,
    )
    known = [case for case in cases if case.id in base.passed]
    free = rescored(task, metric, known, base.answers, _least(task), task.seed) if fails else []
    return diagnose(ground, [*free, *_interventions(task, known, table, base, metric)])


def _interventions(
    task: Task, cases: Sequence[Case], table: Mapping[str, Column], base: Column, metric: Metric
) -> Iterator[Intervention]:
    placebos = {column.spec.of: column for column in table.values() if column.spec.of}
    for name, column in table.items():
        arm = load("arms", column.spec.arm)
        remedy = getattr(arm, "REMEDY", None)
        if remedy is None or column.spec.of or name == base.spec.name or f"{name} pilot" in table:
            continue
        if variant_of(task, column.spec) >= 0:
            continue
        given: dict[str, Any] = {"name": name, "remedy": remedy, "passed": column.passed}
        if getattr(arm, "PERMUTED", False):
            given |= {"placebo": "another case's answer",
                      "placebo_passed": _permuted(task, cases, column, metric)}  # fmt: skip
        elif other := placebos.get(name):
            shares = {i: float(passed) for i, passed in other.passed.items()}
            given |= {"placebo": getattr(arm, "PLACEBO", f"the placebo of {name}"),
                      "placebo_passed": shares}  # fmt: skip
        elif hasattr(arm, "placebo"):
            given["because"] = "its placebo was not asked: it does not pass more than the base"
        else:
            given["because"] = "it has no placebo"
        yield Intervention(**given)


def _permuted(
    task: Task, cases: Sequence[Case], column: Column, metric: Metric
) -> dict[str, float]:
    """Return, by case, how often its answer passes for right beside another case's answer."""
    out = {}
    for i, others in strangers(task, cases, task.seed).items():
        if others and (answer := column.answers.get(i)) is not None:
            scores = [metric(c, answer.model_copy(update={"case": c.id})) for c in others]
            out[i] = sum(passes(score, _least(task)) for score in scores) / len(scores)
    return out


def _least(task: Task) -> float:
    """Return the score from which a case passes; filled in when the rows are read."""
    return 1.0 if task.success.pass_at is None else task.success.pass_at
