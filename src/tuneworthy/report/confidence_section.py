"""The page's section on stated probabilities: what may be answered, and how far they hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tuneworthy.records.confidence import Coverage, PicturedConfidence
from tuneworthy.records.counting import percent, score_text
from tuneworthy.records.evidence import ArmResult
from tuneworthy.records.results import Results
from tuneworthy.report import _charts as charts
from tuneworthy.report import fact_lines
from tuneworthy.report.page_parts import Columns, Figure, Heading, Section, Shown, Table, Text
from tuneworthy.verdict import phrases


def confidence_section(results: Results) -> Section | None:
    """Return the section on probabilities and labels; None if no arm states any, nor labels."""
    ladder = fact_lines.ladder_order(results.evidence.arms)
    arms = [arm for arm in ladder if arm.role == "candidate"]
    parts = [*_probability_parts(results, arms), *_label_parts(arms)]
    return Section("confidence", "Can its probabilities be believed?", parts) if parts else None


def _probability_parts(results: Results, arms: list[ArmResult]) -> Iterator[Any]:
    stating = [arm for arm in arms if arm.confidence]
    if not stating:
        return
    known = [arm.confidence for arm in stating if arm.confidence]
    limits = sorted({at.limit for one in known for at in one.at})
    yield Text(
        "An arm that states a probability can answer what it is sure of and hand over the rest. A"
        " share of rows is shown only where the bound of its wrong answers (95 % sure, the choice"
        " of the threshold paid for) lies under the limit."
    )
    heads = [f"#At most {percent(limit)} wrong" for limit in limits]
    columns = ("Arm", "#Brier score", "#Calibration error", "#At temperature", *heads)
    yield Table(columns, [_row(arm, limits) for arm in stating])
    if not limits:
        yield Text("No arm keeps even 10 % wrong at any threshold on so few rows.", "soft")
    shown = next((arm for arm in stating if arm.name == results.verdict.arm), None)
    arm = shown or min(stating, key=_brier)
    yield Heading(f"{arm.name}: wrong answers among the surest rows, and its probabilities")
    yield Columns(_figures(arm, results.task.success.wrong_at_most))


def _brier(arm: ArmResult) -> float:
    return arm.confidence.brier.mean if arm.confidence else 1.0


def _row(arm: ArmResult, limits: list[float]) -> tuple[Shown, ...]:
    told = arm.confidence
    assert told is not None
    scaled = None if told.temperature is None or told.error_scaled is None else (
        f"{score_text(told.error_scaled)} at {told.temperature:.2g}")  # fmt: skip
    by_limit: dict[float, Coverage] = {at.limit: at for at in told.at}
    return (
        arm.name,
        phrases.score_with_bounds(told.brier),
        phrases.score_with_bounds(told.error),
        scaled,
        *(percent(by_limit[one].coverage.mean) if one in by_limit else "none" for one in limits),
    )


def _figures(arm: ArmResult, limit: float | None) -> list[Figure]:
    told = arm.confidence
    assert told is not None
    curve = charts.shares_chart(_curve_points(told), ("share of rows answered", "wrong"), limit)
    bins = charts.shares_chart(_bin_points(told), ("stated probability", "right"), diagonal=True)
    return [
        Figure("Wrong answers, if only the surest rows are answered; bounds hold together", curve),
        Figure("Right answers by stated probability; on the line it can be believed", bins),
    ]


def _curve_points(told: PicturedConfidence) -> list[charts.IntervalPoint]:
    return [
        charts.IntervalPoint(
            x=one.coverage, mean=one.wrong, low=one.low, high=one.high,
            title=f"{percent(one.coverage)} answered from {one.threshold:.2g} on:"
                  f" {percent(one.wrong)} wrong ({percent(one.low)} to {percent(one.high)})",
        )
        for one in told.curve
    ]  # fmt: skip


def _bin_points(told: PicturedConfidence) -> list[charts.IntervalPoint]:
    return [
        charts.IntervalPoint(
            x=one.stated, mean=one.right, low=one.low, high=one.high,
            title=f"stated {one.stated:.2g}: {percent(one.right)} right"
                  f" ({percent(one.low)} to {percent(one.high)}, n {one.n})",
        )
        for one in told.bins
    ]  # fmt: skip


def _label_parts(arms: list[ArmResult]) -> Iterator[Any]:
    known = [arm for arm in arms if arm.by_label]
    if not known:
        return
    yield Heading("If every label counts alike")
    yield Text(
        "Balanced accuracy is the mean share of right answers over the labels, macro F1 the mean"
        " F1. Intervals (95 %) come from drawing whole groups of rows anew, for all arms at once."
    )
    rows: list[tuple[Shown, ...]] = []
    for arm in known:
        told = arm.by_label
        assert told is not None
        behind = "the best by F1" if told.behind is None else phrases.span(told.behind)
        rows.append((arm.name, phrases.score_with_bounds(told.balanced_accuracy),
                     phrases.score_with_bounds(told.macro_f1), behind))  # fmt: skip
    yield Table(("Arm", "#Balanced accuracy", "#Macro F1", "#− the best, in points"), rows)
