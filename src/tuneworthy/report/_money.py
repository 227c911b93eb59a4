"""Report section on money: total cost by requests a month, break-even, what flips the verdict.

Text and drawings only: costs are drawn from the verdict's terms.
"""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from tuneworthy.core.escape import visible
from tuneworthy.core.results import Results
from tuneworthy.report import _charts as charts
from tuneworthy.report import fact_lines
from tuneworthy.verdict import phrases
from tuneworthy.verdict.prices import keys_lacking

CHART_VOLUMES = tuple(10 ** (3 + step / 10) for step in range(41))  # 1,000 to 10 million a month
COST_TERMS = ("usd_per_request", "build_usd", "upkeep_usd_month")


def money_section(results: Results) -> dict[str, Any]:
    """Return the section's template values: cost chart, sentences, figures, flips, assumptions."""
    economics, missing = results.verdict.economics, results.verdict.missing
    chart = cost_chart(results)
    rows = [row for row in economics.get("arms", ()) if isinstance(row, dict)]
    return {
        "line": fact_lines.pays_line(results),
        "chart": chart,
        "why": "" if chart else _why_no_money(results),
        "rows": rows,
        "p_net_higher": economics.get("p_net_higher"),
        "chance": chance_line(results),
        "flips": [visible(str(f["says"])) for f in results.verdict.flips if "says" in f],
        "assumed": [visible(str(text)) for text in economics.get("assumed", ())],
        "expires": expires_line(results),
        "missing": {k: v for k, v in missing.items() if k.startswith("/economics")},
    }


def cost_chart(results: Results) -> Markup | None:
    """Return a chart of cost by requests a month; None if fewer than two arms are fully priced."""
    economics = results.verdict.economics
    months = economics.get("horizon_months")
    known = [r for r in economics.get("arms", ()) if all(r.get(k) is not None for k in COST_TERMS)]
    if len(known) < 2 or not months:
        return None
    lines = []
    for row in known:
        each, once, month = (float(row[key]) for key in COST_TERMS)
        points = [(v, v * each + month + once / months) for v in CHART_VOLUMES]
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
        if pointer.startswith("/economics/arms/") and pointer.rsplit("/", 1)[1] in COST_TERMS
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


def expires_line(results: Results) -> str:
    """Return a sentence on the day on which the base model ends; "" if none is announced."""
    day = results.verdict.economics.get("expires")
    return f"It stands on a model that ends on {visible(str(day))}." if day else ""
