"""The report's sections as plain values and drawings; the templates only lay them out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from markupsafe import Markup

from tuneworthy.core.answer import Score
from tuneworthy.core.counting import score_text
from tuneworthy.core.evidence import ArmResult, Pair
from tuneworthy.core.plugins import catalogue
from tuneworthy.core.results import Results
from tuneworthy.core.verdict import ByMargin
from tuneworthy.report import _charts as charts
from tuneworthy.report import _svg as svg
from tuneworthy.report import fact_lines
from tuneworthy.report._cells import ScoreMatrix, bin_means, passing_score, scores_hardest_first
from tuneworthy.report.fact_lines import timed_as
from tuneworthy.verdict import phrases

MOST_STRIPES = 600


def arm_description(results: Results, arm: ArmResult) -> str:
    """Return what an arm does: its module's first line; "" if it is not a built-in arm."""
    kinds = {run.spec.name: run.spec.arm for run in results.runs}
    planned = {arm.spec.name: arm.spec.arm for arm in results.plan.arms}
    kind = kinds.get(arm.name) or planned.get(arm.name) or arm.name
    return catalogue("arms").get(kind, "")


def arm_descriptions(results: Results) -> list[tuple[str, str]]:
    """Return what each arm of the ladder does, in a sentence."""
    arms = fact_lines.ladder_order(results.evidence.arms)
    return [(arm.name, text) for arm in arms if (text := arm_description(results, arm))]


def ladder_drawings(results: Results, matrix: ScoreMatrix) -> dict[str, dict[str, Any]]:
    """Return the bar, the strip of cases and the load of timing of each arm, by its name."""
    return {
        arm.name: {
            "bar": _score_bar(arm),
            "strip": _case_strip(arm.name, matrix),
            "timed": fact_lines.timed_as(arm.latency_ms) if arm.latency_ms else "",
        }
        for arm in results.evidence.arms
    }


def _score_bar(arm: ArmResult) -> Markup:
    if arm.score is None:
        return Markup()
    text = f"{arm.name}: {phrases.score_with_bounds(arm.score)}"
    return svg.bar(arm.score.mean, arm.score.low, arm.score.high, text)


def _case_strip(name: str, matrix: ScoreMatrix) -> Markup:
    values = bin_means(scores_hardest_first(matrix, name), MOST_STRIPES)
    if not values:
        return Markup()
    return svg.strip(values, f"{name} on every case, the hardest left: dark is wrong")


def margin_ranges(results: Results) -> list[dict[str, Any]]:
    """Return the margin strip: ranges of margins over which the verdict is the same."""
    out: list[dict[str, Any]] = []
    for point in results.verdict.by_margin:
        same = (point.use, point.arm, point.status)
        if out and out[-1]["same"] == same:
            out[-1]["to"], out[-1]["cells"] = point.margin, out[-1]["cells"] + 1
        else:
            out.append({"same": same, "from": point.margin, "to": point.margin, "cells": 1,
                        **_margin_row(point, results)})  # fmt: skip
    return out


def margin_axis(results: Results) -> Markup:
    """Return the axis of the margin strip."""
    margins = [point.margin for point in results.verdict.by_margin]
    return charts.margin_axis(margins, results.task.success.margin) if margins else Markup()


def _margin_row(point: ByMargin, results: Results) -> dict[str, Any]:
    return {
        "name": point.arm or point.use,
        "status": point.status,
        "named": point.arm == results.verdict.arm,
    }


def forest_plot(results: Results, matrix: ScoreMatrix) -> dict[str, Any]:
    """Return the forest plot: every measured arm with its interval on one axis.

    `wide` explains each interval that is wider than for independent rows; `caution` is a sentence
    on the named arm's score.
    """
    scale, target = charts.forest_scale(results), results.task.success.target
    rows: list[dict[str, Any]] = [
        {"arm": arm, "row": charts.forest_row(arm, scale, _seed_means(results, arm), target)}
        for arm in fact_lines.ladder_order(results.evidence.arms)
        if arm.score and arm.role != "placebo"
    ]
    wide = [(row["arm"].name, fact_lines.wide_line(row["arm"])) for row in rows if row["arm"].wide]
    named = fact_lines.arm_named(results)
    caution = fact_lines.not_certain(named, has_partial_scores(matrix, named.name)) if named else ""
    return {"rows": rows, "axis": charts.tick_labels(scale), "target": target, "wide": wide,
            "caution": caution}  # fmt: skip


def has_partial_scores(matrix: ScoreMatrix, *arms: str) -> bool:
    """Return whether some score lies between 0 and 1: of these arms, or of any."""
    columns = [matrix.values.get(name, []) for name in arms or matrix.values]
    return any(v not in (None, 0, 1) for column in columns for v in column)


def _seed_means(results: Results, arm: ArmResult) -> list[float]:
    if arm.seeds < 2:
        return []
    by_seed: dict[int, list[float]] = defaultdict(list)
    for run in results.runs:
        if run.spec.name == arm.name:
            by_seed[run.seed] += [s.value for s in run.scores if isinstance(s, Score)]
    return [sum(values) / len(values) for _, values in sorted(by_seed.items()) if values]


def difference_groups(results: Results) -> dict[str, Any]:
    """Return the paired differences to the named arm, and those that beat lower finalists."""
    margin = results.task.success.margin
    against = sorted(fact_lines.differences_to_named(results), key=lambda pair: pair.high)
    climbed = list(_beating_pairs(results, margin))
    pairs = [*against, *climbed]
    if not pairs:
        return {"groups": [], "axis": Markup(), "level": None}
    scale = charts.pair_scale(pairs, margin)

    def rows(group: list[Pair]) -> list[dict[str, Any]]:
        return [
            {"pair": pair, "row": charts.pair_row(pair, scale, margin), "span": phrases.span(pair),
             "counts": charts.pair_counts_bar(pair), "ties": pair.n - pair.wins - pair.losses}
            for pair in group
        ]  # fmt: skip

    named = results.verdict.arm or "the reference"
    groups = [(f"Arms beside {named}", rows(against)),
              ("Rungs that were beaten on the way up", rows(climbed))]  # fmt: skip
    return {
        "groups": [group for group in groups if group[1]],
        "axis": charts.tick_labels(scale, "points"),
        "level": pairs[0].level,
        "factor": max(pair.factor for pair in pairs),
        "errors": [pair for pair in pairs if pair.by_errors],
    }


def _beating_pairs(results: Results, margin: float) -> Iterator[Pair]:
    """Yield for each beaten finalist the paired difference that shows it most clearly."""
    finalists = {arm.name for arm in results.evidence.arms if arm.finalist}
    compared = {arm.name for arm in results.evidence.arms if arm.competes}
    for arm in fact_lines.ladder_order(results.evidence.arms):
        if arm.name == results.verdict.arm or arm.name not in finalists:
            continue
        beating = [
            pair
            for pair in results.evidence.pairs
            if pair.versus == arm.name and pair.arm in compared
            and pair.low > 0 and pair.mean >= margin
        ]  # fmt: skip
        if beating:
            yield max(beating, key=lambda pair: pair.low)


def trade_off_charts(results: Results) -> list[dict[str, Any]]:
    """Return the charts of score by cost and by latency, with the arms left out and why."""
    arms = _trade_off_arms(results)
    costs = [(a, a.usd_per_1k, f"${phrases.amount(a.usd_per_1k)} a 1,000 requests")
             for a in arms if a.usd_per_1k is not None]  # fmt: skip
    times = [(a, a.latency_ms.p50 / 1000,
              f"p50 {phrases.duration(a.latency_ms.p50 / 1000)} {timed_as(a.latency_ms)}")
             for a in arms if a.latency_ms]  # fmt: skip
    return [
        _trade_off_chart(results, "Against cost", "$ a 1,000 requests", "usd_per_1k", costs),
        _trade_off_chart(results, "Against waiting", "p50, seconds", "latency_ms", times),
    ]


def _trade_off_chart(
    results: Results, title: str, unit: str, field: str, values: list[tuple[ArmResult, float, str]]
) -> dict[str, Any]:
    spots = [
        charts.ScatterPoint(
            _short_name(arm.name),
            x,
            arm.score.mean,
            _mark_of_arm(arm, results),
            f"{arm.name}: {score_text(arm.score.mean)}, {text}",
        )
        for arm, x, text in values
        if x > 0 and arm.score
    ]
    drawn = {arm.name for arm, x, _ in values if x > 0}
    free = {arm.name for arm, x, _ in values if x <= 0}
    reasons: dict[str, list[str]] = {}
    for arm in _trade_off_arms(results):
        if arm.name not in drawn:
            reasons.setdefault(_why_not_drawn(arm, field, free), []).append(arm.name)
    left = [f"{', '.join(names)}: {why}" for why, names in reasons.items()]
    chart = charts.scatter_plot(spots, unit) if len(spots) > 1 else None
    return {"title": title, "chart": chart, "left": left}


def _short_name(name: str) -> str:
    return name if len(name) <= 22 else f"{name[:21]}…"


def _trade_off_arms(results: Results) -> list[ArmResult]:
    """Return the arms for the trade-off charts: candidates and ceilings."""
    roles = ("candidate", "ceiling")
    return [arm for arm in results.evidence.arms if arm.score and arm.role in roles]


def _why_not_drawn(arm: ArmResult, field: str, free: set[str]) -> str:
    if arm.name in free:
        return "at no cost: off a logarithmic axis"
    return str(arm.missing.get(field) or arm.because or phrases.UNKNOWN)


def _mark_of_arm(arm: ArmResult, results: Results) -> str:
    if arm.name == results.verdict.arm:
        return "named"
    return "finalist" if arm.finalist else "reference" if arm.role != "candidate" else "other"


def training_sections(results: Results) -> list[dict[str, Any]]:
    """Return the training curves of every arm that has a trace."""
    traces: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for run in results.runs:
        if run.trace and "steps" in run.trace and run.spec.role == "candidate":
            traces[run.spec.name].append(run.trace)
    out = []
    because = {arm.name: str(arm.because or "") for arm in results.evidence.arms}
    for name, kept in traces.items():
        runs = [charts.training_points(trace) for trace in kept]
        losses = [run["loss"] for run in runs if run["loss"]]
        devs = [run["dev"] for run in runs if run["dev"]]
        chosen = [run["chosen"] for run in runs if run["chosen"]]
        single = all(len(trace["evaluations"]) == 1 for trace in kept)
        out.append(
            {
                "name": name,
                "loss": charts.unnamed_lines_chart(losses, [], ("step", "loss"))
                if losses
                else None,
                "dev": charts.unnamed_lines_chart(devs, chosen, ("step", "score"), True)
                if devs
                else None,
                "no_dev": "one epoch: there was nothing to choose" if single else "not recorded",
                "runs": len(kept),
                "note": because.get(name, ""),
                "facts": trace_figures(kept[0]),
            }
        )
    return out


def trace_figures(trace: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the numbers of a training trace as (name, text), without its seed and choice."""
    return [
        (key.replace("_", " "), f"{value:,.3g}" if isinstance(value, float) else f"{value:,}")
        for key, value in trace.items()
        if isinstance(value, int | float)
        and not isinstance(value, bool)
        and key not in ("chosen", "seed")
    ]


def failure_map(results: Results, matrix: ScoreMatrix) -> list[dict[str, Any]]:
    """Return each measured arm's strip of cases and number of failures, placebos included."""
    least, rows = passing_score(results), []
    order = [arm.name for arm in fact_lines.ladder_order(results.evidence.arms)]
    for name in sorted(matrix.values, key=lambda n: order.index(n) if n in order else len(order)):
        known = [v for v in matrix.values[name] if v is not None]
        if not known:
            continue
        failed = sum(v < least for v in known)
        rows.append({"name": name, "strip": _case_strip(name, matrix), "failed": failed,
                     "n": len(known), "listed": name in order})  # fmt: skip
    return rows


def uncompared_arms(results: Results) -> list[dict[str, Any]]:
    """Return the candidates that the verdict does not compare, each with its reason."""
    return [
        {"arm": arm, "why": str(arm.because or _why_not_compared(arm))}
        for arm in fact_lines.ladder_order(results.evidence.arms)
        if arm.role == "candidate" and not arm.competes
    ]


def _why_not_compared(arm: ArmResult) -> str:
    if "violated" in arm.limits.values():
        return "it violates a limit"
    return "another arm of its tool was named before the run (success.finalists)"
