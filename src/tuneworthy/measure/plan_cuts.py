"""Cut a plan in a fixed order until it fits the minutes. Knows no arm by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tuneworthy.core.plan import LEAST_DIAGNOSED_CASES, NO_DIAGNOSIS_CUT, Plan, PlannedArm
from tuneworthy.core.reason import NO_ROOM
from tuneworthy.core.run import Spec
from tuneworthy.core.specs import is_recorded, times_asked, trains, variant_of
from tuneworthy.core.split import Split
from tuneworthy.core.task import Task

LEAST_PROMPTS_TRIED = 2  # the fewest prompts of a search: the starting prompt and one more
LEAST_TRAINING_ROWS = 100  # the fewest rows that training is cut to
FOLDS_BEFORE_LOOK = 1  # folds that an arm runs on before the stage rule looks at it
LEAST_FOLDS = 2  # folds of a training arm if there is no time for all of them
DEAR_SHARE = 0.04  # share of the minutes above which an arm that does not train is worth a look
SEARCH_SHARE = 0.15  # share of the minutes that a prompt search may be planned to take
LEFT_EXAMPLES = 4  # examples left in a prompt whose examples differ by input


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
    """Yield ever tighter limits, each with the printed lines of all cuts so far.

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
    if any(spec.options.get("k", 0) > LEFT_EXAMPLES for spec in arms):
        text = f"at most {LEFT_EXAMPLES} examples in prompts whose examples differ by input"
        yield path.cut("examples", text, most_k=LEFT_EXAMPLES)
    yield from path.cut_diagnosis(LEAST_DIAGNOSED_CASES)
    folds = path.now.folds
    fewest = folds if dear else LEAST_FOLDS  # a look takes one fold anyway
    for fewer in range(folds - 1, fewest - 1, -1):
        text = f"every arm is scored on {fewer} of {folds} folds"
        yield path.cut("parts", text, parts=fewer, folds=fewer)
    learnt = max((cuttable_rows(spec, rows) for spec in training), default=0)
    while learnt > LEAST_TRAINING_ROWS:
        learnt = max(LEAST_TRAINING_ROWS, round(0.08 * learnt) * 10)
        yield path.cut("rows", f"training on {learnt} of {rows} rows", rows=learnt)
    yield from path.cut_diagnosis(0)


def uses_stage_rule(task: Task) -> bool:
    """Return whether the stage rule decides which arms run."""
    return task.budget.stages


def decided_by_stage_rule(task: Task, spec: Spec) -> bool:
    """Return whether the stage rule decides on an arm: it trains, searches or is a variant."""
    return trains(spec) or prompts_tried(spec) > 0 or variant_of(task, spec) >= 0


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
    dear = arm.minutes > DEAR_SHARE * task.budget.minutes
    return dear and looked > 0 and not trains(arm.spec) and not is_recorded(task, arm.spec)


def prompts_tried(spec: Spec) -> int:
    """Return how many prompts an arm tries; 0 without a search or with options set by the user."""
    return 0 if "(" in spec.name else int(spec.options.get("budget", 0))


def cuttable_rows(spec: Spec, rows: int) -> int:
    """Return how many rows an arm learns from, 0 if a plan may not cut them."""
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
    """Return which arms are asked `repeats` times a row, "" for a task that asks once."""
    if task.repeats == 1:
        return ""
    again = [a.spec.name for a in planned if not a.because and times_asked(task, a.spec) > 1]
    if not again:
        return "Each row is asked once: no prompt has a temperature above 0."
    names = ", ".join(again)
    return f"Asked {task.repeats} times a row: {names}. All else is asked once."
