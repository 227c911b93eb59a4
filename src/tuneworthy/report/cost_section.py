"""The page's section on costs: score by cost and waiting, cost by volume, what pays when."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from markupsafe import Markup

from tuneworthy.records.counting import score_text
from tuneworthy.records.escape import visible
from tuneworthy.records.evidence import ArmResult, Latency
from tuneworthy.records.results import Results
from tuneworthy.report import _charts as charts
from tuneworthy.report import fact_lines
from tuneworthy.report._data import ScoreMatrix
from tuneworthy.report.page_parts import (
    Columns,
    Figure,
    Heading,
    Items,
    Section,
    Span,
    Text,
    soft,
)
from tuneworthy.verdict import phrases
from tuneworthy.verdict.prices import keys_lacking

_CHART_VOLUMES = tuple(10 ** (3 + step / 10) for step in range(41))  # 1,000 to 10 million a month
_COST_TERMS = ("usd_per_request", "build_usd", "upkeep_usd_month")


def cost_section(results: Results, matrix: ScoreMatrix) -> Section:
    """Return score by cost and by waiting, and when a rival pays."""
    del matrix
    arms = _trade_off_arms(results)
    costs = [(a, a.usd_per_1k, f"${phrases.amount(a.usd_per_1k)} a 1,000 requests")
             for a in arms if a.usd_per_1k is not None]  # fmt: skip
    times = [(a, a.latency_ms.p50 / 1000,
              f"p50 {_wait_text(a.latency_ms)}")
             for a in arms if a.latency_ms]  # fmt: skip
    drawn = [
        _trade_off_chart(results, "Against cost", "$ a 1,000 requests", "usd_per_1k", costs),
        _trade_off_chart(results, "Against waiting", "p50, seconds", "latency_ms", times),
    ]
    frontier = "No arm lies above and left of the thin line. " * any(one.drawn for one in drawn)
    return Section(
        "cost",
        "What does quality cost?",
        [
            Columns(drawn),
            Text(f"{frontier}Seconds were measured on the machine named below; they are not those"
                 " of production.", "soft"),
            Heading("When does it pay?"),
            *_money_parts(results),
        ],
    )  # fmt: skip


def _money_parts(results: Results) -> Iterator[Any]:
    """Yield parts on cost by requests a month, what flips the verdict, and what was assumed."""
    yield Text(fact_lines.pays_line(results))
    if chart := _cost_chart(results):
        yield Figure("Cost a month over requests a month, in USD", chart)
    else:
        yield Text(f"Cost a month is not drawn: {_why_no_money(results)}.", "soft")
    yield Text(chance_line(results))
    if flips := [str(flip["says"]) for flip in results.verdict.flips if "says" in flip]:
        yield Heading("What would change the verdict")
        yield Items([("", Span(text, said=True)) for text in flips])
    if assumed := [str(text) for text in results.verdict.economics.get("assumed", ())]:
        yield Text(soft(f"Assumed, as you wrote: {'; '.join(assumed)}."))


def _trade_off_chart(
    results: Results, title: str, unit: str, field: str, values: list[tuple[ArmResult, float, str]]
) -> Figure:
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
    left = "; ".join(f"{', '.join(names)}: {why}" for why, names in reasons.items())
    if len(spots) < 2:
        why = left or "fewer than two arms have a figure above zero"
        return Figure(title, None, empty=f"Not drawn: {why}.")
    below = [Text(f"Left out: {left}.", "soft")] if left else []
    return Figure(title, charts.scatter_plot(spots, unit), parts=below)


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


def _cost_chart(results: Results) -> Markup | None:
    """Return a chart of cost by requests a month; None if fewer than two arms are fully priced."""
    economics = results.verdict.economics
    months = economics.get("horizon_months")
    known = [r for r in economics.get("arms", ()) if all(r.get(k) is not None for k in _COST_TERMS)]
    if len(known) < 2 or not months:
        return None
    lines = []
    for row in known:
        each, once, month = (float(row[key]) for key in _COST_TERMS)
        points = [(v, v * each + month + once / months) for v in _CHART_VOLUMES]
        points = [(v, cost) for v, cost in points if cost > 0]
        kind = "own" if row["name"] == results.verdict.arm else "rival"
        if points:
            lines.append((visible(str(row["name"])), kind, points))
    if len(lines) < 2:
        return None
    marks = []
    volume, even = results.task.economics.requests_per_month, economics.get("break_even_per_month")
    if isinstance(even, int | float) and even > 0:
        marks.append((float(even), "break-even"))
    if volume:
        marks.append((float(volume), "you"))
    return charts.costs_chart(lines, marks, ("requests a month", "USD a month"))


def _why_no_money(results: Results) -> str:
    missing = results.verdict.missing
    reasons = [
        text
        for pointer, text in missing.items()
        if pointer.startswith("/economics/arms/") and pointer.rsplit("/", 1)[1] in _COST_TERMS
    ]
    return visible("; ".join(dict.fromkeys(reasons)) or missing.get("/economics", phrases.UNKNOWN))


def chance_line(results: Results) -> str:
    """Return the chance that the rival is worth more at the user's volume, or why it is unknown."""
    economics = results.verdict.economics
    chance, rival = economics.get("p_net_higher"), economics.get("rival")
    if chance is None:
        why = results.verdict.missing.get("/economics/p_net_higher", phrases.UNKNOWN)
        if needs := keys_lacking(results):
            why = f"economics (task.yaml) lacks {needs}"
        return f"Whether another arm is worth more to you is not known: {visible(why)}."
    volume = results.task.economics.requests_per_month or 0.0
    return (
        f"At {phrases.amount(volume)} requests a month {visible(str(rival))} is worth more with a "
        f"chance of {100 * float(chance):.0f} %, all costs counted."
    )


def _wait_text(latency: Latency) -> str:
    return f"{phrases.duration(latency.p50 / 1000)} {fact_lines.load_text(latency)}"
