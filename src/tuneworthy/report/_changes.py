"""Report section on what fine-tuning changed (weights, representations, answers) and its harm.

Text and drawings only; the numbers come from the measurements.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tuneworthy.core.harm import SideEffects
from tuneworthy.core.interval import Interval
from tuneworthy.core.model_changes import LayerChange, ModelChanges
from tuneworthy.core.results import Results
from tuneworthy.report import _charts as charts
from tuneworthy.report._charts import ChartLine
from tuneworthy.verdict import phrases


def changes_section(results: Results) -> list[dict[str, Any]]:
    """Return the template values, one entry per trained arm; empty if none was examined."""
    harms = {harm.arm: harm for harm in results.evidence.harms}
    changes = {change.arm: change for change in results.evidence.changes}
    return [
        {
            "name": arm,
            "about": changes.get(arm),
            "facts": list(_change_facts(changes[arm])) if arm in changes else [],
            "charts": _layer_charts(changes[arm].layers) if arm in changes else [],
            "examples": changes[arm].examples if arm in changes else (),
            "harm": list(_harm_rows(harms[arm], results)) if arm in harms else [],
        }
        for arm in dict.fromkeys([*changes, *harms])
    ]


def _change_facts(found: ModelChanges) -> Iterator[tuple[str, str]]:
    if found.ratio is not None:
        yield "size of the change, of the weights", f"{100 * found.ratio:.2g} %"
    ranks = [one.effective_rank for one in found.layers if one.effective_rank is not None]
    if ranks:
        mean, most = sum(ranks) / len(ranks), max(one.rank for one in found.layers)
        yield "effective rank", f"{mean:.1f} of {most}"
    if found.kl_on is not None:
        yield "KL from the base on the task", f"{_nats_text(found.kl_on)} · n {found.n_on:,}"
    if found.kl_off is not None:
        yield "KL off the task", f"{_nats_text(found.kl_off)} · n {found.n_off:,}"
    if found.asked:
        yield "same prompt, other answer", f"{found.differ:,} of {found.asked:,}"


def _nats_text(value: Interval) -> str:
    return f"{value.mean:.2g} nats a token ({value.low:.2g} to {value.high:.2g})"


def _layer_charts(layers: tuple[LayerChange, ...]) -> list[dict[str, Any]]:
    """Return charts by layer: size and effective rank of the change, shift of the outputs."""
    placed = [(float(one.layer), one) for one in layers if one.layer.isdigit()]
    if len(placed) < 2:
        return []
    size = ChartLine("size of the change", "c1", tuple((x, 100 * one.ratio) for x, one in placed))
    rank = ChartLine("effective rank", "c4", tuple(_measured_points(placed, "effective_rank")))
    on = ChartLine(
        "on the task", "c1", tuple((x, 100 * y) for x, y in _measured_points(placed, "shift_on"))
    )
    off = ChartLine(
        "on general text",
        "c8",
        tuple((x, 100 * y) for x, y in _measured_points(placed, "shift_off")),
    )
    wanted = (
        ("Size of the weight change by layer, % of the weights", "per cent", [size]),
        ("Effective rank of the weight change by layer", "rank", [rank]),
        ("Shift of the layer's output, % of its norm", "per cent", [on, off]),
    )
    return [
        {
            "title": title,
            "drawn": charts.named_lines_chart(lines, ("layer", unit)),
            "legend": charts.legend(lines) if len(lines) > 1 else [],
        }
        for title, unit, named in wanted
        if (lines := [line for line in named if len(line.points) > 1])
    ]


def _measured_points(
    placed: list[tuple[float, LayerChange]], name: str
) -> list[tuple[float, float]]:
    found = [(x, getattr(one, name)) for x, one in placed]
    return [(x, float(y)) for x, y in found if y is not None]


def _harm_rows(found: SideEffects, results: Results) -> Iterator[dict[str, str]]:
    """Yield rows of the harm table: title, value, and a note or why the value is missing."""
    limit = results.task.success.limits.general_drop
    state = next(
        (a.limits.get("general_drop") for a in results.evidence.arms if a.name == found.arm), None
    )
    note = f"limit {100 * limit:g} %: {state}" if limit is not None and state else "no limit is set"
    rows = (
        ("general", "Cross-entropy on general text", _percent_text,
         f"relative rise, {found.general_n:,} texts that the base wrote; {note}"),
        ("tail", "Score on the quarter with the rarest words", phrases.span, "in points"),
        ("ece", "Calibration error", phrases.span, "in points; more is worse"),
        ("known", "Well known facts lost", _share_text, "of those it was not trained on"),
        ("refusals", "Refusals where an answer is right", phrases.span, "in points of cases"),
        ("refusals_wanted", "Refusals where refusing is right", phrases.span, "in points of cases"),
    )  # fmt: skip
    for name, title, form, what in rows:
        value = getattr(found, name)
        why = found.missing.get(name, phrases.UNKNOWN)
        shown = form(value) if value is not None else "not measured"
        yield {"title": title, "value": shown, "note": what if value is not None else why}


def _percent_text(value: Interval) -> str:
    return " ".join(
        (f"{100 * value.mean:+.1f} %", f"({100 * value.low:+.1f} … {100 * value.high:+.1f})")
    ).replace("-", "−")


def _share_text(value: Interval) -> str:
    return f"{100 * value.mean:.0f} % ({100 * value.low:.0f} … {100 * value.high:.0f})"
