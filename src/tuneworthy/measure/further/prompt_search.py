"""What a prompt search and more examples gained, and how far answers are in style. Pure.

Knows no arm by name: an arm that searched leaves `search` in the trace of its runs (see
arms/_searched.py for the form). Its gain is measured on dev rows, its share on the scored cases.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import ceil
from statistics import fmean, median
from typing import Any, Literal

import numpy as np

from tuneworthy.arms._searched import SEARCH_LEAST
from tuneworthy.matrix.design import TAIL, Design, Fit
from tuneworthy.matrix.ladder import sorted_by_dev
from tuneworthy.metrics._style import LEAST_PAIRS, separate, separate_halves
from tuneworthy.records.answer import Score
from tuneworthy.records.case import Case
from tuneworthy.records.errors import TaskError
from tuneworthy.records.evidence import ArmResult, Evidence, Style
from tuneworthy.records.further import PromptSearch, SearchStep, UntriedSearch
from tuneworthy.records.interval import Interval
from tuneworthy.records.plan import Plan
from tuneworthy.records.plugins import catalogue, load
from tuneworthy.records.reason import Why, is_reason
from tuneworthy.records.record import Record
from tuneworthy.records.run import Run
from tuneworthy.records.specs import needs_of_arm, searches
from tuneworthy.records.split import Split
from tuneworthy.records.task import Task
from tuneworthy.rows.copies import Copies, copy_groups

_NO_SEARCH = "no search was run: only prompts written by hand were tried"
_SEARCH_UNKNOWN = "the prompt is known by recorded answers alone: how it was found is not known"
_THEN_RUN = "in task.yaml, then `tuneworthy run`"

_SearchSteps = list[tuple[int, Mapping[str, float]]]

"""One fold's search: (prompts tried, dev-row scores of the best prompt so far) per step."""


def search_summary(
    task: Task, rows: Copies, runs: Sequence[Run], evidence: Evidence, split: Split
) -> PromptSearch | None:
    """Return the summary of the prompt search; None if no prompt was measured.

    Of several searches the best on dev counts. `gain` is the gain of the last doubling of its
    budget on the dev rows of all folds; its lower end is corrected for choosing among the new
    prompts (Bonferroni). `rho` compares prompt, base and tuned model on the scored cases. `rows`
    are all labelled rows: groups and near copies widen both.
    """
    kept = [r for r in runs if r.state == "measured" and r.spec.role == "candidate"]
    prompts = [run for run in kept if run.spec.tool == "prompt"]
    if not prompts:
        return None
    numbers = zip(rows.cases, copy_groups(rows), strict=True)
    groups = {case.id: f"group {number}" for case, number in numbers}
    design = Design.of(task, split, groups)
    rho, why = _share_of_tuning_gain(kept, evidence, design, task.seed, split)
    searches = [run for run in prompts if run.seed == task.seed and "search" in (run.trace or {})]
    if not searches:
        names = {run.spec.name for run in prompts}
        logged = all(run.recorded for run in prompts)
        why = [_SEARCH_UNKNOWN if logged else _NO_SEARCH, *why]
        best = max(sorted(names), key=lambda name: _mean_dev(prompts, name))
        return PromptSearch(arm=best, budget=len(names), rho=rho, because="; ".join(why))
    name = max(
        sorted({run.spec.name for run in searches}), key=lambda name: _mean_dev(searches, name)
    )
    own = [run for run in searches if run.spec.name == name]
    folds = [_search_steps(run) for run in own]
    gain, reason = _last_doubling_gain(folds, design)
    return PromptSearch(
        arm=name,
        budget=max(int((run.trace or {})["search"]["budget"]) for run in own),
        steps=_pooled_steps(folds),
        gain=gain,
        rho=rho,
        optimised=True,
        because="; ".join([*reason, *why]),
    )


def untried_search(
    task: Task, plan: Plan, runs: Sequence[Run], split: Split
) -> UntriedSearch | None:
    """Return the simplest search for a prompt that could run here and did not.

    None if one ran, or if none can: no model was asked here (recorded answers alone), a need is
    not met, it failed, or there are too few dev rows to choose on.
    """
    asked = [run for run in runs if run.state == "measured" and not run.recorded]
    met = {need for run in asked for need in needs_of_arm(run.spec)}
    if "training" in met and task.tune in (None, task.model):
        met.add("model")
    few = min((len(part.dev) for part in split.learning), default=0) < SEARCH_LEAST
    if few or "model" not in met or any("search" in (run.trace or {}) for run in runs):
        return None
    failed = {run.spec.name for run in runs if run.state == "failed"}
    listed = [arm for arm in plan.arms if searches(arm.spec) and not arm.spec.of]
    can = [arm for arm in listed if arm.spec.name not in failed
           and (not arm.because or is_reason(arm.because, Why.NO_ROOM))]  # fmt: skip
    if can:
        arm = min(can, key=lambda one: one.spec.simplicity)
        why = next((run.because for run in runs if run.spec == arm.spec), None)
        name, tries = arm.spec.name, arm.spec.options["budget"]
        minutes = max(1, ceil(arm.first_minutes))
        how = f"write `success: {{finalists: {{{arm.spec.tool}: {name}}}}}` {_THEN_RUN}"
        if is_reason(why, Why.NO_ROOM, Why.STOPPED):
            more = f" --more {minutes}m" if is_reason(why, Why.NO_ROOM) else ""
            how = f"`tuneworthy run{more}`"
        return UntriedSearch(arm=name, prompts=tries, minutes=minutes, how=how)
    named = [(name, load("arms", name)) for name in catalogue("arms") if not listed]
    fit = [(arm.SIMPLICITY, name) for name, arm in named
           if "budget" in arm.Options.model_fields and met >= arm.NEEDS]  # fmt: skip
    if not fit:
        return None
    name = min(fit)[1]
    tries = load("arms", name).Options().budget
    how = f"write `{{{name}: {{budget: {tries}}}}}` under `arms` {_THEN_RUN}"
    return UntriedSearch(arm=name, prompts=tries, how=how)


def _mean_dev(runs: Sequence[Run], name: str) -> float:
    devs = [run.dev for run in runs if run.spec.name == name and run.dev is not None]
    return fmean(devs) if devs else -1.0


def _search_steps(run: Run) -> _SearchSteps:
    steps: list[dict[str, Any]] = (run.trace or {})["search"]["steps"]
    return [(int(step["tried"]), step["scores"]) for step in steps]


def _pooled_steps(folds: Sequence[_SearchSteps]) -> tuple[SearchStep, ...]:
    """Return the steps with scores pooled over folds; a fold that ended keeps its last scores."""
    pooled = []
    for tried in sorted({tried for steps in folds for tried, _ in steps}):
        scores = [value for steps in folds for value in _best_scores_after(steps, tried).values()]
        pooled.append(SearchStep(tried=tried, score=round(fmean(scores), 6), n=len(scores)))
    return tuple(pooled)


def _best_scores_after(steps: _SearchSteps, tried: int) -> Mapping[str, float]:
    return [scores for at, scores in steps if at <= tried][-1]


def _last_doubling_gain(
    folds: Sequence[_SearchSteps], design: Design
) -> tuple[Interval | None, tuple[str, ...]]:
    """Return (gain of the last doubling on the dev rows of all folds, or None; reasons if so)."""
    last = max(steps[-1][0] for steps in folds)
    half = max((at for steps in folds for at, _ in steps if 2 * at <= last), default=0)
    if not half:
        return None, ("one prompt was tried: the budget was never doubled",)
    diffs = dict[tuple[int, str], float]()
    for at, steps in enumerate(folds):
        before, after = _best_scores_after(steps, half), _best_scores_after(steps, last)
        diffs |= {(at, case): after[case] - before[case] for case in after}
    design = replace(design, group={key: design.group.get(key[1], key[1]) for key in diffs})
    low = design.difference(diffs, TAIL / (last - half)).low
    return design.difference(diffs)._replace(low=low).interval, ()


def _share_of_tuning_gain(
    runs: Sequence[Run], evidence: Evidence, design: Design, seed: int, split: Split
) -> tuple[Interval | None, list[str]]:
    """Return ((prompt - base) / (tune - base) on shared cases, or None; reasons if so)."""
    arm_runs = [_finalist_runs(runs, evidence, tool) for tool in ("prompt", "tune")]
    arm_runs.append(
        [r for r in runs if r.spec.name == _baseline_name(runs, evidence) and r.seed == seed]
    )
    prompt, tune, base = map(_score_cells, arm_runs)
    if not tune:
        return None, ["no tuned arm was measured beside it"]
    ids = sorted(set(prompt) & set(tune) & set(base))
    if not ids:
        return None, ["prompt, base and tuned arm share no scored case"]
    prompt_gain = {i: prompt[i][0] - base[i][0] for i in ids}
    tune_gain = {i: tune[i][0] - base[i][0] for i in ids}
    fit = None
    if any(run.learned for own in arm_runs for run in own):  # recorded answers were not fitted here
        fit = Fit({i: tune[i][1] for i in ids}, split)
    bound = design.difference(tune_gain, fit=fit)
    if bound.low <= 0 <= bound.high:
        return None, ["the tuned arm is not shown to differ from the base"]
    if (ratio := design.ratio(prompt_gain, tune_gain, fit)) is None:
        return None, ["the share of the tuning gain has no bounds: the gain is too uncertain"]
    return ratio.interval, []


def _baseline_name(runs: Sequence[Run], evidence: Evidence) -> str:
    """Return the name of the arm to compare with: what runs today, else the simplest prompt."""
    measured = {run.spec.name for run in runs}
    today = [arm.name for arm in evidence.arms if arm.present and arm.name in measured]
    plain = [run.spec for run in runs if run.spec.tool == "prompt"]
    return today[0] if today else min(plain, key=lambda s: (s.simplicity, s.name)).name


def _finalist_runs(runs: Sequence[Run], evidence: Evidence, tool: str) -> list[Run]:
    """Return the runs of a tool's finalist; the present system is left out."""
    names = {a.name for a in evidence.arms if a.finalist and a.tool == tool and not a.present}
    return [run for run in runs if run.spec.name in names]


def _score_cells(runs: Sequence[Run]) -> dict[str, tuple[float, int]]:
    """Return {case id: (score, fold)} of an arm's runs; of several seeds the best on dev."""
    cells: dict[str, tuple[float, int]] = {}
    for run in sorted_by_dev(runs):
        for answer, score in zip(run.answers, run.scores, strict=True):
            value = score.value if isinstance(score, Score) else 0.0
            cells[answer.case] = value, run.fold or 0
    return cells


class _CurvePoint(Record):
    """One k: the arm measured there, its score and mean prompt tokens.

    `score` and `tokens` are None if not measured; `because` says why.
    """

    k: int
    arm: str
    score: Interval | None
    tokens: float | None
    because: str = ""


class _ContextCurve(Record):
    """The points of one kind of example (few: fixed, nearest: by input), by increasing k."""

    kind: Literal["few", "nearest"]
    points: tuple[_CurvePoint, ...]


def context_curves(runs: Sequence[Run], evidence: Evidence) -> tuple[_ContextCurve, ...]:
    """Return a curve for each kind of example with a k above 0; each starts at k = 0.

    Intervals are those of the single arms (95 %). Whether one k beats another follows from their
    paired difference, not from overlapping intervals.
    """
    results = {arm.name: arm for arm in evidence.arms}
    points_by_kind: dict[str, dict[int, _CurvePoint]] = {"zero": {}, "few": {}, "nearest": {}}
    for run in runs:
        if _is_curve_point(run) and run.recipe and run.spec.name in results:
            point = _curve_point(run.recipe.k, results[run.spec.name])
            points_by_kind.get(run.recipe.kind, {}).setdefault(point.k, point)
    bare = points_by_kind.pop("zero")
    return tuple(
        _ContextCurve(kind=kind, points=tuple(p for _, p in sorted({**bare, **points}.items())))
        for kind, points in points_by_kind.items()
        if points
    )


def _is_curve_point(run: Run) -> bool:
    """Return whether a run is a point: a measured context arm that is not its own placebo."""
    if run.state != "measured" or run.spec.role != "candidate":
        return False
    try:
        module = load("arms", run.spec.arm)
    except TaskError:  # a study of another machine, with an arm of another package
        return False
    if not getattr(module, "CONTEXT", False):
        return False
    options = module.Options.model_validate(run.spec.options)
    return not hasattr(module, "placebo") or module.placebo(options) != options


def _curve_point(k: int, arm: ArmResult) -> _CurvePoint:
    because = str(arm.because or "") if arm.score is None else arm.missing.get("tokens", "")
    tokens = arm.tokens.prompt if arm.tokens else None
    return _CurvePoint(k=k, arm=arm.name, score=arm.score, tokens=tokens, because=because)


_CONTROL_DRAWS = 5
_SHORTEST_MEDIAN = 20  # the least median length of the right answers, in characters


def styles(task: Task, cases: Sequence[Case], runs: Sequence[Run]) -> tuple[Style, ...] | str:
    """Return a `Style` for each arm, its distance from the right answers; or why none is measured.

    In the order of the runs. The discriminator (as in `style_match`) is fitted
    on each fold of the first seed, and the folds are averaged by their number of answers. Placebos
    and pilots are left out.
    """
    if task.output.type != "text":
        return "the answers are no free text"
    gold = {case.id: case.output for case in cases}
    if median(map(len, gold.values())) < _SHORTEST_MEDIAN:
        short = f"half of the right answers have fewer than {_SHORTEST_MEDIAN} characters"
        return f"{short}: no style shows"
    chance = _control_auc([gold[i] for i in sorted(gold)], task.seed)
    arms: dict[str, list[Run]] = {}
    for run in runs:
        scored_arm = run.spec.role in ("candidate", "reference") and not run.spec.of
        if scored_arm and run.state == "measured" and run.seed == task.seed:
            arms.setdefault(run.spec.name, []).append(run)
    return tuple(_arm_style(name, folds, gold, chance) for name, folds in arms.items())


def _arm_style(
    name: str, folds: Sequence[Run], gold: Mapping[str, str], chance: Interval | None
) -> Style:
    folds_measured = []
    for run in folds:
        texts = {a.case: a.text for a in run.answers if a.error is None and a.text.strip()}
        ids = sorted(set(texts) & set(gold))
        if len(ids) >= LEAST_PAIRS:
            discriminator = separate([texts[i] for i in ids], [gold[i] for i in ids])
            worth = np.minimum(1, 2 * (1 - np.array(discriminator.answers))).mean()
            folds_measured.append((len(ids), discriminator.auc, float(worth)))
    if not folds_measured:
        why = f"no fold has {LEAST_PAIRS} answers that are not empty"
        return Style(arm=name, n=0, control=chance, because=why)
    sizes, aucs, worths = (np.array(column) for column in zip(*folds_measured, strict=True))
    return Style(
        arm=name,
        n=int(sizes.sum()),
        auc=round(float(np.average(aucs, weights=sizes)), 6),
        score=round(float(np.average(worths, weights=sizes)), 6),
        control=chance,
    )


def _control_auc(golds: Sequence[str], seed: int) -> Interval | None:
    """Return the mean AUC, with least and most, of two halves of the right answers, or None."""
    aucs = [
        discriminator.auc
        for draw in range(_CONTROL_DRAWS)
        if (discriminator := separate_halves(golds, seed + draw))
    ]
    if not aucs:
        return None
    mean, low, high = (round(float(f(aucs)), 6) for f in (np.mean, np.min, np.max))
    return Interval(mean=mean, low=low, high=high)
