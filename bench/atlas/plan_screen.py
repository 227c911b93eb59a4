"""Terminal screen and JSON of the plan of cells still to measure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.atlas.atlas_plan import AtlasPlan, plan_headline
from rich.text import Text

from tuneworthy.report.screen import Screen, cell


def plan_lines(plan: AtlasPlan, absent: Sequence[str], width: int, plain: bool = False) -> Text:
    """Return the screen of the plan: minutes and units of each cell, then the cuts and why."""
    screen = Screen(width, plain)
    screen.say(plan_headline(plan), style="bold")
    for cost in plan.kept:
        what = "measured" if cost.measured else f"{cost.minutes_with_seeds(plan.seeds):7.1f} min"
        units = "" if cost.measured else f"  {cost.units} units"
        screen.add(f"    {cell(cost.cell.id, 24)}{what}{units}")
    for at, line in enumerate(plan.cut_reasons):
        screen.add(*[""] * (at == 0), f"  cut: {line}")
    screen.add()
    screen.say(*absent, style="dim")
    return screen.text()


def plan_plain(plan: AtlasPlan, absent: Sequence[str]) -> dict[str, Any]:
    """Return the plan as JSON-ready data; minutes are those of this machine."""
    cells = [
        {"cell": cost.cell.id, "minutes": round(cost.minutes_with_seeds(plan.seeds), 2),
         "units": cost.units, "measured": cost.measured, "cut": cost in plan.cut}
        for cost in (*plan.kept, *plan.cut)
    ]  # fmt: skip
    return {"cells": cells, "cuts": list(plan.cut_reasons), "seeds": plan.seeds,
            "minutes": plan.minutes, "goal": plan.goal, "absent": list(absent)}  # fmt: skip
