"""Cut a plan until a training fits the minutes; keep the minutes of each step in the ledger."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from tuneworthy.matrix.columns import PRESENT_ARM, by_spec
from tuneworthy.metrics import scores_by_set
from tuneworthy.records.errors import StoreError
from tuneworthy.records.plan import LEAST_DIAGNOSED_CASES, NO_DIAGNOSIS_CUT, Plan, PlannedArm
from tuneworthy.records.reason import NO_ROOM, Reason
from tuneworthy.records.run import Run, Spec
from tuneworthy.records.specs import (
    builds_on_prompt,
    is_recorded,
    learns_from_teacher,
    times_asked,
    trains,
    tunes_encoder,
    variant_of,
)
from tuneworthy.records.split import Split
from tuneworthy.records.task import Task
from tuneworthy.store.store import Ledger

EXPLAIN_SHARE = 0.15  # share of the minutes kept for what explains the verdict

MINUTES_SAFETY = 1.2  # times the minutes that a step is expected to take must fit

# Minutes that the first look, reading a finished step again, or what explains may take at least.
LEAST_MINUTES = 1.0

_LEAST_TRAINING_ROWS = 100  # the fewest rows that training is cut to
_AT_ONCE_MINUTES = 0.1  # minutes up to which an arm is not taken step by step
_CHEAP_SHARE = 0.02  # share of the minutes of an arm that is measured to its end once it is begun
_MOST_LOOKED_FOLDS = 2  # folds after which an arm that goes on is measured to its end
_FIRST_STEP = 32  # cases that an arm without training is scored on first: one batch
_STEP_GROWTH = 4  # times as many cases has each further step, up to the whole first fold


@dataclass(frozen=True)
class PlanLimits:
    """The limits of a plan: the seeds of training arms, and what the minutes leave of the rest.

    `tried` is the most prompts of a search (an arm with a `budget`), None for its own budget;
    `rows` the most training rows, `folds` the most folds of training arms, None for all; `read` as
    in `Plan`.
    """

    seeds: int
    folds: int | None = None
    tried: int | None = None
    rows: int | None = None
    read: int | None = None


def fewer_rows(arms: Sequence[Spec], rows: int) -> Iterator[tuple[int, str]]:
    """Yield ever fewer (training rows, the printed line of that cut).

    `arms` are those that can be measured here; `rows` is the number of training rows.
    """
    learnt = max((cuttable_rows(spec, rows) for spec in arms if trains(spec)), default=0)
    while learnt > _LEAST_TRAINING_ROWS:
        learnt = max(_LEAST_TRAINING_ROWS, round(0.08 * learnt) * 10)
        yield learnt, f"training on {learnt} of {rows} rows"


def diagnosis_size(
    minutes: Callable[[int | None], float], most: float, scheduled: bool
) -> tuple[int | None, str]:
    """Return (`read` of a plan, its printed line if cut) of the largest diagnosis within `most`.

    `minutes` returns what a diagnosis of this size takes. The schedule reads 60 failed cases, which
    name planted causes (docs/evidence/causes.md); without it all are read. The smallest size stays,
    and runs as far as the minutes go.
    """
    read = next((n for n in (None, 60)[scheduled:] if minutes(n) <= most), LEAST_DIAGNOSED_CASES)
    if scheduled and read == 60:
        return read, ""
    text = f"what was wrong is read on at most {read} failed cases"
    return read, "" if read is None else text


def needed_minutes(arms: Sequence[PlannedArm]) -> float:
    """Return the minutes of the smallest study that trains: the first fold of the dearest training.

    Before it come the arms that run at once, and the first step of one prompt.
    """
    dearest = _dearest_fold(arms)
    asked = [arm.unit_minutes[0] for arm in arms if arm.scheduled and not trains(arm.spec)]
    at_once = sum(arm.minutes for arm in arms if not arm.scheduled and not trains(arm.spec))
    return dearest + at_once + min(asked, default=0.0)


def _dearest_fold(arms: Sequence[PlannedArm]) -> float:
    """Return the minutes of the dearest first fold of a training arm, 0 without one."""
    return max((arm.first_minutes for arm in arms if trains(arm.spec)), default=0.0)


def affordable_folds(arms: Sequence[PlannedArm], room: float) -> tuple[int, float]:
    """Return on how many folds the dearest training arm fits, 1 or more; minutes of all but one.

    An arm that can't be scored on all folds spends its error on those that it can be scored on.
    """
    dearest, most = _dearest_fold(arms), max((len(arm.folds) for arm in arms), default=1)
    rest = max(room - needed_minutes(arms), 0.0)
    return min(most, 1 + int(rest / dearest)) if dearest else most, (most - 1) * dearest


def units_of(
    task: Task, spec: Spec, folds: int, split: Split, minutes: float
) -> tuple[tuple[int, int], ...]:
    """Return the steps of an arm on so many folds; () for one that runs at once.

    References, recorded systems, plain classifiers and whatever else takes seconds run at once;
    arms that train, search or vary another never do. An arm that trains, or uses the prompt of
    another, takes whole folds; any other begins with 32 cases, then four times as many and so on.
    Rows in time order are scored in whole folds too, since the first ones do not represent all.
    """
    taught = trains(spec) or learns_from_teacher(spec) or tunes_encoder(spec)
    chosen = taught or prompts_tried(spec) > 0 or variant_of(task, spec) >= 0
    quick = spec.role == "reference" or (spec.tool == "classifier" and not taught)
    if quick or is_recorded(task, spec):
        return ()
    if minutes <= _AT_ONCE_MINUTES and not chosen:
        return ()
    sizes = [len(part.test) for part in split.learning[:folds]]
    alike = not (split.by_time or scores_by_set(task))
    whole = taught or builds_on_prompt(spec) or not alike
    first, cases = list[tuple[int, int]](), _FIRST_STEP
    while not whole and cases < sizes[0]:
        first.append((0, cases))
        cases *= _STEP_GROWTH
    return (*first, *enumerate(sizes))


def looked_after(units: Sequence[tuple[int, int]], share: float) -> tuple[float, ...]:
    """Return after how many folds an arm with these steps may end, besides all of them.

    That is after its first cases, one and two folds: each look costs error, and an arm that is open
    after two folds is mostly open to the end. An arm that takes a small `share` of the minutes may
    end after its first cases alone.
    """
    size, most = dict(units), 1 if share <= _CHEAP_SHARE else _MOST_LOOKED_FOLDS
    positions = (fold + cases / max(size[fold], 1) for fold, cases in units[:-1])
    return tuple(at for at in positions if at < most or at == most == _MOST_LOOKED_FOLDS)


def always_runs(arm: PlannedArm, arms: Sequence[PlannedArm]) -> bool:
    """Return whether an arm is part of the first look whatever its score could be.

    Those without steps take seconds; what runs today and the simplest prompt are what all else is
    compared with.
    """
    spec = arm.spec
    if not arm.scheduled or spec.arm == PRESENT_ARM:
        return True
    prompts = [
        one.spec for one in arms
        if not one.because and one.spec.tool == "prompt" and one.spec.role == "candidate"
    ]  # fmt: skip
    return bool(prompts) and spec == min(prompts, key=lambda s: (s.simplicity, s.name))


def prompts_tried(spec: Spec) -> int:
    """Return how many prompts an arm tries; 0 without a search or with options set by the user."""
    return 0 if "(" in spec.name else int(spec.options.get("budget", 0))


def cuttable_rows(spec: Spec, rows: int) -> int:
    """Return how many rows an arm learns from if a plan may cut them; 0 if it may not."""
    return rows if "rows" in spec.options and "(" not in spec.name else 0


def fit_extras(plan: Plan, left: float) -> Plan:
    """Return the plan with only the optional measurements that fit the minutes left.

    They are taken in the order of the plan; what a limit needs stays.
    """
    room, extras = max(0.0, left), []
    for extra in plan.beside:
        if not extra.because and extra.minutes > room and not extra.needed:
            extra = extra.model_copy(update={"because": str(NO_ROOM)})
        elif not extra.because:
            room -= extra.minutes
        extras.append(extra)
    return plan.model_copy(update={"beside": tuple(extras)})


def minutes_beside(plan: Plan, left: float) -> float | None:
    """Return the most minutes of what is measured after the arms; None without a limit.

    There is none without the schedule, nor for what a limit of the task needs. Else it may take a
    minute, as the first look may.
    """
    needed = any(extra.needed and not extra.because for extra in plan.beside)
    return None if needed or not plan.staged else max(left, LEAST_MINUTES)


def without_extras(plan: Plan, why: Reason) -> Plan:
    """Return the plan with no optional measurement, for this reason; it overrules no other one."""
    extras = [e if e.because else e.model_copy(update={"because": str(why)}) for e in plan.beside]
    return plan.model_copy(update={"beside": tuple(extras)})


def without_diagnosis(plan: Plan) -> Plan:
    """Return the plan with no cause read: there were no minutes for placebos."""
    cuts = (*(line for line in plan.cuts if line != NO_DIAGNOSIS_CUT), NO_DIAGNOSIS_CUT)
    return plan.model_copy(update={"read": 0, "cuts": cuts})


def asked_again_line(task: Task, planned: Sequence[PlannedArm]) -> str:
    """Return a line naming the arms asked `repeats` times a row; "" for a task that asks once."""
    if task.repeats == 1:
        return ""
    again = [a.spec.name for a in planned if not a.because and times_asked(task, a.spec) > 1]
    if not again:
        return "Each row is asked once: no prompt has a temperature above 0."
    names = ", ".join(again)
    return f"Asked {task.repeats} times a row: {names}. All else is asked once."


_LEAST_MEASURED_MINUTES = (
    0.5  # planned minutes that must be measured before estimates are corrected
)

_MOST_CORRECTION = 10.0  # the largest factor by which estimates are corrected, up or down


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
        known = self.planned.get(pace, 0.0) >= _LEAST_MEASURED_MINUTES and pace
        before = self.planned.get(pace, 0.0) if known else sum(self.planned.values())
        if before < _LEAST_MEASURED_MINUTES:
            return planned
        took = self.took[pace] if known else sum(self.took.values())
        return planned * min(_MOST_CORRECTION, max(1 / _MOST_CORRECTION, took / before))


def spent_key(minutes: float) -> str:
    """Return the ledger key of the minutes that a study with this limit has spent."""
    return f"spent of {minutes:g} minutes"


def at_measured_pace(
    plan: Plan, runs: Sequence[Run], corrected: Callable[[float, str], float]
) -> Plan:
    """Return the plan with corrected minutes for every arm that did not run on all its folds.

    The next step names these minutes.
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
    """The steps of one study and their minutes, as its ledger keeps them."""

    ledger: Ledger
    study: str

    def end(self, limit: float, spent: float) -> None:
        """Keep the minutes that the study with this limit has spent."""
        self.ledger.freeze(self.study, spent_key(limit), {"minutes": round(spent, 4)})

    def steps(self) -> Iterator[tuple[str, int]]:
        """Yield (arm, number of its step) of each step that an earlier run began, in order."""
        at = 0
        while (kept := self.ledger.frozen(self.study, f"step {at}")) is not None:
            yield str(kept["arm"]), int(kept["step"])
            at += 1

    def keep_step(self, at: int, arm: str, step: int) -> None:
        """Keep which step is the study's `at`-th, from 0: a run that resumes takes the same."""
        self.ledger.freeze(self.study, f"step {at}", {"arm": arm, "step": step})

    @contextmanager
    def count(self, what: str) -> Iterator[list[float]]:
        """Yield a list that receives the minutes of the block, or of its first run.

        A block that ends by an error or a stop keeps its minutes, for the run that resumes it.
        """
        stopped, begun, minutes = self._stopped_minutes(what), time.perf_counter(), list[float]()
        try:
            yield minutes
        except BaseException:
            with suppress(StoreError):  # the error of the block says more
                self._keep(f"{what}, stopped {len(stopped) + 1}", _minutes_since(begun))
            raise
        minutes.append(self._keep(what, sum(stopped) + _minutes_since(begun)))

    def known(self, what: str) -> tuple[float | None, float]:
        """Return (minutes of a block, None before it ended; those of its stopped runs)."""
        return self._kept(what), sum(self._stopped_minutes(what))

    def _stopped_minutes(self, what: str) -> list[float]:
        parts: list[float] = []
        while (part := self._kept(f"{what}, stopped {len(parts) + 1}")) is not None:
            parts.append(part)
        return parts

    def _kept(self, what: str) -> float | None:
        kept = self.ledger.frozen(self.study, _ledger_key(what))
        return None if kept is None else float(kept["minutes"])

    def _keep(self, what: str, minutes: float) -> float:
        kept = self.ledger.freeze(self.study, _ledger_key(what), {"minutes": round(minutes, 4)})
        return float(kept["minutes"])


def _ledger_key(what: str) -> str:
    return f"minutes of {what}"


def _minutes_since(begun: float) -> float:
    return (time.perf_counter() - begun) / 60
