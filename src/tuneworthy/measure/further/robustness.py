"""Measure robustness: run arms at other temperatures, reworded, and without the long prompt.

The arm is refitted as it was (a trained one loads its adapter) with `RequestOverrides`
(`models/_reply_cache.py`) on its models, and answers cases of its own fold. Knows no arm by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from tuneworthy.matrix.design import Design
from tuneworthy.matrix.ladder import best_runs
from tuneworthy.measure.answering import Runner
from tuneworthy.measure.further.rewording import rewordings
from tuneworthy.measure.model_roles import roles_of
from tuneworthy.measure.unit import Unit
from tuneworthy.metrics import by_set, score_all
from tuneworthy.models import is_local
from tuneworthy.models._reply_cache import Change, RequestOverrides, with_overrides
from tuneworthy.records.answer import Answer, Score, Unscored, value_or_zero
from tuneworthy.records.arm import Fitted, Sizes, Work
from tuneworthy.records.artefact import Recipe
from tuneworthy.records.case import Query
from tuneworthy.records.errors import DoesNotApply
from tuneworthy.records.evidence import ArmResult, Evidence
from tuneworthy.records.further import RobustnessResult
from tuneworthy.records.record import digest
from tuneworthy.records.run import Run
from tuneworthy.records.specs import chooses
from tuneworthy.records.task import TRAINED_TOOLS

TEMPERATURES = (0.0, 0.3, 0.7, 1.0, 1.3)

MOST_ROBUSTNESS_CASES, ENOUGH_CASES = 60, 40  # the most cases; below ENOUGH_CASES a fold is added


def robustness_arms(evidence: Evidence, runs: Sequence[Run]) -> tuple[str, ...]:
    """Return the names of the two best finalists that call a model, and the best trained one."""
    asks = {r.spec.name for r in runs if r.state == "measured" and r.fingerprint and not r.recorded}
    ranked = sorted(
        (a for a in evidence.arms if a.finalist and a.score and a.name in asks),
        key=lambda a: (-_mean_score(a), a.simplicity, a.name),
    )
    trained = [a for a in ranked if a.tool in TRAINED_TOOLS][:1]
    return tuple(dict.fromkeys(a.name for a in (*ranked[:2], *trained)))


def measure_robustness(
    runner: Runner, runs: Sequence[Run], arms: Sequence[str]
) -> tuple[RobustnessResult, ...]:
    """Return validity and score of these arms at five temperatures, and with changed prompts.

    All arms answer the same cases: at most 60, from the first fold that all of them ran (and from
    further folds if that has fewer than 40). Arms on a paid model, or without their adapter, are
    left out. Replies are stored by prompts and limits. A metric that scores all answers together
    gets the drawn answers of each fold; a condition with too few of them for it has no result.
    """
    chosen = {name: best_runs(runs, name) for name in arms}
    folds = _first_shared_folds(chosen)
    results: list[RobustnessResult] = []
    for name, own in chosen.items():
        fits = [fit for run in own if run.fold in folds if (fit := _refit(runner, run))]
        if fits and len(fits) == len(folds):
            results += _measure_conditions(runner, name, fits)
        else:
            runner.say(f"{name}: not asked at other temperatures: its models can't be asked again")
    return tuple(results)


@dataclass(frozen=True)
class _RefittedArm:
    """An arm refitted in one fold; `overrides` changes the requests to its models."""

    run: Run
    fitted: Fitted
    overrides: RequestOverrides


def _first_shared_folds(chosen: Mapping[str, Sequence[Run]]) -> list[int | None]:
    """Return the first folds that all arms ran, as many as it takes for 40 cases."""
    ran = [{run.fold for run in own} for own in chosen.values() if own]
    shared = sorted(set.intersection(*ran), key=lambda f: f or 0) if ran else []
    sizes = {run.fold: len(run.answers) for own in chosen.values() for run in own}
    folds: list[int | None] = []
    for fold in shared:
        if sum(sizes[f] for f in folds) < ENOUGH_CASES:
            folds.append(fold)
    return folds


def _refit(runner: Runner, run: Run) -> _RefittedArm | None:
    """Return the arm refitted as in this run; None if that needs training or a paid model."""
    roles = roles_of(runner.models, run.spec)
    if not roles or not all(is_local(runner.models[role].spec) for role in roles):
        return None
    part = runner.split.parts[run.fold or 0].learnt(chooses(run.spec))
    unit = Unit(run.spec, run.seed, run.fold or 0, part, run.recipe or Recipe(), dev=False)
    folder = runner.ledger.folder(digest({"what": "shake", "unit": unit.key_fields(runner)}))
    if run.artefact:
        built = runner.task.folder / Path(run.artefact)
        if not built.exists():
            return None
        folder = built.parent
    overrides = RequestOverrides(seed=runner.task.seed)

    def store(key: str, make: Any) -> dict[str, Any]:
        return runner.ledger.unit(key, "shake", make, runner.study)

    quiet = replace(runner, recorded={}, say=lambda text: None)
    models = {r: with_overrides(runner.models[r], overrides, store, runner.salt) for r in roles}
    try:
        setup = replace(unit.setup(quiet, folder), models=models, given=lambda recipe: ())
        fitted = unit.fit(setup)
    except DoesNotApply:
        return None
    return _RefittedArm(run, fitted, overrides)


def _measure_conditions(
    runner: Runner, name: str, fits: Sequence[_RefittedArm]
) -> Iterator[RobustnessResult]:
    ids = _drawn_cases(runner, [fit.run for fit in fits])
    for temperature in TEMPERATURES:
        runner.say(f"{name}: {len(ids)} cases at temperature {temperature:g}")
        answers = _answers_in_setting(runner, fits, ids, (temperature, None))
        yield from _condition_result(runner, (name, "temperature", temperature), answers)
    plain = {a.case: a.prompt for fit in fits for a in fit.run.answers if a.case in ids}
    tool = fits[0].run.spec.tool if _has_one_turn_inputs(runner, ids) else None
    for rewording in rewordings(runner.task, list(plain.values()), tool):
        runner.say(f"{name}: {rewording.how}")
        answers = _answers_in_setting(runner, fits, ids, (0.0, rewording.change))
        yield from _condition_result(runner, (name, rewording.how, 0.0), answers)


def _has_one_turn_inputs(runner: Runner, ids: frozenset[str]) -> bool:
    """Return whether every input is a single turn, so that none is mistaken for an example."""
    return all(len(q.messages) == 1 for q in runner.sealed.queries(sorted(ids)))


def _drawn_cases(runner: Runner, runs: Sequence[Run]) -> frozenset[str]:
    """Return the ids of at most 60 cases of these runs, drawn by the task's seed."""
    ids = [answer.case for run in runs for answer in run.answers]
    ranked = sorted(ids, key=lambda i: digest([runner.task.seed, "shake", i]))
    return frozenset(ranked[:MOST_ROBUSTNESS_CASES])


def _answers_in_setting(
    runner: Runner,
    fits: Sequence[_RefittedArm],
    ids: frozenset[str],
    setting: tuple[float, Change | None],
) -> list[list[Answer]]:
    """Return a list of answers per fit, asked at (temperature, change of the prompt or None)."""
    answers: list[list[Answer]] = []
    for fit in fits:
        runner.check()
        own = [answer.case for answer in fit.run.answers if answer.case in ids]
        queries: Sequence[Query] = runner.sealed.queries(sorted(own))
        with fit.overrides.at(*setting):
            answers.append(list(fit.fitted.answer(queries)))
    return answers


def _condition_result(
    runner: Runner, condition: tuple[str, str, float], by_fit: Sequence[Sequence[Answer]]
) -> Iterator[RobustnessResult]:
    """Yield the result of one condition; nothing if the metric can't score it or judge validity."""
    gold = runner.sealed.open("shake")
    sets = [score_all(runner.metric, [gold[a.case] for a in own], own) for own in by_fit]
    if by_set(runner.metric) and not all(any(isinstance(s, Score) for s in own) for own in sets):
        return
    answers, scores = list(chain.from_iterable(by_fit)), list(chain.from_iterable(sets))
    ids = [answer.case for answer in answers]
    valid = {i: _is_valid(score) for i, score in zip(ids, scores, strict=True)}
    judged = {i: v for i, v in valid.items() if v is not None}
    if not judged:
        return
    values = dict(zip(ids, map(value_or_zero, scores), strict=True))
    design = Design.of(runner.task, runner.split)
    yield RobustnessResult(
        arm=condition[0],
        how=condition[1],
        temperature=condition[2],
        n=len(answers),
        valid=design.share(judged),
        score=design.mean(values).interval,
    )


def _is_valid(score: Score | Unscored) -> bool | None:
    return score.valid if isinstance(score, Score) else False


def _mean_score(arm: ArmResult) -> float:
    return arm.score.mean if arm.score else 0.0


def estimate(sizes: Sizes, arms: int = 3) -> Work:
    """Return the work (requests, tokens) of checking the robustness of `arms` arms.

    Nine conditions (five temperatures, three wordings, the other prompt length), with the examples
    of the best prompt.
    """
    cases = min(sizes.cases, MOST_ROBUSTNESS_CASES)
    conditions = len(TEMPERATURES) + 4
    requests = arms * conditions * cases
    read = arms * conditions * sizes.shared + requests * sizes.input_tokens
    return Work.total(requests=requests, read=read, written=requests * sizes.answer)
