"""Print the cells of bench/evidence/atlas.md: a heading and the arms of each cell that ships.

usage: atlas.py      (nothing is measured: `python -m bench.atlas run` measures cells)
"""

from __future__ import annotations

from bench.atlas.atlas_data import read_atlas
from bench.atlas.atlas_map import verdict_bound_text
from bench.atlas.cells import MODEL, all_cells, unscored_arms

from tuneworthy.records.interval import Interval
from tuneworthy.records.measured_task import MeasuredArm, MeasuredTask
from tuneworthy.report.atlas import behind_text

HEAD = ("| arm | score | points behind the best | seeds | seconds |", "|---|---|---|---|---|")


def lines() -> list[str]:
    """Return the lines of each measured cell that ships: a heading, and a table of its arms."""
    entries = read_atlas(None).entries
    found = []
    for cell in all_cells():
        if listed := entries.get(cell.key(MODEL)):
            card = listed.head.card
            found += [_headline(card, unscored_arms(cell, card)), "", *HEAD, *map(_row, card.arms)]
            found.append("")
    return found


def _headline(card: MeasuredTask, missing: list[str]) -> str:
    named = f"`{card.arm}`" if card.arm else "no arm"
    reading = "" if card.reading is None else f", right passage {_figure(card.reading)}"
    without = f" Without {', '.join(missing)}." if missing else ""
    return (
        f"**{card.title}** ({card.metric}, {card.n} test rows{reading}): {named}, {card.status};"
        f" {verdict_bound_text(card)}.{without}"
    )


def _row(arm: MeasuredArm) -> str:
    score = interval_text(arm.score) if arm.score else f"— ({arm.because})"
    seconds = "—" if arm.seconds is None else f"{arm.seconds:,.0f}"
    return f"| `{arm.name}` | {score} | {behind_text(arm.behind)} | {arm.seeds} | {seconds} |"


def interval_text(score: Interval) -> str:
    """Return a score with its bounds, `.82 (.75 to .88)`."""
    low, high = _figure(score.low), _figure(score.high)
    return f"{_figure(score.mean)} ({low} to {high})"


def _figure(value: float) -> str:
    return f"{value:.2f}".removeprefix("0")


if __name__ == "__main__":
    print("\n".join(lines()))
