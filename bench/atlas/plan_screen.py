"""Terminal screen and JSON of the queue of cells still to measure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.atlas.cell_queue import CellCost, queue_headline
from rich.text import Text

from tuneworthy.report.screen import Screen, cell


def plan_lines(
    queue: Sequence[CellCost], cells: int, absent: Sequence[str], width: int, plain: bool = False
) -> Text:
    """Return the screen of the queue: its cells in order with minutes, units and what they add."""
    screen = Screen(width, plain)
    screen.say(queue_headline(queue, cells), style="bold")
    for cost in queue:
        begun = ", begun" if cost.begun else ""
        what = f"{cost.minutes:8.1f} min  {cost.units} units, {cost.lacks} arms new{begun}"
        screen.add(f"    {cell(cost.cell.id, 24)}{what}")
    screen.add()
    screen.say(*absent, style="dim")
    return screen.text()


def plan_plain(queue: Sequence[CellCost], cells: int, absent: Sequence[str]) -> dict[str, Any]:
    """Return the queue as JSON-ready data; minutes are those of this machine."""
    listed = [
        {"cell": cost.cell.id, "minutes": round(cost.minutes, 2), "units": cost.units,
         "new_arms": cost.lacks, "begun": cost.begun}
        for cost in queue
    ]  # fmt: skip
    minutes = round(sum(cost.minutes for cost in queue), 2)
    return {"queue": listed, "minutes": minutes, "cells": cells, "absent": list(absent)}
