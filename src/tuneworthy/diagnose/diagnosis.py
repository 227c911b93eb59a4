"""What the runs of a study say read across: the base's failures, each remedy beside its placebo.

Knows no arm by name; what an arm repairs it declares itself (REMEDY). Asks no model.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tuneworthy.compare.choice import best_last
from tuneworthy.compare.columns import PRESENT
from tuneworthy.core.answer import Answer
from tuneworthy.core.case import Case
from tuneworthy.core.causes import Base, Diagnosis, Intervention, Remedy, Wrong
from tuneworthy.core.plan import NO_ROOM
from tuneworthy.core.plugins import load
from tuneworthy.core.record import digest
from tuneworthy.core.run import NOT_ASKED, Run, Spec
from tuneworthy.core.specs import variant_of
from tuneworthy.core.task import Task
from tuneworthy.data.folds import Split
from tuneworthy.diagnose.answer_in_passage import literal
from tuneworthy.diagnose.cause_shares import FEW_SILENT, attribute, diagnose
from tuneworthy.diagnose.effects import saved
from tuneworthy.diagnose.label_errors import consensus, contradicted, doubts
from tuneworthy.diagnose.rescore import passes, rescored, strangers
from tuneworthy.metrics import Metric
from tuneworthy.stats import bounds


@dataclass(frozen=True)
class Column:
    """One arm's answers, whether each passes and the prompt it stands on (a digest), by case.

    Of several seeds the one that would be built: best on dev, ties to the smaller one.
    """

    spec: Spec
    answers: dict[str, Answer]
    passed: dict[str, bool]
    prompts: dict[str, str]


def columns(task: Task, runs: Sequence[Run]) -> dict[str, Column]:
    """Return every arm that answered, placebos and pilots among them."""
    found: dict[str, Column] = {}
    for run in best_last(runs):
        if run.state not in {"measured", "stopped_early"}:
            continue
        column = found.setdefault(run.spec.name, Column(run.spec, {}, {}, {}))
        prompt = digest(run.recipe) if run.recipe else ""
        for answer, score in zip(run.answers, run.scores, strict=True):
            column.answers[answer.case] = answer
            column.passed[answer.case] = passes(score, task.success.passes_from)
            if prompt:
                column.prompts[answer.case] = prompt
    return found


def base_of(table: Mapping[str, Column]) -> Column | None:
    """Return what is read across: what runs today, else the simplest prompt."""
    whole = [c for c in table.values() if c.spec.role == "candidate"]
    now = [c for c in whole if c.spec.arm == PRESENT]
    rivals = now or [c for c in whole if c.spec.tool == "prompt"]
    return min(rivals, key=lambda c: (c.spec.simplicity, c.spec.name), default=None)


def compared(base: Column, table: Mapping[str, Column], split: Split) -> Column:
    """Return the base on the cases that others can be read beside it.

    The earliest rows drop out where another candidate was asked and, as it was not recorded there,
    not on them: they would count as failures that no remedy was tried on.
    """
    early, others = split.early, [c for c in table.values() if c.spec.role == "candidate"]
    if all(early <= set(column.passed) for column in others):
        return base
    return Column(
        base.spec,
        {i: answer for i, answer in base.answers.items() if i not in early},
        {i: passed for i, passed in base.passed.items() if i not in early},
        {i: prompt for i, prompt in base.prompts.items() if i not in early},
    )


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
    base = compared(base, table, split)
    fails = tuple(sorted(i for i, passed in base.passed.items() if not passed))
    doubted = doubts(task, cases, others)
    ground = Base(
        arm=base.spec.name,
        fails=fails,
        passes=tuple(sorted(i for i, passed in base.passed.items() if passed)),
        groups={i: split.groups[i] for i in base.passed if i in split.groups},
        conflicts=contradicted(doubted, fails),
        literal=literal(task, cases, fails),
        margin=task.success.margin,
    )
    known = [case for case in cases if case.id in base.passed]
    least, free = task.success.passes_from, list[Intervention]()
    if fails:
        free = rescored(task, metric, known, base.answers, least, task.seed)
    tried = [*free, *_interventions(task, known, table, base, metric)]
    tried += _left_out(task, runs, {one.remedy for one in tried if one.asks})
    found = _with_whole_arms(ground, tried, table, diagnose(ground, tried))
    cases = [case for case in cases if case.id in base.passed or case.id not in split.early]
    ids = {case.id for case in cases}
    whole = {n: c for n, c in table.items() if not c.spec.of and ids <= set(c.passed)}
    agreed = consensus(task, cases, {n: c.answers for n, c in whole.items()},
                       {n: c.passed for n, c in whole.items()})  # fmt: skip
    return found.model_copy(update={"doubts": (*doubted, *agreed)})


def _with_whole_arms(
    base: Base, tried: Sequence[Intervention], table: Mapping[str, Column], found: Diagnosis
) -> Diagnosis:
    """Return the diagnosis with the cases that an arm rescues where its pilot was shown to act.

    A pilot beside its placebo shows that a remedy acts; the arm itself learns from all rows and
    rescues more. Its placebo stays that of the pilot, which learnt from fewer rows. On cases that
    the pilot was not tried on the arm shows what it does not rescue, whether the pilot acts or not.
    """
    whole = {f"{name} pilot": column for name, column in table.items()}
    out, effects, named = [], [], set()
    for one in tried:
        effect = next(effect for effect in found.effects if effect.name == one.name)
        column, versus = whole.get(one.name), one.placebo_passed
        if column and versus and set(one.passed) <= set(column.passed):
            passed = dict(column.passed)
            if effect.acts:
                fails = [i for i in base.fails if i in one.passed and i in versus]
                effect = effect.model_copy(update={"rescued": saved(fails, passed, versus)})
                named.add(one.name)
            else:
                passed |= one.passed
            one = one.model_copy(update={"passed": passed})
        out.append(one)
        effects.append(effect)
    if out == list(tried):
        return found

    def by_arm(rows: Sequence[Wrong]) -> tuple[Wrong, ...]:
        short = {name: name.removesuffix(" pilot") for name in named}
        return tuple(row.model_copy(update={"arm": short.get(row.arm or "", row.arm)})
                     for row in rows)  # fmt: skip

    again = attribute(base, out, effects)
    return again.model_copy(
        update={"wrong": by_arm(again.wrong), "estimates": by_arm(again.estimates)}
    )


def _left_out(task: Task, runs: Sequence[Run], asked: Collection[Remedy]) -> list[Intervention]:
    """Return the remedies that were not tried though they apply here, and why: nothing passes.

    The minutes had no room for them, their model can't be asked, or they failed. Only those whose
    kind (`asked` are the others) no arm of the study stands for.
    """
    found: dict[str, Intervention] = {}
    for run in runs:
        remedy = getattr(load("arms", run.spec.arm), "REMEDY", None)
        because = run.because
        stopped = because == NO_ROOM or because.startswith(NOT_ASKED) or run.state == "failed"
        if run.state not in {"skipped", "failed"} or not stopped or run.spec.of:
            continue
        if remedy is None or remedy in asked or variant_of(task, run.spec) >= 0:
            continue
        found[run.spec.name] = Intervention(
            name=run.spec.name, remedy=remedy, passed={}, because=because
        )
    return list(found.values())


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
        alone, because, unproved = _prompt_alone(table, column), "", False
        words, shares = "", None
        if getattr(arm, "PERMUTED", False):
            words, shares = "another case's answer", _permuted(task, cases, column, metric)
        elif other := placebos.get(name):
            words = getattr(arm, "PLACEBO", f"the placebo of {name}")
            shares = {i: float(passed) for i, passed in other.passed.items()}
        elif hasattr(arm, "placebo"):
            alone, unproved = {}, hopeful(column, base)
            why = (
                "nothing shows that it acts" if unproved else "it does not pass more than the base"
            )
            because = f"its placebo was not asked: {why}"
        if alone:  # else a grammar is praised for the examples in the prompt it is used with
            words = f"{words} or its prompt alone" if words else "its prompt alone"
        by_itself = {i: float(passed) for i, passed in alone.items()}
        yield Intervention(name=name, remedy=remedy, passed=column.passed, because=because,
                           placebo=words or None, placebo_passed=shares,
                           alone=by_itself or None, unproved=unproved)  # fmt: skip


def hopeful(own: Column, base: Column) -> bool:
    """Return whether the arm is shown to pass more than the base, or failures are too few to say.

    Else it cannot act (causes.diagnose asks for both), and its placebo is not worth asking.
    """
    ids = [i for i in base.passed if i in own.passed]
    gain = np.array([float(own.passed[i]) - float(base.passed[i]) for i in ids])
    fails = sum(not base.passed[i] for i in ids)
    rescued = bool((gain > 0).any())
    return rescued and (fails < FEW_SILENT or bounds.paired(gain, 0.025).low > 0)


def _prompt_alone(table: Mapping[str, Column], column: Column) -> dict[str, bool]:
    """Return how the prompt that an arm stands on did by itself, by case."""
    out: dict[str, bool] = {}
    for other in table.values():
        arm = load("arms", other.spec.arm)
        if other.spec.name == column.spec.name or not getattr(arm, "CONTEXT", False):
            continue
        same = (i for i, prompt in column.prompts.items() if other.prompts.get(i) == prompt)
        out |= {i: other.passed[i] for i in same}
    return out


def _permuted(
    task: Task, cases: Sequence[Case], column: Column, metric: Metric
) -> dict[str, float]:
    """Return, by case, how often its answer passes for right beside another case's answer."""
    out = {}
    for i, others in strangers(task, cases, task.seed).items():
        if others and (answer := column.answers.get(i)) is not None:
            scores = [metric(c, answer.model_copy(update={"case": c.id})) for c in others]
            out[i] = sum(passes(score, task.success.passes_from) for score in scores) / len(scores)
    return out
