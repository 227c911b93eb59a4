"""Cut a plan until it fits the minutes, and keep the minutes of each step in the ledger."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from tuneworthy.matrix.columns import by_spec
from tuneworthy.records.errors import StoreError
from tuneworthy.records.plan import LEAST_DIAGNOSED_CASES, NO_DIAGNOSIS_CUT, Plan, PlannedArm
from tuneworthy.records.reason import NO_ROOM
from tuneworthy.records.run import Run, Spec
from tuneworthy.records.specs import (
    is_recorded,
    learns_from_teacher,
    times_asked,
    trains,
    variant_of,
)
from tuneworthy.records.split import Split
from tuneworthy.records.task import Task
from tuneworthy.store.store import Ledger

LEAST_PROMPTS_TRIED = 2  # the fewest prompts of a search: the starting prompt and one more

_LEAST_TRAINING_ROWS = 100  # the fewest rows that training is cut to

FOLDS_BEFORE_LOOK = 1  # folds that an arm runs on before the stage rule looks at it

LEAST_FOLDS = 2  # folds of a training arm if there is no time for all of them

_DEAR_SHARE = 0.04  # share of the minutes above which an arm that does not train is worth a look

SEARCH_SHARE = 0.15  # share of the minutes that a prompt search may be planned to take

_LEFT_EXAMPLES = 4  # examples left in a prompt whose examples differ by input


@dataclass(frozen=True)
class PlanLimits:
    """The limits of a plan: seeds and folds of training arms, and `most_k` examples in a prompt.

    `tried` is the most prompts of a search (an arm with a `budget`), None for its own budget;
    `rows` the most training rows, None for all; `read` as in `Plan`; `parts` the most folds that an
    arm without training is scored on, None for all; `look`: the stage rule also looks at arms that
    do not train.
    """

    seeds: int
    folds: int
    most_k: int | None
    tried: int | None = None
    rows: int | None = None
    read: int | None = None
    parts: int | None = None
    look: bool = False


@dataclass
class _CutState:
    """The current limits (`now`), and the printed line of each cut by subject (`said`)."""

    now: PlanLimits
    said: dict[str, str]
    readable: bool

    def cut(self, subject: str, text: str, **change: Any) -> tuple[PlanLimits, tuple[str, ...]]:
        self.now = replace(self.now, **change)
        self.said.pop(subject, None)  # moves the subject to the end
        self.said[subject] = text
        return self.now, tuple(self.said.values())

    def cut_diagnosis(self, most: int) -> Iterator[tuple[PlanLimits, tuple[str, ...]]]:
        text = f"what was wrong is read on at most {most} failed and {most} passed cases"
        if self.readable:
            yield self.cut("read", text if most else NO_DIAGNOSIS_CUT, read=most)


def tighter_limits(
    arms: Sequence[Spec], start: PlanLimits, rows: int, readable: bool, dear: bool = False
) -> Iterator[tuple[PlanLimits, tuple[str, ...]]]:
    """Yield ever tighter (limits of a plan, printed lines of all cuts so far).

    No arm is dropped for another: all get fewer examples, folds and rows. The order: diagnosis on
    60 failed and 60 passed cases, where planted causes are still named well; one training seed; a
    look at prompts after one fold; fewer examples; diagnosis on 20; fewer folds for every arm;
    fewer training rows; no diagnosis.
    Folds are cut before rows: fewer folds widen the bounds, while an arm trained on a part of the
    rows is another arm than the one that would be built.
    `arms` are those that can be measured here; `rows` is the number of training rows; `dear`: an
    arm that does not train takes long enough to be worth a look (`worth_a_look`).
    """
    path = _CutState(start, {}, readable)
    yield from path.cut_diagnosis(60)
    training = [spec for spec in arms if trains(spec)]
    if training and path.now.seeds > 1:
        text = "one training seed: how much a retraining differs is not measured"
        yield path.cut("seeds", text, seeds=1)
    if dear:
        text = "prompts are scored on one fold first, and on others only while they may be named"
        yield path.cut("look", text, look=True)
    if any(spec.options.get("k", 0) > _LEFT_EXAMPLES for spec in arms):
        text = f"at most {_LEFT_EXAMPLES} examples in prompts whose examples differ by input"
        yield path.cut("examples", text, most_k=_LEFT_EXAMPLES)
    yield from path.cut_diagnosis(LEAST_DIAGNOSED_CASES)
    folds = path.now.folds
    fewest = folds if dear else LEAST_FOLDS  # a look takes one fold anyway
    for fewer in range(folds - 1, fewest - 1, -1):
        text = f"every arm is scored on {fewer} of {folds} folds"
        yield path.cut("parts", text, parts=fewer, folds=fewer)
    learnt = max((cuttable_rows(spec, rows) for spec in training), default=0)
    while learnt > _LEAST_TRAINING_ROWS:
        learnt = max(_LEAST_TRAINING_ROWS, round(0.08 * learnt) * 10)
        yield path.cut("rows", f"training on {learnt} of {rows} rows", rows=learnt)
    yield from path.cut_diagnosis(0)


def uses_stage_rule(task: Task) -> bool:
    """Return whether the stage rule decides which arms run."""
    return task.budget.stages


def decided_by_stage_rule(task: Task, spec: Spec) -> bool:
    """Return whether the stage rule decides on an arm: it trains, searches or is a variant.

    A student that trains no model is one too: its teacher's answers cost money.
    """
    taught = trains(spec) or learns_from_teacher(spec)
    return taught or prompts_tried(spec) > 0 or variant_of(task, spec) >= 0


def look_after(spec: Spec, folds: int, split: Split, every: bool = False) -> int:
    """Return after how many folds the stage rule looks at an arm, 0 if it runs on all at once.

    The rule looks at training arms; with `every` at all that are no classifier, so that arms which
    choose a prompt find all prompts in their fold. Rows in time order get no intermediate look,
    since the first ones do not represent all; nor does an arm that cannot be named.
    """
    asks = every and spec.tool != "classifier"
    looked = (trains(spec) or asks) and spec.role == "candidate"
    return FOLDS_BEFORE_LOOK if looked and folds > FOLDS_BEFORE_LOOK and not split.by_time else 0


def worth_a_look(task: Task, arm: PlannedArm, split: Split) -> bool:
    """Return whether a look may save many minutes of an arm; False for an arm that trains."""
    looked = look_after(arm.spec, len(arm.folds), split, every=not arm.follow_up)
    dear = arm.minutes > _DEAR_SHARE * task.budget.minutes
    return dear and looked > 0 and not trains(arm.spec) and not is_recorded(task, arm.spec)


def prompts_tried(spec: Spec) -> int:
    """Return how many prompts an arm tries; 0 without a search or with options set by the user."""
    return 0 if "(" in spec.name else int(spec.options.get("budget", 0))


def cuttable_rows(spec: Spec, rows: int) -> int:
    """Return how many rows an arm learns from if a plan may cut them; 0 if it may not."""
    return rows if "rows" in spec.options and "(" not in spec.name else 0


def fit_extras(plan: Plan, left: float, share: float) -> Plan:
    """Return the plan with only the optional measurements that fit the minutes left.

    Together they take at most `share` minutes, in the order of the plan; what a limit needs stays.
    """
    room, extras = max(0.0, min(left, share)), []
    for extra in plan.beside:
        if not extra.because and extra.minutes > room and not extra.needed:
            extra = extra.model_copy(update={"because": str(NO_ROOM)})
        elif not extra.because:
            room -= extra.minutes
        extras.append(extra)
    return plan.model_copy(update={"beside": tuple(extras)})


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

_MOST_CORRECTION = 4.0  # the largest factor by which estimates are corrected, up or down


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
        """Return n: an earlier run measured the arm on the first n of these folds; 0 if on none."""
        counts = range(len(folds), 0, -1)
        return next((n for n in counts if self._kept(_step(arm, folds[:n])) is not None), 0)

    @contextmanager
    def count_folds(self, arm: str, folds: Sequence[int]) -> Iterator[list[float]]:
        """Time the block that measures an arm on these folds; yield a list that gets the minutes.

        Folds that were done before count the minutes of then.
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
        stopped, begun, minutes = self._stopped_minutes(what), time.perf_counter(), list[float]()
        try:
            yield minutes
        except BaseException:
            with suppress(StoreError):  # the error of the block says more
                self._keep(f"{what}, stopped {len(stopped) + 1}", _minutes_since(begun))
            raise
        earlier = (self._kept(before) or 0.0) if before else 0.0
        minutes.append(self._keep(what, sum(stopped) + earlier + _minutes_since(begun)))

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


def _step(arm: str, folds: Sequence[int]) -> str:
    return f"{arm} {tuple(folds)}"


def _ledger_key(what: str) -> str:
    return f"minutes of {what}"


def _minutes_since(begun: float) -> float:
    return (time.perf_counter() - begun) / 60
