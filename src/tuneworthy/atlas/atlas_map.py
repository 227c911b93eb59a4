"""The map of the atlas: types of task by sizes, with the arm that each view names.

Two questions change the view: what if costs count, and what if facts move. Both only choose among
measured arms by their stated bounds; nothing is computed from answers here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tuneworthy.atlas.atlas_data import Atlas, Listed
from tuneworthy.atlas.cells import MODEL, SIZES, Cell, all_cells, missing_arms
from tuneworthy.atlas.entry import NO_MODEL
from tuneworthy.core.counting import points
from tuneworthy.core.interval import Interval
from tuneworthy.core.measured_task import MeasuredArm, MeasuredTask
from tuneworthy.models.local.embedded import PARAMETERS

Cost = Literal["none", "seconds", "usd"]
COSTS: tuple[tuple[Cost, str], ...] = (
    ("none", "Quality alone"), ("seconds", "Seconds count"), ("usd", "Money counts"),
)  # fmt: skip
NOT_MEASURED = "not measured yet"
VERDICT_ARM = "the arm of the verdict"
FLOOR = (
    "Prompts, reading and reasoning sit near the floor at this size: on a larger model they gain,"
    " and training looks less good than here."
)
SIZES_OF_MODELS = {MODEL: f"{PARAMETERS / 1e6:.0f}M"}  # parameters


@dataclass(frozen=True)
class Choice:
    """The arm that a view names for a measured task, and why; None if the view can name none."""

    arm: MeasuredArm | None
    why: str


@dataclass(frozen=True)
class MapCell:
    """One cell of the map: type, size, its newest entry, or none."""

    cell: Cell
    listed: Listed | None

    @property
    def kind(self) -> str:
        """Return the type of task in plain words."""
        return self.cell.kind

    @property
    def size(self) -> int:
        """Return the number of rows to learn from."""
        return self.cell.size

    @property
    def id(self) -> str:
        """Return the cell's name on the command line."""
        return self.cell.id

    @property
    def missing(self) -> list[str]:
        """Return the arms that apply to the cell and have no score in its entry."""
        return missing_arms(self.cell, self.card) if self.card else []

    @property
    def card(self) -> MeasuredTask | None:
        """Return the figures of the cell; None if it was not measured yet."""
        return self.listed.head.card if self.listed else None


@dataclass(frozen=True)
class AtlasMap:
    """Rows of cells by type, the entries beside the grid, the models measured, notes."""

    rows: tuple[tuple[str, tuple[MapCell, ...]], ...]
    beside: tuple[Listed, ...]
    models: tuple[str, ...]
    notes: tuple[str, ...]
    sizes: tuple[int, ...] = SIZES

    @property
    def measured(self) -> int:
        """Return how many cells of the grid are measured."""
        return sum(cell.listed is not None for _, cells in self.rows for cell in cells)

    @property
    def cells(self) -> int:
        """Return how many cells the grid has."""
        return sum(len(cells) for _, cells in self.rows)


def map_of(atlas: Atlas) -> AtlasMap:
    """Return the map of an atlas, complete whatever is measured: 0, 1 or many entries."""
    left = dict(atlas.entries)
    rows: dict[str, list[MapCell]] = {}
    for cell in all_cells():
        listed = _of_cell(left, cell.kind, cell.size, cell.key(MODEL))
        if listed is not None:
            del left[listed.key]
        rows.setdefault(cell.kind, []).append(MapCell(cell, listed))
    models = sorted({each.head.card.model for each in atlas.entries.values()})
    grid = tuple((kind, tuple(cells)) for kind, cells in sorted(rows.items()))
    return AtlasMap(grid, tuple(left.values()), tuple(models), atlas.notes)


def _of_cell(entries: dict[str, Listed], kind: str, size: int, key: str) -> Listed | None:
    """Return a cell's entry: that of the embedded model, else the newest of its type and size."""
    if key in entries:
        return entries[key]
    fits = [
        each
        for each in entries.values()
        if (each.head.card.kind, each.head.card.size) == (kind, size)
    ]
    return max(fits, key=lambda each: each.head.card.measured, default=None)


def choose(card: MeasuredTask, cost: Cost = "none", facts_move: bool = False) -> Choice:
    """Return the arm that a view names.

    Without a cost it is the arm of the verdict. With one it is the cheapest arm whose mean is
    within the task's margin of the best. `facts_move` leaves out arms that hold facts in weights,
    where the facts of this type change.
    """
    if card.arm is None:
        return Choice(None, "no arm beats the reference")
    out = held_out(card) if facts_move else frozenset()
    ranked = [arm for arm in card.arms if arm.score and (arm.tool or arm.name == card.arm)]
    arms = [arm for arm in ranked if arm.name not in out]
    if not arms:
        return Choice(None, "every measured arm holds facts in weights")
    named = next((arm for arm in arms if arm.name == card.arm), None)
    if cost == "none" and named is not None:
        return Choice(named, VERDICT_ARM)
    if cost == "none":
        return Choice(max(arms, key=_mean), "the best of those that hold no facts in weights")
    top = max(map(_mean, arms))
    near = [arm for arm in arms if _mean(arm) >= top - card.margin - 1e-9]
    priced = [(value, arm) for arm in near if (value := _cost(arm, cost)) is not None]
    if not priced:
        return Choice(None, f"no {'price' if cost == 'usd' else 'time'} was measured")
    return _cheapest(priced, len(near))


def _cheapest(priced: Sequence[tuple[float, MeasuredArm]], near: int) -> Choice:
    """Return the cheapest arm, and the upper bound of its distance to the best one."""
    cheapest = min(priced, key=lambda pair: pair[0])[1]
    why = f"the cheapest of {near} within the margin"
    if cheapest.behind is not None:
        why += f", at most {points(cheapest.behind.high)} behind the best"
    if near > len(priced):
        why += f"; {near - len(priced)} not priced"
    return Choice(cheapest, why)


def _mean(arm: MeasuredArm) -> float:
    return arm.score.mean if arm.score else 0.0


def _cost(arm: MeasuredArm, cost: Cost) -> float | None:
    return arm.usd_per_1k if cost == "usd" else arm.seconds


def held_out(card: MeasuredTask) -> frozenset[str]:
    """Return the arms that a view leaves out if facts move: they hold facts in weights."""
    if not card.facts_change:
        return frozenset()
    return frozenset(arm.name for arm in card.arms if arm.holds_facts)


def behind_text(behind: Interval | None) -> str:
    """Return how far an arm is behind the best, in points with bounds; "" for the best itself."""
    if behind is None:
        return ""
    mean, low, high = (f"{100 * value:.1f}" for value in (behind.mean, behind.low, behind.high))
    return f"{mean} ({low} to {high})".replace("-", "−")


def left_text(card: MeasuredTask) -> str:
    """Return the bound of the verdict: how much better another measured arm may be."""
    if card.left is None:
        return ""
    most = points(card.left)
    if most == points(0):
        return "no other measured arm is better"
    return f"no other measured arm is better by more than {most}"


def model_name(name: str) -> str:
    """Return a model's name with its number of parameters, if that is known here."""
    return f"{name} ({SIZES_OF_MODELS[name]})" if name in SIZES_OF_MODELS else name


def model_lines(models: Sequence[str]) -> list[str]:
    """Return which models the figures are of, and what that means for the reading floor."""
    if not models:
        return []
    asked = [model_name(name) for name in models if name != NO_MODEL]
    if not asked:
        return ["No arm that was measured asks a model."]
    line = f"Measured with {', '.join(asked)}"
    line += "; some tasks by arms that ask no model." if NO_MODEL in models else "."
    return [f"{line} {FLOOR}" if MODEL in models else line]


def scored_rows_text(card: MeasuredTask) -> str:
    """Return on how many test rows the arms were scored: arms may differ, or not be recorded."""
    counts = [arm.n for arm in card.arms if arm.score]
    known = sorted({n for n in counts if n is not None})
    if not known:
        return f"at most {card.n:,} test rows an arm (the number was not recorded)"
    span = f"{known[0]:,}" if len(known) == 1 else f"{known[0]:,} to {known[-1]:,}"
    if known == [card.n] and None not in counts:
        return f"{span} test rows"
    some = ", not recorded for each arm" if None in counts else ""
    return f"{span} test rows an arm{some}"


def card_line(card: MeasuredTask) -> str:
    """Return the line under a figure: model, test rows, the scores to compare it with."""
    floor = next((arm.score for arm in card.arms if arm.tool is None and arm.score), None)
    parts = [model_name(card.model), scored_rows_text(card)]
    parts += [f"plain instruction {card.base:.2f}"] if card.base is not None else []
    parts += [f"gold passage {card.reading:.2f}"] if card.reading is not None else []
    parts += [f"guessing {floor.mean:.2f}"] if floor else []
    return " · ".join(parts)
