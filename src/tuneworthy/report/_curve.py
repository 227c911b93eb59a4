"""Report section on more rows: learning curves with intervals, and how many rows to collect.

Text and drawings only; the numbers come from the measured curves.
"""

from __future__ import annotations

from typing import Any

from tuneworthy.core.counting import score_text, tenths
from tuneworthy.core.curve import LabelCleaningGain, LearningCurve
from tuneworthy.core.escape import visible
from tuneworthy.core.results import Results
from tuneworthy.matrix.sizing import rows_to_collect
from tuneworthy.report import _charts as charts
from tuneworthy.verdict import phrases


def learning_section(results: Results) -> list[dict[str, Any]]:
    """Return the chart (or None), sentences and points of each measured curve."""
    return [_curve_section(results, curve) for curve in results.evidence.curves]


def _curve_section(results: Results, curve: LearningCurve) -> dict[str, Any]:
    margin = results.task.success.margin
    rival = next((a for a in results.evidence.arms if a.name == curve.rival and a.score), None)
    goal = min(1.0, rival.score.mean + margin) if rival and rival.score else None
    points = [
        charts.IntervalPoint(
            float(p.rows), p.score.mean, p.score.low, p.score.high,
            f"{p.rows} rows: {score_text(p.score.mean)} ({score_text(p.score.low)} to "
            f"{score_text(p.score.high)}), {p.n} cases",
        )
        for p in curve.points
    ]  # fmt: skip
    enough = len(points) > 1
    collect = rows_line(curve, margin, results.evidence.train)
    lines = [collect, doubling_line(curve), cleaning_line(curve.cleaning)]
    return {
        "arm": curve.arm,
        "chart": charts.intervals_chart(points, ("rows", "score"), goal) if enough else None,
        "lines": [line for line in lines if line],
        "points": curve.points,
    }


def rows_line(curve: LearningCurve, margin: float, train: int | None = None) -> str:
    """Return a sentence on how many more rows to collect, or why that is unknown.

    `Collect about 120 more rows (80 %: 60 to 260): …`.
    """
    arm, rival = visible(curve.arm), visible(curve.rival)
    more = rows_to_collect(curve, train)
    if more is None or curve.high is None:
        why = visible(curve.because or phrases.UNKNOWN)
        return f"How many rows {arm} needs is not known: {why}."
    sizes = [point.rows for point in curve.points] or [0]
    goal = f"to beat {rival} by {tenths(margin)} points"
    span = f"{curve.low:,.0f} to {curve.high:,.0f}"
    if curve.high <= min(sizes):  # no smaller size was measured: the bounds end there
        return f"{arm} has enough rows {goal}: {curve.high:,.0f} or fewer do (fewer not measured)."
    if not more.high:
        return f"{arm} has enough rows {goal}: about {curve.needed:,.0f} do (80 %: {span})."
    if not more.rows:
        return (
            f"{arm} may have enough rows {goal}: about {curve.needed:,.0f} do (80 %: {span}); "
            f"you have {train or max(sizes):,}."
        )
    ends = f"(80 %: {more.low:,} to {more.high:,})"
    return f"Collect about {more.rows:,} more rows {ends} for {arm} {goal}."


def doubling_line(curve: LearningCurve) -> str:
    """Return a sentence on the gain of the last doubling of rows, in points; or ""."""
    if curve.last_doubling is None or len(curve.points) < 2:
        return ""
    fewer, more = curve.points[-2].rows, curve.points[-1].rows
    gain = phrases.span(curve.last_doubling)
    return f"From {fewer:,} to {more:,} rows it gained {gain} points (95 %)."


def cleaning_line(cleaning: LabelCleaningGain | None) -> str:
    """Return a sentence on the gain from leaving out rows with doubtful answers; or ""."""
    if cleaning is None:
        return ""
    if cleaning.gain is None:
        return f"What cleaning the answers is worth was not measured: {visible(cleaning.because)}."
    return (
        f"Without the {cleaning.dropped:.3g} of {cleaning.rows:,.0f} training rows that others "
        f"deny it gains {phrases.span(cleaning.gain)} points (95 %)."
    )
