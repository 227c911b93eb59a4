"""Terminal screen and JSON of the atlas: its map, and the tasks beside it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rich.text import Text

from tuneworthy.report._screens import cell, escape_line, finished, wrapped

if TYPE_CHECKING:
    from tuneworthy.atlas.atlas_file import Atlas, AtlasTask

NOTE_INDENT = " " * 15
NOT_SCORED_AGAIN = "figures only, not scored again"


def atlas_screen(atlas: Atlas, width: int = 80, plain: bool = False) -> Text:
    """Return the screen of the map: each cell's winner with its score, bound and status."""
    measured = sum(each.key is not None for each in atlas.cells)
    lines = [Text(f"  {measured} of {len(atlas.cells)} cells are measured", "bold")]
    tasks = {task.card.key: task for task in atlas.tasks}
    for kind, cells in atlas.rows.items():
        lines += [Text(), Text("  ").append(escape_line(kind, plain), "bold")]
        for each in cells:
            rows = f"{each.size:,} rows"
            if each.key is None:
                open_cell = Text(f"    {cell(rows, 11)}")
                lines.append(open_cell.append(f"not measured yet ({each.id})", "dim"))
                continue
            lines += _task_lines(rows, tasks[each.key], width, plain)
            if each.without:
                absent = f"without {', '.join(each.without)}"
                lines += _dimmed_lines(absent, width, plain)
    if atlas.outside_map:
        lines += [Text(), Text("  Beside the grid", "bold")]
        for task in atlas.outside_map:
            lines += _task_lines(f"{task.card.size:,} rows", task, width, plain)
            lines += _dimmed_lines(f"{task.card.key}: {task.card.kind}", width, plain)
    lines.append(Text())
    for note in atlas.all_notes:
        lines += [Text(line) for line in wrapped(escape_line(note, plain), width)]
    return finished(lines, plain)


def _task_lines(rows: str, task: AtlasTask, width: int, plain: bool) -> Iterator[Text]:
    chosen, card = task.chosen_arm(), task.card
    score = next((arm.score for arm in card.arms if arm.name == chosen.arm), None)
    what = chosen.why
    if score is not None:
        what = f"{chosen.arm} {score.mean:.2f} ({score.low:.2f}–{score.high:.2f})"
    head = Text(f"    {cell(rows, 11)}").append(escape_line(what, plain), "bold")
    yield head.append(f"  {card.use}, {card.status}")
    for text in (task.bound, task.line, NOT_SCORED_AGAIN * task.figures_only):
        if text:
            yield from _dimmed_lines(text, width, plain)


def _dimmed_lines(text: str, width: int, plain: bool) -> list[Text]:
    return [Text(escape_line(line, plain), "dim") for line in wrapped(text, width, NOTE_INDENT)]


def atlas_json(atlas: Atlas) -> dict[str, Any]:
    """Return the map as JSON-ready data: every cell, its figures null if not measured yet."""
    cards = {task.card.key: task.card.plain() for task in atlas.tasks}
    grid = [
        {"cell": each.id, "kind": each.kind, "size": each.size,
         "measured": cards.get(each.key or ""), "without": list(each.without)}
        for each in atlas.cells
    ]  # fmt: skip
    beside = [task.card.plain() for task in atlas.outside_map]
    return {"cells": grid, "beside": beside, "models": list(atlas.models),
            "notes": atlas.all_notes}  # fmt: skip
