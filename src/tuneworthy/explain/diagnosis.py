"""Diagnose the base arm's failures from the runs: compare each remedy with its placebo.

No arm is known by name; an arm declares what it repairs (REMEDY). Calls no model.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tuneworthy.explain.answer_in_passage import cases_with_answer_in_passage
from tuneworthy.explain.cause_shares import FEW_IF_NONE_ACTS, attribute_causes, diagnose
from tuneworthy.explain.effects import rescued_cases
from tuneworthy.explain.label_errors import consensus_doubts, contradicted_failures
from tuneworthy.explain.rescore import passes, placebo_cases, rescore_interventions
from tuneworthy.matrix.columns import PRESENT_ARM
from tuneworthy.matrix.design import Design
from tuneworthy.matrix.ladder import sorted_by_dev
from tuneworthy.metrics import Metric
from tuneworthy.records.answer import Answer
from tuneworthy.records.case import Case, LabelDoubt
from tuneworthy.records.causes import (
    BaseOutcomes,
    Diagnosis,
    Intervention,
    Remedy,
    Wrong,
    asks_another_model,
)
from tuneworthy.records.evidence import ArmResult, Evidence
from tuneworthy.records.plan import Plan, PlannedArm
from tuneworthy.records.plugins import load
from tuneworthy.records.reason import Why, is_reason
from tuneworthy.records.record import digest
from tuneworthy.records.run import Run, Spec
from tuneworthy.records.specs import is_recorded, variant_of
from tuneworthy.records.split import Split
from tuneworthy.records.task import Task

NO_TIME_TO_DIAGNOSE = "no time was left to read the matrix across (budget.minutes, or a stop)"

_TRIAL_DESIGN = Design.independent(
    "it only chooses what is tried next; a wide bound would try less"
)


@dataclass(frozen=True)
class AnswerColumn:
    """One arm's answers, whether each passes, and the digest of its prompt, by case id.

    Of several seeds the best on dev counts, ties to the smaller one.
    """

    spec: Spec
    answers: dict[str, Answer]
    passed: dict[str, bool]
    prompts: dict[str, str]


def answer_columns(task: Task, runs: Sequence[Run]) -> dict[str, AnswerColumn]:
    """Return {arm name: column} of every arm that answered, placebos and pilots included."""
    table: dict[str, AnswerColumn] = {}
    for run in sorted_by_dev(runs):
        if run.state not in {"measured", "stopped_early"}:
            continue
        column = table.setdefault(run.spec.name, AnswerColumn(run.spec, {}, {}, {}))
        prompt = digest(run.recipe) if run.recipe else ""
        for answer, score in zip(run.answers, run.scores, strict=True):
            column.answers[answer.case] = answer
            column.passed[answer.case] = passes(score, task.success.passes_from)
            if prompt:
                column.prompts[answer.case] = prompt
    return table


def base_of(table: Mapping[str, AnswerColumn]) -> AnswerColumn | None:
    """Return the column to diagnose: what runs today, else the simplest prompt; None if none."""
    candidates = [c for c in table.values() if c.spec.role == "candidate"]
    now = [c for c in candidates if c.spec.arm == PRESENT_ARM]
    rivals = now or [c for c in candidates if c.spec.tool == "prompt"]
    return min(rivals, key=lambda c: (c.spec.simplicity, c.spec.name), default=None)


def comparable_base(
    base: AnswerColumn, table: Mapping[str, AnswerColumn], split: Split
) -> AnswerColumn:
    """Return the base column without the earliest rows if another candidate lacks them.

    Only recorded arms answer these; they would count as failures that no remedy was tried on.
    """
    early, others = split.early, [c for c in table.values() if c.spec.role == "candidate"]
    if all(early <= set(column.passed) for column in others):
        return base
    return AnswerColumn(
        base.spec,
        {i: answer for i, answer in base.answers.items() if i not in early},
        {i: passed for i, passed in base.passed.items() if i not in early},
        {i: prompt for i, prompt in base.prompts.items() if i not in early},
    )


def diagnose_runs(
    task: Task,
    cases: Sequence[Case],
    runs: Sequence[Run],
    metric: Metric,
    split: Split,
    doubted: Sequence[LabelDoubt],
) -> Diagnosis | None:
    """Return the causes of the base arm's failures, read from the runs; None without base arm.

    `doubted` are the labels of these cases that other rows contradict (`label_doubts`).
    """
    table = answer_columns(task, runs)
    base = base_of(table)
    if base is None:
        return None
    base = comparable_base(base, table, split)
    fails = tuple(sorted(i for i, passed in base.passed.items() if not passed))
    design = Design.of(task, split)
    base_cases = BaseOutcomes(
        arm=base.spec.name,
        fails=fails,
        passes=tuple(sorted(i for i, passed in base.passed.items() if passed)),
        groups={i: split.groups[i] for i in base.passed if i in split.groups},
        largest_group=design.largest,
        only_copies=design.copies,
        conflicts=contradicted_failures(doubted, fails),
        literal=cases_with_answer_in_passage(task, cases, fails),
        margin=task.success.margin,
        recorded=is_recorded(task, base.spec),
    )
    answered = [case for case in cases if case.id in base.passed]
    pass_at, rescores = task.success.passes_from, list[Intervention]()
    if fails:
        rescores = rescore_interventions(task, metric, answered, base.answers, pass_at, task.seed)
    tried = [*rescores, *_interventions_of_arms(task, answered, table, base, metric)]
    tried += _untried_remedies(
        task, runs, {intervention.remedy for intervention in tried if intervention.asks}
    )
    diagnosis = _with_whole_arms(base_cases, tried, table, diagnose(base_cases, tried))
    cases = [case for case in cases if case.id in base.passed or case.id not in split.early]
    ids = {case.id for case in cases}
    complete = {n: c for n, c in table.items() if not c.spec.of and ids <= set(c.passed)}
    agreements = consensus_doubts(task, cases, {n: c.answers for n, c in complete.items()},
                       {n: c.passed for n, c in complete.items()})  # fmt: skip
    return diagnosis.model_copy(update={"doubts": (*doubted, *agreements)})


def without_unread_causes(diagnosis: Diagnosis, read: int | None) -> Diagnosis:
    """Return the diagnosis; without causes and effects if `read` is 0 (no minutes for placebos).

    `read` is the plan's. Without placebos every remedy that helps would count as a cause.
    """
    if read != 0:
        return diagnosis
    return Diagnosis(arm=diagnosis.arm, n_fail=diagnosis.n_fail, n_pass=diagnosis.n_pass,
                     doubts=diagnosis.doubts, because=NO_TIME_TO_DIAGNOSE)  # fmt: skip


def _with_whole_arms(
    base: BaseOutcomes,
    tried: Sequence[Intervention],
    table: Mapping[str, AnswerColumn],
    diagnosis: Diagnosis,
) -> Diagnosis:
    """Return the diagnosis with a full arm's answers in place of its pilot's, if the pilot acts.

    A pilot and its placebo show that a remedy acts; the arm itself learns from all rows and rescues
    more. The placebo stays that of the pilot, which learnt from fewer rows. On cases that the pilot
    was not tried on, the arm shows which it does not rescue, even if the pilot does not act.
    """
    by_pilot = {f"{name} pilot": column for name, column in table.items()}
    updated, effects, acting = [], [], set()
    for intervention in tried:
        effect = next(effect for effect in diagnosis.effects if effect.name == intervention.name)
        column, versus = by_pilot.get(intervention.name), intervention.placebo_passed
        if column and versus and set(intervention.passed) <= set(column.passed):
            passed = dict(column.passed)
            if effect.acts:
                fails = [i for i in base.fails if i in intervention.passed and i in versus]
                effect = effect.model_copy(update={"rescued": rescued_cases(fails, passed, versus)})
                acting.add(intervention.name)
            else:
                passed |= intervention.passed
            intervention = intervention.model_copy(update={"passed": passed})
        updated.append(intervention)
        effects.append(effect)
    if updated == list(tried):
        return diagnosis

    def by_arm(rows: Sequence[Wrong]) -> tuple[Wrong, ...]:
        short = {name: name.removesuffix(" pilot") for name in acting}
        return tuple(row.model_copy(update={"arm": short.get(row.arm or "", row.arm)})
                     for row in rows)  # fmt: skip

    reattributed = attribute_causes(base, updated, effects)
    return reattributed.model_copy(
        update={"wrong": by_arm(reattributed.wrong), "estimates": by_arm(reattributed.estimates)}
    )


def _untried_remedies(
    task: Task, runs: Sequence[Run], covered: Collection[Remedy]
) -> list[Intervention]:
    """Return an intervention without results for each applicable remedy that was not tried.

    There was no time for them, their model was unavailable, or they failed. Remedies in `covered`,
    which another arm of the study covers, are left out.
    """
    left_out: dict[str, Intervention] = {}
    for run in runs:
        remedy = getattr(load("arms", run.spec.arm), "REMEDY", None)
        stopped = run.state == "failed" or is_reason(
            run.because, Why.NO_ROOM, Why.STOPPED, Why.MODEL_UNAVAILABLE
        )
        if run.state not in {"skipped", "failed"} or not stopped or run.spec.of:
            continue
        if remedy is None or remedy in covered or variant_of(task, run.spec) >= 0:
            continue
        left_out[run.spec.name] = Intervention(
            name=run.spec.name, remedy=remedy, passed={}, because=str(run.because or "")
        )
    return list(left_out.values())


def _interventions_of_arms(
    task: Task,
    cases: Sequence[Case],
    table: Mapping[str, AnswerColumn],
    base: AnswerColumn,
    metric: Metric,
) -> Iterator[Intervention]:
    placebos = {column.spec.of: column for column in table.values() if column.spec.of}
    for name, column in table.items():
        arm = load("arms", column.spec.arm)
        remedy = getattr(arm, "REMEDY", None)
        if remedy is None and asks_another_model(task, column.spec) and _min_gain(column, base) > 0:
            remedy = "capability"  # its bare prompt: the other model is what is tried
        if remedy is None or column.spec.of or name == base.spec.name or f"{name} pilot" in table:
            continue
        if variant_of(task, column.spec) >= 0:
            continue
        alone, because, unproved = _prompt_alone_passes(table, column), "", False
        placebo_name, shares = "", None
        if getattr(arm, "PERMUTED", False):
            placebo_name, shares = (
                "another case's answer",
                _permuted_pass_shares(task, cases, column, metric),
            )
        elif placebo := placebos.get(name):
            placebo_name = getattr(arm, "PLACEBO", f"the placebo of {name}")
            shares = {i: float(passed) for i, passed in placebo.passed.items()}
        elif hasattr(arm, "placebo"):
            alone, unproved = {}, may_act(column, base)
            why = (
                "nothing shows that it acts" if unproved else "it does not pass more than the base"
            )
            because = f"its placebo was not asked: {why}"
        if alone:  # else a grammar gets credit for the examples in its prompt
            placebo_name = (
                f"{placebo_name} or its prompt alone" if placebo_name else "its prompt alone"
            )
        alone_shares = {i: float(passed) for i, passed in alone.items()}
        yield Intervention(name=name, remedy=remedy, passed=column.passed, because=because,
                           placebo=placebo_name or None, placebo_passed=shares,
                           alone=alone_shares or None, unproved=unproved)  # fmt: skip


def may_act(own: AnswerColumn, base: AnswerColumn) -> bool:
    """Return whether the arm is shown to pass more than the base, or failures are too few to say.

    Otherwise it cannot act (see `effects.effect`), and running its placebo is pointless.
    """
    ids = [i for i in base.passed if i in own.passed]
    fails = sum(not base.passed[i] for i in ids)
    rescued = any(own.passed[i] and not base.passed[i] for i in ids)
    return rescued and (fails < FEW_IF_NONE_ACTS or _min_gain(own, base) > 0)


def _min_gain(own: AnswerColumn, base: AnswerColumn) -> float:
    """Return the lower bound of the arm's pass rate - the base's; -1 without a common case."""
    shared = [i for i in base.passed if i in own.passed]
    gain = {i: float(own.passed[i]) - float(base.passed[i]) for i in shared}
    return _TRIAL_DESIGN.difference(gain).low if gain else -1.0


def _prompt_alone_passes(
    table: Mapping[str, AnswerColumn], column: AnswerColumn
) -> dict[str, bool]:
    """Return {case id: whether the prompt that an arm builds on passes by itself}."""
    passed: dict[str, bool] = {}
    for other in table.values():
        arm = load("arms", other.spec.arm)
        if other.spec.name == column.spec.name or not getattr(arm, "CONTEXT", False):
            continue
        same = (i for i, prompt in column.prompts.items() if other.prompts.get(i) == prompt)
        passed |= {i: other.passed[i] for i in same}
    return passed


def _permuted_pass_shares(
    task: Task, cases: Sequence[Case], column: AnswerColumn, metric: Metric
) -> dict[str, float]:
    """Return {case id: share of other cases whose gold answer its answer passes against}."""
    shares = {}
    for i, others in placebo_cases(task, cases, task.seed).items():
        if others and (answer := column.answers.get(i)) is not None:
            scores = [metric(c, answer.model_copy(update={"case": c.id})) for c in others]
            shares[i] = sum(passes(score, task.success.passes_from) for score in scores) / len(
                scores
            )
    return shares


def with_minutes(evidence: Evidence, plan: Plan) -> Evidence:
    """Return the evidence with, per arm cut for time, the minutes and dollars that it lacks.

    An arm without an estimate (0 minutes, nothing sent) keeps None. An arm that learnt from a part
    of the rows gets the minutes of the uncut plan, one that ran on some folds those of the others.
    An arm that the schedule stopped for its score gets none: more minutes would not continue it.
    """
    planned = {
        plan_arm.spec.name: plan_arm for plan_arm in plan.arms if plan_arm.minutes or plan_arm.sent
    }
    arms = tuple(
        arm.model_copy(
            update={
                "more_minutes": plan_arm.minutes,
                "more_usd": plan_arm.usd if plan_arm.sent else 0.0,
            }
        )
        if (plan_arm := planned.get(arm.name)) and arm.left_out_for_time
        else _with_minutes_for_all(_with_minutes_of_folds(arm, evidence, planned), evidence, plan)
        for arm in evidence.arms
    )
    return evidence.model_copy(update={"arms": arms})


def _with_minutes_of_folds(
    arm: ArmResult, evidence: Evidence, planned: Mapping[str, PlannedArm]
) -> ArmResult:
    plan_arm = planned.get(arm.name)
    short = is_reason(arm.because, Why.NO_ROOM_FOR_FOLDS, Why.STOPPED)
    if plan_arm is None or not short or not arm.score:
        return arm
    left = (1 - arm.n / evidence.n) * plan_arm.minutes
    return arm.model_copy(update={"more_minutes": round(left, 3), "more_usd": 0.0})


def _with_minutes_for_all(arm: ArmResult, evidence: Evidence, plan: Plan) -> ArmResult:
    rows = arm.options.get("rows")
    cut = isinstance(rows, int) and rows < (evidence.train or 0) and "(" not in arm.name
    if not cut or not arm.score or plan.whole is None:
        return arm
    return arm.model_copy(update={"whole_minutes": plan.whole})
