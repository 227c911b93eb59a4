"""Terminal screens and JSON of the atlas: its map, and the plan of cells still to measure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.text import Text

from tuneworthy.atlas.atlas_map import (
    NOT_MEASURED,
    AtlasMap,
    MapCell,
    card_line,
    choose_arm,
    model_lines,
    verdict_bound_text,
)
from tuneworthy.atlas.atlas_plan import AtlasPlan, plan_headline
from tuneworthy.core.measured_task import MeasuredTask
from tuneworthy.report._screens import cell, escape_line, finished, wrapped


def map_screen(atlas_map: AtlasMap, width: int = 80, plain: bool = False) -> Text:
    """Return the screen of the map: each cell's winner with its score, bound and status."""
    lines = [
        Text(f"  {atlas_map.measured_cells} of {atlas_map.cell_count} cells are measured", "bold")
    ]
    for kind, cells in atlas_map.rows:
        lines += [Text(), Text("  ").append(escape_line(kind, plain), "bold")]
        lines += [line for each in cells for line in _cell_lines(each, width, plain)]
    if atlas_map.outside_grid:
        lines += [Text(), Text("  Beside the grid", "bold")]
        for listed in atlas_map.outside_grid:
            card = listed.head.card
            stated = "; figures only, not scored again" if listed.head.figures_only else ""
            lines += _entry_lines(f"{card.size:,} rows", card, width, plain)
            lines.append(_dimmed(f"{' ' * 15}{listed.key}: {card.kind}{stated}", plain))
    lines += [Text(), *(_note_lines(atlas_map, width, plain))]
    return finished(lines, plain)


def _note_lines(atlas_map: AtlasMap, width: int, plain: bool) -> Iterator[Text]:
    notes = [*model_lines(atlas_map.models), *atlas_map.notes]
    if atlas_map.measured_cells < atlas_map.cell_count:
        notes.append("`tuneworthy atlas plan` says what the rest takes, `atlas run` measures it.")
    for note in notes:
        yield from (Text(line) for line in wrapped(escape_line(note, plain), width))


def _cell_lines(each: MapCell, width: int, plain: bool) -> list[Text]:
    rows = f"{each.size:,} rows"
    if each.card is None:
        return [Text(f"    {cell(rows, 11)}").append(f"{NOT_MEASURED} ({each.id})", "dim")]
    lines = _entry_lines(rows, each.card, width, plain)
    if each.listed and each.listed.head.figures_only:
        lines.append(_dimmed(f"{' ' * 15}figures only, not scored again", plain))
    if each.unscored_arms:
        absent = f"without {', '.join(each.unscored_arms)}"
        lines += [_dimmed(line, plain) for line in wrapped(absent, width, " " * 15)]
    return lines


def _entry_lines(rows: str, card: MeasuredTask, width: int, plain: bool) -> list[Text]:
    chosen = choose_arm(card)
    if chosen.arm is None or chosen.arm.score is None:
        what = chosen.why
    else:
        score = chosen.arm.score
        what = f"{chosen.arm.name} {score.mean:.2f} ({score.low:.2f}–{score.high:.2f})"
    head = Text(f"    {cell(rows, 11)}").append(escape_line(what, plain), "bold")
    head.append(f"  {card.use}, {card.status}")
    below = [text for text in (verdict_bound_text(card), card_line(card)) if text]
    return [
        head,
        *(_dimmed(line, plain) for text in below for line in wrapped(text, width, " " * 15)),
    ]


def _dimmed(text: str, plain: bool) -> Text:
    return Text(escape_line(text, plain), "dim")


def plan_lines(plan: AtlasPlan, absent: Sequence[str], width: int, plain: bool = False) -> Text:
    """Return the screen of the plan: minutes and units of each cell, then the cuts and why."""
    lines = [Text(line, "bold") for line in wrapped(plan_headline(plan), width)]
    for cost in plan.kept:
        what = "measured" if cost.measured else f"{cost.minutes_with_seeds(plan.seeds):7.1f} min"
        units = "" if cost.measured else f"  {cost.units} units"
        lines.append(Text(f"    {cell(cost.cell.id, 24)}{what}{units}"))
    lines += [Text()] if plan.cut_reasons else []
    lines += [Text(f"  cut: {line}") for line in plan.cut_reasons]
    lines.append(Text())
    for line in absent:
        lines += [_dimmed(text, plain) for text in wrapped(line, width)]
    return finished(lines, plain)


def map_plain(atlas_map: AtlasMap) -> dict[str, Any]:
    """Return the map as JSON-ready data: every cell, its figures null if not measured yet."""
    grid = [
        {"cell": each.id, "kind": kind, "size": each.size,
         "measured": each.card.plain() if each.card else None, "without": each.unscored_arms}
        for kind, cells in atlas_map.rows
        for each in cells
    ]  # fmt: skip
    beside = [listed.head.card.plain() for listed in atlas_map.outside_grid]
    return {"cells": grid, "beside": beside, "models": list(atlas_map.models),
            "notes": list(atlas_map.notes)}  # fmt: skip


def plan_plain(plan: AtlasPlan, absent: Sequence[str]) -> dict[str, Any]:
    """Return the plan as JSON-ready data; minutes are those of this machine."""
    cells = [
        {"cell": cost.cell.id, "minutes": round(cost.minutes_with_seeds(plan.seeds), 2),
         "units": cost.units, "measured": cost.measured, "cut": cost in plan.cut}
        for cost in (*plan.kept, *plan.cut)
    ]  # fmt: skip
    return {"cells": cells, "cuts": list(plan.cut_reasons), "seeds": plan.seeds,
            "minutes": plan.minutes, "goal": plan.goal, "absent": list(absent)}  # fmt: skip
