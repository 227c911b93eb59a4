"""The page's sections on scores, differences and failures, and drawings of its ladder."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from markupsafe import Markup

from tuneworthy.records.answer import Score
from tuneworthy.records.counting import score_text, tenths
from tuneworthy.records.evidence import ArmResult, Pair
from tuneworthy.records.plugins import catalogue
from tuneworthy.records.results import Results
from tuneworthy.report import _charts as charts
from tuneworthy.report import _svg as svg
from tuneworthy.report import fact_lines
from tuneworthy.report._data import ScoreMatrix, bin_means, passing_score, scores_hardest_first
from tuneworthy.report.page_parts import (
    Cell,
    Details,
    Facts,
    Heading,
    Plot,
    PlotRow,
    Section,
    Shown,
    Span,
    Table,
    Text,
    score_figure,
    soft,
    strong,
)
from tuneworthy.verdict import phrases

_MOST_STRIPES = 600


def _arm_description(results: Results, arm: ArmResult) -> str:
    """Return the first line of an arm's module, what it does; "" if it is not a built-in arm."""
    kinds = {run.spec.name: run.spec.arm for run in results.runs}
    planned = {arm.spec.name: arm.spec.arm for arm in results.plan.arms}
    kind = kinds.get(arm.name) or planned.get(arm.name) or arm.name
    return catalogue("arms").get(kind, "")


def arm_descriptions(results: Results) -> list[tuple[str, str]]:
    """Return (arm, what it does in a sentence) of the ladder's built-in arms."""
    arms = fact_lines.ladder_order(results.evidence.arms)
    return [(arm.name, text) for arm in arms if (text := _arm_description(results, arm))]


def ladder_drawings(results: Results, matrix: ScoreMatrix) -> dict[str, dict[str, Any]]:
    """Return {arm: {"bar", "strip", "timed"}}: drawings of score and cases, the load when timed."""
    return {
        arm.name: {
            "bar": _score_bar(arm),
            "strip": _case_strip(arm.name, matrix),
            "timed": fact_lines.load_text(arm.latency_ms) if arm.latency_ms else "",
        }
        for arm in results.evidence.arms
    }


def _score_bar(arm: ArmResult) -> Markup:
    if arm.score is None:
        return Markup()
    text = f"{arm.name}: {phrases.score_with_bounds(arm.score)}"
    return svg.bar(arm.score.mean, arm.score.low, arm.score.high, text)


def _case_strip(name: str, matrix: ScoreMatrix) -> Markup:
    values = bin_means(scores_hardest_first(matrix, name), _MOST_STRIPES)
    if not values:
        return Markup()
    return svg.strip(values, f"{name} on every case, the hardest left: dark is wrong")


def margin_ranges(results: Results) -> list[dict[str, Any]]:
    """Return the ranges of margins over which the verdict is the same, as dicts for the strip."""
    out: list[dict[str, Any]] = []
    for point in results.verdict.by_margin:
        same = (point.use, point.arm, point.status)
        if out and out[-1]["same"] == same:
            out[-1]["to"], out[-1]["cells"] = point.margin, out[-1]["cells"] + 1
        else:
            out.append({"same": same, "from": point.margin, "to": point.margin, "cells": 1,
                        "name": point.arm or point.use, "status": point.status,
                        "named": point.arm == results.verdict.arm})  # fmt: skip
    return out


def margin_axis(results: Results) -> Markup:
    """Return the drawing of the margin strip's axis; empty without margins."""
    margins = [point.margin for point in results.verdict.by_margin]
    return charts.margin_axis(margins, results.task.success.margin) if margins else Markup()


def scores_section(results: Results, matrix: ScoreMatrix) -> Section:
    """Return the section on scores: every measured arm with its interval on one axis."""
    scale, target = charts.forest_scale(results), results.task.success.target
    arms = [arm for arm in fact_lines.ladder_order(results.evidence.arms)
            if arm.score and arm.role != "placebo"]  # fmt: skip
    rows = [
        PlotRow(
            arm.name,
            charts.forest_row(arm, scale, _seed_means(results, arm), target),
            _score_figures(arm),
            f"{'named' * (arm.name == results.verdict.arm)} {'aside' * (arm.role != 'candidate')}",
        )
        for arm in arms
    ]
    parts: list[Any] = []
    if named := fact_lines.arm_named(results):
        graded = has_partial_scores(matrix, named.name)
        dashed = "" if target is None else f", the dashed line your target of {score_text(target)}"
        failed = any(arm.errors for arm in results.evidence.arms)
        parts.append(Text(
            f"{fact_lines.not_certain(named, graded)} A dot is the mean, its line the 95 % interval"
            f"{dashed}; rings are retrainings with another seed."
            f"{' Answers that failed count as wrong.' * failed}"
        ))  # fmt: skip
    parts.append(Plot("forest", rows, charts.tick_labels(scale), "score, 0 to 1"))
    if wide := [(arm.name, fact_lines.wide_line(arm)) for arm in arms if arm.wide]:
        parts.append(Details("Why some intervals are wide", [Facts(wide)]))
    return Section("scores", "How good is each arm?", [*parts, *_style_parts(results)])


def _score_figures(arm: ArmResult) -> Shown:
    assert arm.score is not None
    more = f" · n {arm.n:,}"
    more += f" · seeds ± {tenths(arm.seed_sd)}" if arm.seed_sd is not None else ""
    more += f" · {arm.errors} failed" if arm.errors else ""
    more += f" · {arm.cut.n} cut" if arm.cut else ""
    return score_figure(arm.score, more)


def _style_parts(results: Results) -> Iterator[Any]:
    if not (styles := results.evidence.styles):
        return
    yield Heading("Can its answers be told from yours by their style?")
    yield Text(
        "A small classifier reads characters, never what is said: .5 cannot tell, 1 always can."
        " What lies in the range of your own answers against each other is chance.",
        "soft",
    )
    rows = [
        (
            one.arm,
            one.because if one.auc is None else score_text(one.auc),
            phrases.bounds_text(one.control) if one.control else "too few",
            str(one.n),
        )
        for one in styles
    ]
    yield Table(("Arm", "#Told apart (AUC)", "#Your own answers", "#Answers"), rows)


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


def differences_section(results: Results, matrix: ScoreMatrix) -> Section:
    """Return the section on paired differences: to the named arm, and to lower finalists."""
    del matrix
    margin, named = results.task.success.margin, results.verdict.arm or "the reference"
    against = sorted(fact_lines.differences_to_named(results), key=lambda pair: pair.high)
    climbed = list(_beating_pairs(results, margin))
    title, pairs = "Is one arm shown to be better than another?", [*against, *climbed]
    if not pairs:
        none = "Nothing can be compared: fewer than two arms that can be named were measured."
        return Section("differences", title, [Text(none)])
    scale, factor = charts.pair_scale(pairs, margin), max(pair.factor for pair in pairs)
    wider = f", widened by {factor:.2g} because folds share training rows" if factor > 1 else ""
    parts: list[Any] = [Text(
        "Each case is answered by both arms, so only the cases on which they differ count. Lines"
        " are the bounds that the ladder reads: one-sided, each at an error of"
        f" {100 * pairs[0].level:.2g} %{wider}. The band is your margin."
    )]  # fmt: skip
    axis = charts.tick_labels(scale, "points")
    for heading, group in ((f"Arms beside {named}", against),
                           ("Rungs that were beaten on the way up", climbed)):  # fmt: skip
        if group:
            rows = [
                PlotRow(
                    (pair.arm, " ", soft(f"− {pair.versus}")),
                    charts.pair_row(pair, scale, margin),
                    _pair_figures(pair),
                )
                for pair in group
            ]
            parts += [Heading(heading), Plot("pairs", rows, axis, "points")]
    parts += [
        Text(soft(f"{pair.arm} against {pair.versus} hangs on answers that failed: right or wrong,"
                  " they would change the sign."))
        for pair in pairs if pair.by_errors
    ]  # fmt: skip
    return Section("differences", title, parts)


def _pair_figures(pair: Pair) -> Shown:
    ties = pair.n - pair.wins - pair.losses
    counts = f"won {pair.wins}, equal {ties}, lost {pair.losses}"
    return strong(phrases.span(pair)), " ", charts.pair_counts_bar(pair), " ", soft(counts)


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


def failures_section(results: Results, matrix: ScoreMatrix) -> Section:
    """Return the section on failures: each measured arm's strip of cases and number of failures."""
    least, rows = passing_score(results), []
    order = [arm.name for arm in fact_lines.ladder_order(results.evidence.arms)]
    for name in sorted(matrix.values, key=lambda n: order.index(n) if n in order else len(order)):
        known = [value for value in matrix.values[name] if value is not None]
        if known:
            failed = sum(value < least for value in known)
            figures = strong(f"{failed:,}"), " ", soft(f"of {len(known):,} fail")
            css = f"{'named' * (name == results.verdict.arm)} {'aside' * (name not in order)}"
            rows.append(PlotRow(name, _case_strip(name, matrix), figures, css))
    about = (
        "One stripe a case, the hardest left; dark is wrong. A column that is dark for every arm is"
        " a case that nothing here solves; one that turns light from one arm to the next is what"
        " that arm buys."
    )
    return Section("failures", "Where does each arm fail?", [Text(about), Plot("failures", rows)])


def unclaimed_section(results: Results) -> Section | None:
    """Return the section on candidates that the verdict does not compare; None without any."""
    arms = [arm for arm in fact_lines.ladder_order(results.evidence.arms)
            if arm.role == "candidate" and not arm.competes]  # fmt: skip
    rows = [
        (
            arm.name,
            arm.tool or "none given",
            score_figure(arm.score, f" · n {arm.n:,}") if arm.score else arm.state,
            Cell(soft("—"), "none") if arm.dev is None else score_text(arm.dev),
            Span(str(arm.because or _why_not_compared(arm)), said=True),
        )
        for arm in arms
    ]
    about = (
        "These arms are shown for completeness. No bound speaks of them, so picking one of them"
        " afterwards would be wishful."
    )
    columns = ("Arm", "Tool", "#Score", "#Dev", "Why no claim")
    parts = [Text(about), Table(columns, rows)]
    return Section("unclaimed", "Measured, without a claim", parts) if rows else None


def _why_not_compared(arm: ArmResult) -> str:
    if "violated" in arm.limits.values():
        return "it violates a limit"
    return "another arm of its tool was named before the run (success.finalists)"
