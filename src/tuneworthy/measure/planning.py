"""Make the plan: which arms run and what they cost, fixed before the first arm.

Knows no arm by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from tuneworthy.matrix.ladder import MOST_PROMPTS
from tuneworthy.measure.costs_in_use import arm_load
from tuneworthy.measure.plan_cuts import (
    EXPLAIN_SHARE,
    MINUTES_SAFETY,
    PlanLimits,
    affordable_folds,
    asked_again_line,
    cuttable_rows,
    diagnosis_size,
    fewer_rows,
    looked_after,
    needed_minutes,
    prompts_tried,
    units_of,
)
from tuneworthy.measure.price_notes import command_notes
from tuneworthy.measure.request_costs import (
    WORD_BYTES,
    BestPrompt,
    RemoteModels,
    arm_requests,
    judge_traffic,
    price_sentences,
)
from tuneworthy.measure.timing import Speed
from tuneworthy.records.arm import Sizes, Work
from tuneworthy.records.audit_report import Audit
from tuneworthy.records.further import LEAST_SEARCHED
from tuneworthy.records.plan import EndpointLoad, Plan, PlannedArm
from tuneworthy.records.plugins import load
from tuneworthy.records.reason import Reason
from tuneworthy.records.run import Spec
from tuneworthy.records.specs import (
    DEV_ROWS_FOR_CHOICE,
    Available,
    chooses,
    chooses_prompt,
    diagnosis_runs,
    failure_only_arms,
    is_recorded,
    needs_dev_scores,
    needs_of_arm,
    times_asked,
    trains,
    tunes_encoder,
    unmet_needs,
    variant_of,
)
from tuneworthy.records.task import Task
from tuneworthy.rows.folds import Part, Split

_SEARCH_SHARE = 0.15  # share of the minutes that a prompt search may take on its first fold
_CHANGED_FACTS = 60  # the most facts changed in the documents (freshness_rate.MOST_FACTS)
ON_FAILURES = 60  # the most failed cases for an arm that is too dear for all cases


@dataclass(frozen=True)
class PlanInputs:
    """The inputs of a plan: the task's sizes, this machine's speed, and what is available."""

    task: Task
    split: Split
    audit: Audit
    available: Available
    sizes: Sizes
    speed: Speed | None
    remote: RemoteModels | None = None
    looks: int = 1
    limited: bool = False


def make_plan(facts: PlanInputs, arms: list[Spec], rows: str, study: str) -> Plan:
    """Return the plan of these arms; they learn from fewer rows if no training fits the minutes."""
    scheduled, minutes = facts.task.budget.stages, facts.task.budget.minutes
    choice = PlanLimits(_seed_count(facts.task))
    if scheduled:
        choice = replace(choice, tried=_affordable_trials(facts, arms, choice))
    shown, planned = _plan_arms(facts, arms, choice)
    runnable = [spec for spec in arms if not unmet_needs(spec, facts.available)]
    uncut, line, room = needed_minutes(planned), "", (1 - EXPLAIN_SHARE) * minutes / MINUTES_SAFETY
    for learnt, text in fewer_rows(runnable, facts.sizes.train):
        if needed_minutes(planned) <= room:
            break
        choice, line = replace(choice, rows=learnt), text
        shown, planned = _plan_arms(facts, arms, choice)
    few = ""
    folds, others = affordable_folds(planned, room)
    if scheduled and folds < len(facts.split.learning):
        few = f"training arms on at most {folds} of {len(facts.split.learning)} folds"
        uncut += others
        shown, planned = _plan_arms(facts, arms, choice := replace(choice, folds=folds))

    if scheduled and (least := needed_minutes(planned)) > room:
        more = least * minutes / room
        trained = any(trains(arm.spec) and not arm.because for arm in planned)
        what = (
            "no training fits: the smallest study that trains" if trained else "the smallest study"
        )
        line = f"{what} takes about {more:.1f} minutes"

    def diagnosed(read: int | None) -> tuple[PlannedArm, ...]:
        return tuple(_diagnosis_arms(shown, planned, replace(choice, read=read)))

    most = EXPLAIN_SHARE * minutes if scheduled else minutes - needed_minutes(planned)
    read, what = diagnosis_size(
        lambda read: diagnosis_minutes(diagnosed(read), scheduled), most, scheduled
    )
    across = diagnosed(read)
    cuts = tuple(filter(None, (line, few, what if across else "")))
    whole = uncut * MINUTES_SAFETY / (1 - EXPLAIN_SHARE)
    return Plan(
        task=study,
        rows=rows,
        k=facts.split.k,
        scored=facts.audit.scored,
        train=max((len(part.train) for part in facts.split.parts), default=0),
        dev=max((len(part.dev) for part in facts.split.parts), default=0),
        arms=tuple(planned),
        across=across,
        others=tuple(_other_loads(facts, arms, planned)),
        assumed=facts.remote.assumed if facts.remote else "",
        prices=(*price_sentences(facts.remote), *command_notes(planned)),
        paces=_speed_assumptions(facts, planned),
        read=read if across else None,
        cuts=cuts,
        minutes=round(sum(arm.minutes for arm in planned), 2),
        staged=scheduled,
        whole=round(max(whole, minutes), 2) if cuts else None,
        tokens_per_second=round(facts.speed.written, 1) if facts.speed else None,
        again=asked_again_line(facts.task, planned),
        looks=facts.looks,
        visible=facts.audit.visible,
        limited=facts.limited,
    )


def _speed_assumptions(facts: PlanInputs, planned: Sequence[PlannedArm]) -> tuple[str, ...]:
    """Return a sentence for each assumption behind the minutes of the arms that train here."""
    if facts.speed is None:
        return ()
    kept, cases = [arm.spec for arm in planned if not arm.because], facts.sizes.cases
    return facts.speed.assumptions((spec, _arm_work(spec, facts, cases)) for spec in kept)


def _affordable_trials(facts: PlanInputs, arms: list[Spec], choice: PlanLimits) -> int | None:
    """Return how many prompts a search may try in its share of the minutes; None without one.

    Under the schedule a search runs on one fold, and on others only if that can change the verdict.
    """
    most = max((prompts_tried(spec) for spec in arms), default=0)
    while most > LEAST_SEARCHED:
        planned = _plan_arms(facts, arms, replace(choice, tried=most))[1]
        minutes = [arm.minutes / (max(len(arm.folds), 1) if facts.task.budget.stages else 1)
                   for arm in planned if prompts_tried(arm.spec)]  # fmt: skip
        if max(minutes, default=0.0) <= _SEARCH_SHARE * facts.task.budget.minutes:
            break
        most = max(LEAST_SEARCHED, most // 2)
    return most or None


def _seed_count(task: Task) -> int:
    """Return how many seeds training arms get: one under the schedule unless the task sets it."""
    return task.seeds if not task.budget.stages or "seeds" in task.model_fields_set else 1


def diagnosis_minutes(across: Sequence[PlannedArm], scheduled: bool) -> float:
    """Return the expected minutes of the diagnosis: half of what its planned arms take.

    A placebo runs only if its arm passes more than the base. Under the schedule those that
    train run only in the minutes that are left, so they count nothing.
    """
    return sum(arm.minutes for arm in across if not (scheduled and trains(arm.spec))) / 2


def _plan_arms(
    facts: PlanInputs, arms: list[Spec], choice: PlanLimits
) -> tuple[PlanInputs, list[PlannedArm]]:
    """Return (inputs with the examples of these arms' prompts, the arms planned within limits)."""
    cut = [_cut_spec(spec, choice, facts) for spec in arms]
    facts = with_examples(facts, [s for s in cut if not _plan_arm(facts, s, choice, arms).because])
    return facts, [_plan_arm(facts, spec, choice, arms) for spec in cut]


def with_examples(facts: PlanInputs, arms: Sequence[Spec]) -> PlanInputs:
    """Return a plan's inputs with `sizes.examples` and `sizes.prompts` set from the prompt arms.

    `examples` is the most of a prompt that differs by input; without such a prompt it is unchanged,
    since a prompt search may add examples. `prompts` is how many an arm may choose among.
    """
    prompts = [spec for spec in arms if spec.tool == "prompt"]
    shots = [spec.options.get("k", 0) for spec in prompts if _differs_by_input(spec, facts)]
    most = max(shots, default=facts.sizes.examples)
    handed = len({spec.arm for spec in prompts if not is_recorded(facts.task, spec)})
    sizes = facts.sizes.model_copy(update={"examples": most, "prompts": min(handed, MOST_PROMPTS)})
    return replace(facts, sizes=sizes)


def _differs_by_input(spec: Spec, facts: PlanInputs) -> bool:
    """Return whether most of an arm's prompt differs by input, so a cached prefix saves little."""
    work, single = (_arm_work(spec, facts, cases) for cases in (facts.sizes.cases, 1))
    return work.read >= facts.sizes.cases * single.read / 2


def _diagnosis_arms(
    facts: PlanInputs, planned: list[PlannedArm], choice: PlanLimits
) -> Iterator[PlannedArm]:
    """Yield the planned placebos, pilots and arms on failures that the diagnosis may run.

    One seed each; one fold if it trains. Variants of an arm get no placebo: they repair its cause.
    """
    task, all_folds = facts.task, tuple(range(len(facts.split.learning)))
    if choice.read == 0:
        return
    few = min(ON_FAILURES, ON_FAILURES if choice.read is None else choice.read)
    before = [arm.spec for arm in planned if not arm.because]
    for spec in failure_only_arms(task):
        if not unmet_needs(spec, facts.available):
            yield _probe_plan(facts, spec, _Scope(all_folds, (task.seed,), few), before)
    for arm in planned:
        if arm.because or variant_of(task, arm.spec) >= 0:
            continue
        for spec in diagnosis_runs(arm.spec, facts.sizes.train):
            folds = arm.folds[:1] if trains(spec) else arm.folds
            most = choice.read and choice.read * (1 if spec.of else 2)  # a pilot: passed ones too
            yield _probe_plan(facts, spec, _Scope(folds, arm.seeds[:1], most), before)


@dataclass(frozen=True)
class _Scope:
    """The folds and seeds of a probe, and the most cases (None: all)."""

    folds: tuple[int, ...]
    seeds: tuple[int, ...]
    most_cases: int | None


def _probe_plan(facts: PlanInputs, spec: Spec, scope: _Scope, before: Sequence[Spec]) -> PlannedArm:
    scored = sum(len(facts.split.parts[fold].test) for fold in scope.folds)
    cases = min(scored, scope.most_cases or scored)
    sent = _endpoint_load(facts, spec, cases, before)
    plain = {"spec": spec, "folds": scope.folds, "seeds": scope.seeds}
    return PlannedArm(**plain, **_cost_fields(facts, _arm_work(spec, facts, cases), sent))


def _cost_fields(facts: PlanInputs, work: Work, sent: EndpointLoad | None) -> dict[str, Any]:
    """Return the fields of a PlannedArm on requests, tokens, minutes and dollars (`sent`: most)."""
    minutes = facts.speed.minutes(work) if facts.speed else 0.0
    if sent is None:
        tokens = round(work.read + work.written + work.taught_read + work.taught_written)
        return {"requests": work.requests, "tokens": tokens, "minutes": round(minutes, 3),
                "pace": work.pace}  # fmt: skip
    # An arm that trains here on an endpoint's replies takes the minutes of both.
    return {"requests": sent.most_requests, "tokens": sent.most_tokens,
            "minutes": round(sent.minutes + (minutes if work.trained else 0.0), 3),
            "usd": sent.most_usd, "sent": sent, "pace": work.pace}  # fmt: skip


def _endpoint_load(
    facts: PlanInputs, spec: Spec, cases: int, before: Sequence[Spec]
) -> EndpointLoad | None:
    """Return the endpoint load of an arm, None without one; `before`: the arms measured earlier."""
    if facts.remote is None:
        return None
    shots = max((s.options.get("k", 0) for s in before), default=0)
    searches = [search for search in (*before, spec) if search.options.get("budget")]
    words = max((int(search.options.get("words", 0)) for search in searches), default=0)
    grown = max(2 * facts.remote.wording_bytes, WORD_BYTES * words) if searches else 0
    if grown:  # a search may double the examples, or add 16 if there are none
        shots = max(16, 2 * shots)
    sizes, rows = _arm_sizes(facts, spec, cases), cases
    if not shots and not spec.options.get("k"):  # one prompt in all folds: one request per row
        rows = min(cases, facts.audit.scored * times_asked(facts.task, spec))
    return arm_load(facts.remote, facts.task, spec, sizes, BestPrompt(shots, grown, rows))


def _other_loads(
    facts: PlanInputs, arms: list[Spec], planned: Sequence[PlannedArm]
) -> Iterator[EndpointLoad]:
    """Yield the endpoint loads besides those of the arms: the judge, and the changed facts."""
    if facts.remote is None:
        return
    kept = [arm for arm in planned if not arm.because]
    answers = sum(_answer_count(facts, arm, arms) for arm in kept)
    if (sent := judge_traffic(facts.remote, answers)) is not None:
        yield sent
    readers = [arm.spec for arm in kept if _reads_documents(arm.spec) and not trains(arm.spec)]
    if facts.task.data.docs and readers:
        cases = min(facts.audit.scored, _CHANGED_FACTS)
        requests = [
            request
            for spec in readers
            for request in arm_requests(facts.remote, facts.task, spec,
                                facts.sizes.model_copy(update={"cases": cases}),
                                BestPrompt(16, 2 * facts.remote.wording_bytes, cases))
        ]  # fmt: skip
        if (sent := facts.remote.sent("changed facts", requests)) is not None:
            yield sent


def _reads_documents(spec: Spec) -> bool:
    return bool(needs_of_arm(spec) & {"docs", "gold_passage"})


def _answer_count(facts: PlanInputs, arm: PlannedArm, arms: list[Spec]) -> float:
    """Return how many scored answers an arm gives at most: rows, or its requests if more."""
    parts = [facts.split.parts[fold] for fold in arm.folds]
    dev = needs_dev_scores(facts.task, arm.spec, arms) or trains(arm.spec)
    rows = sum(len(part.test) + len(part.dev) * dev for part in parts) * max(len(arm.seeds), 1)
    return max(rows, float(arm.sent.most_requests) if arm.sent else 0.0)


def _cut_spec(spec: Spec, choice: PlanLimits, facts: PlanInputs) -> Spec:
    """Return the spec with its training rows and tried prompts cut to the limits."""
    if choice.rows and cuttable_rows(spec, facts.sizes.train) > choice.rows:
        return spec.model_copy(update={"options": {**spec.options, "rows": choice.rows}})
    if choice.tried and prompts_tried(spec) > choice.tried:
        return spec.model_copy(update={"options": {**spec.options, "budget": choice.tried}})
    return spec


def _arm_work(spec: Spec, facts: PlanInputs, cases: int) -> Work:
    arm = load("arms", spec.arm)
    if not hasattr(arm, "estimate"):
        return Work()
    sizes = _arm_sizes(facts, spec, cases)
    if not chooses(spec):
        sizes = sizes.model_copy(update={"train": sizes.train + sizes.dev, "dev": 0})
    return cast(Work, arm.estimate(sizes, arm.Options.model_validate(spec.options)))


def _dev_row_count(parts: Sequence[Part], spec: Spec) -> int:
    """Return how many dev rows an arm answers in addition to the scored rows.

    A prompt without examples or search is the same in all folds, so each row is answered once.
    """
    if spec.options.get("k") or spec.options.get("budget"):
        return sum(min(len(part.dev), DEV_ROWS_FOR_CHOICE) for part in parts)
    scored = {case for part in parts for case in part.test}
    return len({case for part in parts for case in sorted(part.dev)[:DEV_ROWS_FOR_CHOICE]} - scored)


def _arm_sizes(facts: PlanInputs, spec: Spec, cases: int) -> Sizes:
    """Return the sizes of an arm that answers `cases` cases over all folds."""
    handed = facts.sizes.prompts if chooses_prompt(spec) else 0
    folds = len(facts.split.learning)
    return facts.sizes.model_copy(update={"cases": cases, "folds": folds, "prompts": handed})


def _plan_arm(facts: PlanInputs, spec: Spec, choice: PlanLimits, arms: list[Spec]) -> PlannedArm:
    if reason := Reason.joined(unmet_needs(spec, facts.available)):
        return PlannedArm(spec=spec, because=reason)
    if says := getattr(load("arms", spec.arm), "does_not_apply", lambda task: "")(facts.task):
        return PlannedArm(spec=spec, because=Reason.of(says))
    training, parts = trains(spec), facts.split.learning
    if training and choice.folds is not None:
        parts = parts[: choice.folds]
    scheduled = facts.task.budget.stages and not is_recorded(facts.task, spec)
    if scheduled and prompts_tried(spec):  # a search answers dev rows with every prompt
        parts = parts[:1]
    if is_recorded(facts.task, spec):
        parts = facts.split.parts
    seeds = tuple(facts.task.seed + i for i in range(choice.seeds if training else 1))
    times = len(parts) * len(seeds)
    dev = needs_dev_scores(facts.task, spec, arms)
    scored = sum(len(part.test) for part in parts) * len(seeds) * times_asked(facts.task, spec)
    extra = _dev_row_count(parts, spec) * len(seeds) if dev and not training else 0
    work = _arm_work(spec, facts, scored + extra)
    if (training or tunes_encoder(spec)) and times > 1:
        work = work.model_copy(update={"trained": work.trained * times})
    at = [other.name for other in arms].index(spec.name)  # its options may have been cut
    before = [other for other in arms[:at] if not unmet_needs(other, facts.available)]
    sent = _endpoint_load(facts, spec, scored + extra, before)
    plain: dict[str, Any] = {"spec": spec, "folds": tuple(range(len(parts))), "seeds": seeds}
    costs = _cost_fields(facts, work, sent)
    if scheduled:
        units = units_of(facts.task, spec, len(parts), facts.split, costs["minutes"])
        plain |= {
            "units": units,
            "looked": looked_after(units, costs["minutes"] / facts.task.budget.minutes),
        }
    trained = Work(trained=work.trained, pace=work.pace, layers=work.layers)
    fit = facts.speed.minutes(trained) / max(len(parts), 1) if facts.speed else 0.0
    return PlannedArm(**plain, fit_minutes=round(fit, 3), **costs)
