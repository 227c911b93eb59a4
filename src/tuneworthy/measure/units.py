"""Run one arm on its folds and seeds, unit by unit; a stored unit is never run again.

A unit is (arm, options, seed, fold, shard); its key is the hash of everything that can change it.
Knows no arm by name and no verdict. The sealed side is opened only here, to score.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from tuneworthy.matrix.ladder import runs_before, simplest_prompts
from tuneworthy.measure import latency
from tuneworthy.measure.answering import FitRequest, Runner, answer_cases, dev_score, with_repeats
from tuneworthy.measure.latency import rescore_cut_answers
from tuneworthy.measure.model_roles import base_failed, unavailable_note, why_not_opened
from tuneworthy.measure.unit import Unit
from tuneworthy.metrics import score_all
from tuneworthy.records.answer import Answer
from tuneworthy.records.arm import Fitted, Recipe
from tuneworthy.records.case import Query
from tuneworthy.records.errors import (
    DoesNotApply,
    DoesNotFit,
    ModelError,
    NumericError,
    ProviderError,
)  # fmt: skip
from tuneworthy.records.freed_memory import trim_heap
from tuneworthy.records.plan import PlannedArm
from tuneworthy.records.reason import Reason
from tuneworthy.records.record import digest
from tuneworthy.records.run import Run, Spec, State
from tuneworthy.records.specs import (
    DEV_ROWS_FOR_CHOICE,
    chooses,
    chooses_prompt,
    recorded_system,
    times_asked,
)
from tuneworthy.rows.folds import Part, Split
from tuneworthy.rows.recorded import skips_early_rows

COMMON_FOLDER = "common"


def measure(runner: Runner, planned: PlannedArm, recipes: Sequence[Recipe], dev: bool) -> list[Run]:
    """Return one Run per fold and seed of a planned arm, from the ledger if it is stored.

    `recipes` is the best prompt so far by fold; `dev`: also measure dev scores.
    """
    spec = planned.spec
    if because := planned.because or _why_unopened(runner, spec):
        return [Run(spec=spec, seed=0, fold=None, state="skipped", because=because)]
    runner = replace(runner, executor=runner.executor.of_arm(spec, runner.task, runner.models))
    runs, seeds, folds = list[Run](), planned.seeds, planned.folds
    units = [
        Unit(spec, seed, fold, part, recipes[fold], dev, len(seeds) > 1, prompts, folds, steps)
        for seed in seeds
        for fold, part, prompts in _folds_with_prompts(runner, planned)
        for steps in (tuple(cases for at, cases in planned.units if at == fold),)
    ]
    for run in runner.executor.map(partial(_run_unit, runner), units):
        runs.append(run)
        if run.state in {"skipped", "failed"}:
            return [run]
    return runs


def _folds_with_prompts(
    runner: Runner, planned: PlannedArm
) -> Iterator[tuple[int, Part, tuple[Recipe, ...]]]:
    """Yield (fold number, its rows, prompts that the arm may choose among) per fold to run."""
    spec, own = planned.spec, chooses_prompt(planned.spec)
    logs = runner.recorded.get(spec.name, {})
    for fold in planned.folds:
        part = runner.split.parts[fold].learnt(chooses(spec))
        if cases := [cases for at, cases in planned.units if at == fold]:
            first = _drawn_order(part.test, runner.task.seed)[: cases[-1]]
            part = part.model_copy(update={"test": tuple(sorted(first))})
        if logs and not part.train and skips_early_rows(logs, part.test):
            continue
        before = runs_before(runner.runs, spec, fold)
        yield fold, part, simplest_prompts(before, fold, runner.task.seed) if own else ()


def _drawn_order(cases: Sequence[str], seed: int) -> list[str]:
    """Return case ids in the order in which the steps of a fold score them, drawn by the seed."""
    return sorted(cases, key=lambda case: digest([seed, "step", case], 16))


def _run_unit(runner: Runner, unit: Unit) -> Run:
    runner.check()
    identity = unit.key_fields(runner)
    scored, times = runner.sealed.digest(unit.part.test), times_asked(runner.task, unit.spec)
    timed = runner.timed and ("tail" if runner.task.success.limits.p95_ms is not None else True)
    key = digest({"what": "run", "unit": identity, "metric": runner.metric_digest, "dev": unit.dev,
                  "cases": scored, **({"seeds": True} if unit.seeds else {}),
                  **({"repeats": times} if times > 1 else {}),
                  **({} if timed is True else {"timed": timed}),
                  **({} if runner.longer else {"cut": "not asked again"})})  # fmt: skip
    if stored := runner.ledger.get(key):
        return Run.model_validate(stored)
    try:
        run = _measured_run(runner, unit, identity)
    except DoesNotApply as error:
        run = _empty_run(unit, Reason.of(*error.args), "skipped")
    except (ModelError, NumericError) as error:
        run = _empty_run(unit, Reason.of(" ".join(str(error).split())))
        if isinstance(error, DoesNotFit):
            return run  # not stored: memory may be free later
    except ProviderError as error:
        if base_failed(runner.models, unit.spec, error):
            raise
        runner.say(f"{unit.spec.name}: {unavailable_note(error)}")
        return _empty_run(unit, unavailable_note(error))  # not stored: a later run tries again
    trim_heap()
    if run.temporary_failures:  # not stored, so that a later run asks again
        runner.ledger.hold(key, run.plain())
    else:
        runner.ledger.put(key, "run", run.plain(), study=runner.study)
    return run


def _why_unopened(runner: Runner, spec: Spec) -> Reason | None:
    if why := why_not_opened(runner.models, spec):
        runner.say(f"{spec.name}: {why}")
    return why


def _empty_run(unit: Unit, because: Reason, state: State = "failed") -> Run:
    fold = None if state == "skipped" else unit.fold
    return Run(spec=unit.spec, seed=unit.seed, fold=fold, state=state, because=because)


def _measured_run(runner: Runner, unit: Unit, identity: dict[str, Any]) -> Run:
    spec, part = unit.spec, unit.part
    key = digest({"what": "fit", "unit": identity})
    setup = unit.setup(runner, runner.ledger.folder(key))
    fitted, seconds = runner.executor.fit(FitRequest(key, spec, unit.seed, setup))
    if fitted.learned:
        source: dict[str, Any] = {"unit": identity}
    else:  # the answers depend on no row and no metric, so all folds share them
        same = {"recipe": (fitted.recipe or Recipe()).plain(), "learn": None, "metric": None}
        own = {key: value for key, value in identity.items() if key != "prompts"}
        source = {"unlearned": {**own, **same}}
    shared = unit.dev and not fitted.learned
    every = shared and not unit.steps
    case_ids = _all_cases(runner.split, unit.folds) if every else sorted(part.test)
    dev = (fitted.trace or {}).get("dev")
    by_dev = unit.dev or (unit.seeds and dev is None)
    dev_ids = sorted(part.dev)[:DEV_ROWS_FOR_CHOICE]
    extra_dev = sorted(set(dev_ids) - set(case_ids)) if by_dev else []
    scored = runner.sealed.queries(case_ids, gold_passage=unit.arm.ROLE == "ceiling")
    blocks = _blocks(runner, unit, scored)
    answers = dict(answer_cases(runner, fitted, source, blocks, extra_dev))
    dev_notes: tuple[str, ...] = ()
    if by_dev:
        dev_cases = [runner.learn_cases[i] for i in dev_ids]
        dev, dev_notes = dev_score(runner.metric, dev_cases, answers)
    test = [answers[i] for i in sorted(part.test)]
    if (times := times_asked(runner.task, spec)) > 1:
        ids = {answer.case for answer in test}
        mine = [[query for query in block if query.id in ids] for block in blocks]
        test = with_repeats(runner, fitted, source, mine, test, times)
    gold = runner.sealed.open("score")
    scores = score_all(runner.metric, [gold[a.case] for a in test], test)
    queries = {query.id: query for query in scored}
    pairs = list(zip(test, scores, strict=True))
    timed, notes = _measure_latency(runner, unit, fitted, test, case_ids), list(dev_notes)
    return Run(
        spec=spec,
        seed=unit.seed,
        fold=unit.fold,
        state="measured",
        answers=tuple(test),
        scores=tuple(scores),
        longer=rescore_cut_answers(
            runner.metric, gold, fitted, (pairs, queries), unit.fold, notes.append
        )
        if runner.longer
        else None,
        dev=dev,
        dev_lost=bool(dev_notes),
        learned=fitted.learned,
        recorded=bool(runner.recorded.get(spec.name)),
        recipe=fitted.recipe,
        fingerprint=dict(fitted.model.fingerprint) if fitted.model else {},
        trace=fitted.trace,
        fit_seconds=round(seconds, 3),
        latency_ms=timed.ms,
        latency_concurrency=timed.concurrency,
        notes=(*fitted.notes, *getattr(fitted.model, "notes", ()), *notes),
        artefact=fitted.artefact
        and Path(os.path.relpath(fitted.artefact, runner.task.folder)).as_posix(),
    )


def _blocks(runner: Runner, unit: Unit, scored: Sequence[Query]) -> list[list[Query]]:
    """Return the queries of a unit by the step that scores them first; one block without steps."""
    if len(unit.steps) < 2:
        return [list(scored)]
    order = _drawn_order([query.id for query in scored], runner.task.seed)
    step = {case: sum(at >= end for end in unit.steps) for at, case in enumerate(order)}
    return [[q for q in scored if step[q.id] == at] for at in range(len(unit.steps))]


def _all_cases(split: Split, folds: Sequence[int]) -> list[str]:
    return sorted({i for fold in folds for i in split.parts[fold].test})


def _measure_latency(
    runner: Runner, unit: Unit, fitted: Fitted, answers: Sequence[Answer], all_cases: Sequence[str]
) -> latency.LatencySample:
    """Return request times of an arm: measured now or, at an endpoint, taken from its answers.

    A local model is timed on the first fold and seed right after it answered, so it is warm; with a
    limit on the tail each fold of that seed times its share of the prompts. A repeated request to
    an endpoint would come from the ledger.
    """
    if not runner.timed or runner.recorded.get(recorded_system(unit.spec)):
        return latency.UNTIMED_SAMPLE
    if fitted.model is not None and "endpoint" in fitted.model.fingerprint:
        return latency.request_latency(answers)
    tail = runner.task.success.limits.p95_ms is not None
    if unit.seed != runner.task.seed or not (unit.fold == 0 or tail):
        return latency.UNTIMED_SAMPLE
    share = -(-latency.TAIL_PROMPTS // len(runner.split.parts))
    own = [answer.case for answer in answers]
    ids = own[:share] if tail else all_cases[: latency.MOST_TIMED_PROMPTS]
    queries = runner.sealed.queries(ids, gold_passage=unit.arm.ROLE == "ceiling")
    return runner.executor.latency(fitted, queries, runner.check, tail)
