"""Score advisers on measured tasks: shown right or wrong, Brier score, cost of following.

Every share and mean has a 95 % interval of `stats.bounds`; tasks made from one set of rows count as
one group, as repeated measurements do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from bench.atlas.advice_input import TOOL_CHOICES, as_distribution, likeliest_tool
from bench.atlas.adviser_list import Adviser
from bench.atlas.prior import names_by_rows, predictor_line

from tuneworthy.matrix.design import Design
from tuneworthy.records.interval import Interval
from tuneworthy.records.measured_task import MeasuredArm, MeasuredTask
from tuneworthy.records.record import Record
from tuneworthy.records.task import TRAINED_TOOLS
from tuneworthy.report.atlas_file import AdviceTable, AdviserScore

Outcome = Literal["right", "wrong", "open", "unmeasured", "silent"]
OUTCOMES: tuple[Outcome, ...] = ("right", "wrong", "open", "unmeasured", "silent")


class AnswerOutcome(Record):
    """How one answer of an adviser compares with what was measured on the task.

    `named` is the tool with the highest probability, None if two are equal (silent); `winner`: it
    is the tool that the task's verdict names. `brier` is None if the task is not firm. `lost` is
    the score of the task's best arm minus that of the named tool's best arm, None if that was not
    measured. `uniform`: the adviser gave no distribution. `needless`: it names a tool that trains,
    and a firm verdict names one that does not; `seconds` and `usd` are then those of that training,
    None if they were not measured.
    """

    task: str
    group: str
    named: str | None
    outcome: Outcome
    winner: bool
    brier: float | None
    lost: float | None
    uniform: bool = False
    needless: bool = False
    seconds: float | None = None
    usd: float | None = None


def score_advisers(advisers: Sequence[Adviser], tasks: Sequence[MeasuredTask]) -> AdviceTable:
    """Return the scores of the advisers on the tasks that are not blocked."""
    known = [task for task in tasks if task.status != "blocked"]
    groups = names_by_rows(known, group_of)
    known = [
        task.model_copy(update={"source": group}) for task, group in zip(known, groups, strict=True)
    ]
    flat = [value for task in known if (value := brier(None, task)) is not None]
    return AdviceTable(
        tasks=len(known),
        firm=len(flat),
        groups=len(set(groups)),
        left_out=len(tasks) - len(known),
        advisers=tuple(_score_one(adviser, known) for adviser in advisers),
        uniform_brier=float(np.mean(flat)) if flat else None,
        predictor=predictor_line(known) if known else "",
    )


def group_of(task: MeasuredTask) -> str:
    """Return the group of a task, for the bounds: the row set it is made from, else its type."""
    return task.source or task.kind


def judge_answer(answer: Mapping[str, Any] | None, task: MeasuredTask) -> AnswerOutcome:
    """Return how an answer compares with what was measured on the task."""
    told = as_distribution(answer)
    name = likeliest_tool(told)
    arm = best_arm(task, name)
    needless = _trained_needlessly(arm, task)
    return AnswerOutcome(
        task=task.key,
        group=group_of(task),
        named=name,
        outcome=outcome(name, task),
        winner=name == task.use,
        brier=brier(told, task),
        lost=_points_lost(arm, task),
        uniform=told is None,
        needless=needless,
        seconds=_seconds_to_train(arm) if needless and arm else None,
        usd=arm.build_usd if needless and arm else None,
    )


def _trained_needlessly(arm: MeasuredArm | None, task: MeasuredTask) -> bool:
    """Return whether an arm trains and a firm verdict names a tool that does not."""
    trains = arm is not None and arm.tool in TRAINED_TOOLS
    return trains and task.status == "firm" and task.use not in TRAINED_TOOLS


def outcome(name: str | None, task: MeasuredTask) -> Outcome:
    """Return whether naming this tool on a task was right, wrong, open, unmeasured or silent.

    Right: the tool's best arm is behind the task's best arm by at most the margin (upper bound);
    wrong: by more than it (lower bound), or its arms break a limit; open: neither is shown. If
    nothing beats the reference (`use` is none), naming a measured tool is wrong, and naming none
    right, if that is firm. Unmeasured: no arm of the tool has a score; silent: no tool is named. An
    arm without a bound that is not the best is open.
    """
    if name is None:
        return "silent"
    arm = best_arm(task, name)
    if arm is None and name != "none":
        return "unmeasured"
    if arm and arm.breaks_limits:
        return "wrong"
    if arm is None or task.use == "none":
        right = name == task.use
        return "open" if task.status != "firm" else "right" if right else "wrong"
    if arm.behind is None:
        return "right" if _has_best_score(arm, task) else "open"
    if arm.behind.high <= task.margin:
        return "right"
    return "wrong" if arm.behind.low > task.margin else "open"


def brier(probabilities: Mapping[str, float] | None, task: MeasuredTask) -> float | None:
    """Return the multi-class Brier score (0 to 2) against the measured `use`; None if not firm.

    It is computed over the tools that were measured on the task and `none`: their probabilities are
    scaled to sum to 1, and equal if they are all 0 or there are none.
    """
    if task.status != "firm" or task.use not in TOOL_CHOICES:
        return None
    there = [name for name in TOOL_CHOICES if name in (task.use, "none") or best_arm(task, name)]
    values = np.array([(probabilities or {}).get(name, 0.0) for name in there])
    shares = values / values.sum() if values.sum() > 0 else np.full(len(there), 1 / len(there))
    return float(np.sum((shares - np.array([name == task.use for name in there])) ** 2))


def best_arm(task: MeasuredTask, name: str | None) -> MeasuredArm | None:
    """Return a tool's arm with the highest score (ties: the first); None without one.

    An arm that breaks a limit is returned only if all of the tool's do.
    """
    arms = [arm for arm in task.arms if arm.tool == name and arm.tool and arm.score]
    arms = [arm for arm in arms if not arm.breaks_limits] or arms
    return max(arms, key=lambda arm: arm.score.mean if arm.score else 0.0, default=None)


def _has_best_score(arm: MeasuredArm, task: MeasuredTask) -> bool:
    """Return whether no other arm of a tool that keeps the limits scores higher."""
    able = [each for each in task.arms if each.tool and not each.breaks_limits]
    scores = [each.score.mean for each in able if each.score]
    return arm.score is not None and arm.score.mean >= max(scores)


def _points_lost(arm: MeasuredArm | None, task: MeasuredTask) -> float | None:
    if arm is None or arm.breaks_limits or (arm.behind is None and not _has_best_score(arm, task)):
        return None
    return arm.behind.mean if arm.behind else 0.0


def _score_one(adviser: Adviser, tasks: Sequence[MeasuredTask]) -> AdviserScore:
    head = {"name": adviser.name, "label": adviser.label, "sees": adviser.sees,
            "blind": adviser.blind, "assumes": adviser.assumes}  # fmt: skip
    if adviser.skipped:
        return AdviserScore(**head, skipped=adviser.skipped)
    return AdviserScore(
        **head, **summarise_answers([judge_answer(adviser.answer(task), task) for task in tasks])
    )


def summarise_answers(judged: Sequence[AnswerOutcome]) -> dict[str, Any]:
    """Return counts, shares and means of an adviser's answers, by field of AdviserScore."""
    outcomes = [each.outcome for each in judged]
    counts: dict[str, Any] = {name: outcomes.count(name) for name in OUTCOMES}
    counted = [each for each in judged if each.outcome != "unmeasured"]
    firm = [(each.brier / 2, each.group) for each in judged if each.brier is not None]
    lost = [(each.lost, each.group) for each in judged if each.lost is not None]
    needless = [each for each in judged if each.needless]
    half = _mean_interval([(float(value), group) for value, group in firm])
    return {
        **counts,
        "n": len(counted),
        "uniform": sum(each.uniform for each in judged),
        "winners": sum(each.winner for each in judged),
        "shown_right": _mean_interval([(float(e.outcome == "right"), e.group) for e in counted]),
        "brier": half and Interval(mean=2 * half.mean, low=2 * half.low, high=2 * half.high),
        "brier_n": len(firm),
        "lost": _mean_loss(lost),
        "lost_n": len(lost),
        "needless": len(needless),
        "timed": sum(each.seconds is not None for each in needless),
        "priced": sum(each.usd is not None for each in needless),
        "seconds": _sum_or_none([each.seconds for each in needless]),
        "usd": _sum_or_none([each.usd for each in needless]),
    }


def _mean_interval(values: Sequence[tuple[float, str]]) -> Interval | None:
    if not values:
        return None
    design = Design({at: group for at, (_, group) in enumerate(values)})
    return design.mean({at: value for at, (value, _) in enumerate(values)}).interval


def _mean_loss(values: Sequence[tuple[float, str]]) -> Interval | None:
    """Return the mean loss; losses to the best arm lie in [0, 1], which makes bounds tighter."""
    if not any(value < 0 for value, _ in values):
        return _mean_interval(values)
    design = Design({at: group for at, (_, group) in enumerate(values)})
    return design.difference({at: value for at, (value, _) in enumerate(values)}).interval


def _sum_or_none(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _seconds_to_train(arm: MeasuredArm) -> float | None:
    return arm.seconds if arm.fit_seconds is None else arm.fit_seconds
