"""The map of the atlas: types of task by sizes, with the arm that each view names.

Two options change the view: costs count, and facts change over time. Both only choose among
measured arms by their stated figures; nothing is computed from answers here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from bench.atlas.atlas_data import Atlas, ListedEntry
from bench.atlas.cells import MODEL, SIZES, Cell, all_cells, unscored_arms
from bench.atlas.entry import NO_MODEL

from tuneworthy.models.local.wheel import PARAMETERS
from tuneworthy.records.counting import points
from tuneworthy.records.measured_task import MeasuredArm, MeasuredTask
from tuneworthy.records.plugins import catalogue, load

Cost = Literal["none", "seconds", "usd"]
COST_VIEWS: tuple[tuple[Cost, str], ...] = (
    ("none", "Quality alone"), ("seconds", "Seconds count"), ("usd", "Money counts"),
)  # fmt: skip
NOT_MEASURED = "not measured yet"
VERDICT_ARM_REASON = "the arm of the verdict"
GUESSING_ARM = "majority"
NO_ARM_REASONS = {
    "firm": "no arm beats the reference by more than the margin",
    "provisional": "no arm that could be named is shown to beat the reference",
    "blocked": "no verdict: rows or metric must be repaired first",
}
SMALL_MODEL_CAUTION = (
    "Prompts, reading and reasoning sit near the floor at this size: on a larger model they gain,"
    " and training looks less good than here."
)
ROUNDING = 1e-6  # figures are rounded to six digits
MODEL_SIZES = {MODEL: f"{PARAMETERS / 1e6:.0f}M"}  # parameters


@dataclass(frozen=True)
class ArmChoice:
    """The arm that a view names for a measured task (None if it names none), and why."""

    arm: MeasuredArm | None
    why: str


@dataclass(frozen=True)
class MapCell:
    """One cell of the map: type and size, with its entry (None if it was not measured yet)."""

    cell: Cell
    listed: ListedEntry | None

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
    def unscored_arms(self) -> list[str]:
        """Return the names of applicable arms without a score in the entry; empty without one."""
        return unscored_arms(self.cell, self.card) if self.card else []

    @property
    def card(self) -> MeasuredTask | None:
        """Return the figures of the cell's entry; None if it was not measured yet."""
        return self.listed.head.card if self.listed else None


@dataclass(frozen=True)
class AtlasMap:
    """The grid of cells by type, the entries outside the grid, the models measured, notes."""

    rows: tuple[tuple[str, tuple[MapCell, ...]], ...]
    outside_grid: tuple[ListedEntry, ...]
    models: tuple[str, ...]
    notes: tuple[str, ...]
    sizes: tuple[int, ...] = SIZES

    @property
    def measured_cells(self) -> int:
        """Return how many cells of the grid are measured."""
        return sum(cell.listed is not None for _, cells in self.rows for cell in cells)

    @property
    def cell_count(self) -> int:
        """Return how many cells the grid has."""
        return sum(len(cells) for _, cells in self.rows)


def build_map(atlas: Atlas) -> AtlasMap:
    """Return the map of an atlas, with every cell whether measured or not."""
    left = dict(atlas.entries)
    rows: dict[str, list[MapCell]] = {}
    for cell in all_cells():
        listed = _entry_of_cell(left, cell)
        if listed is not None:
            del left[listed.key]
        rows.setdefault(cell.kind, []).append(MapCell(cell, listed))
    models = sorted({each.head.card.model for each in atlas.entries.values()})
    grid = tuple((kind, tuple(cells)) for kind, cells in sorted(rows.items()))
    return AtlasMap(grid, tuple(left.values()), tuple(models), atlas.notes)


def _entry_of_cell(entries: dict[str, ListedEntry], cell: Cell) -> ListedEntry | None:
    """Return a cell's entry of the embedded model, else its newest one; None without one."""
    if (key := cell.key(MODEL)) in entries:
        return entries[key]
    fits = [
        each
        for each in entries.values()
        if (each.head.card.kind, each.head.card.size) == (cell.kind, cell.size)
    ]
    return max(fits, key=lambda each: each.head.card.measured, default=None)


def choose_arm(card: MeasuredTask, cost: Cost = "none", facts_move: bool = False) -> ArmChoice:
    """Return the arm that a view names for a measured task, and why.

    Without a cost it is the verdict's arm, else the best one left. With a cost it is the cheapest
    arm whose mean is within the task's margin of the best. `facts_move` leaves out arms that hold
    facts in weights, if the facts of this type of task change. An arm that breaks a limit is never
    named, one that scores no higher than a reference only if the verdict names it.
    """
    if card.arm is None:
        return ArmChoice(None, NO_ARM_REASONS[card.status])
    out = arms_holding_facts(card) if facts_move else frozenset()
    ranked = [arm for arm in card.arms if arm.score and (arm.tool or arm.name == card.arm)]
    arms = [arm for arm in ranked if arm.name not in out and not arm.breaks_limits]
    if not arms:
        broken = " or breaks a limit" * any(arm.breaks_limits for arm in ranked)
        return ArmChoice(None, f"every measured arm holds facts in weights{broken}")
    named = next((arm for arm in arms if arm.name == card.arm), None)
    if cost == "none" and named is not None:
        return ArmChoice(named, VERDICT_ARM_REASON)
    floor = max((_mean_score(arm) for arm in reference_arms(card)), default=-1.0)
    arms = [arm for arm in arms if _mean_score(arm) > floor or arm is named]
    if not arms:
        return ArmChoice(None, "no arm that is left scores above the reference")
    if cost == "none":
        return ArmChoice(
            max(arms, key=_mean_score), "the best of those that hold no facts in weights"
        )
    top = max(map(_mean_score, arms))
    near = [arm for arm in arms if _mean_score(arm) >= top - card.margin - 1e-9]
    priced = [(value, arm) for arm in near if (value := _cost_of_arm(arm, cost)) is not None]
    if not priced:
        return ArmChoice(None, f"no {'price' if cost == 'usd' else 'time'} was measured")
    return _choose_cheapest(priced, len(near))


def _choose_cheapest(priced: Sequence[tuple[float, MeasuredArm]], near: int) -> ArmChoice:
    """Return the cheapest arm of `priced`, and why with its greatest distance to the best arm."""
    cheapest = min(priced, key=lambda pair: pair[0])[1]
    why = f"the cheapest of {near} within the margin"
    if cheapest.behind is not None:
        why += f", at most {points(cheapest.behind.high)} behind the best"
    if near > len(priced):
        why += f"; {near - len(priced)} not priced"
    return ArmChoice(cheapest, why)


def _mean_score(arm: MeasuredArm) -> float:
    return arm.score.mean if arm.score else 0.0


def _cost_of_arm(arm: MeasuredArm, cost: Cost) -> float | None:
    return arm.usd_per_1k if cost == "usd" else arm.seconds


def arms_holding_facts(card: MeasuredTask) -> frozenset[str]:
    """Return the arms' names that hold facts in weights; empty if the facts don't change."""
    if not card.facts_change:
        return frozenset()
    return frozenset(arm.name for arm in card.arms if arm.holds_facts)


def is_reference(arm: MeasuredArm) -> bool:
    """Return whether other arms are only compared with an arm, such as guessing.

    A recorded system whose tool is not given has no tool either, and is no reference.
    """
    return arm.name.partition("(")[0] in _reference_names()


def reference_arms(card: MeasuredTask) -> list[MeasuredArm]:
    """Return the references that have a score."""
    return [arm for arm in card.arms if arm.score and is_reference(arm)]


@lru_cache(maxsize=1)
def _reference_names() -> frozenset[str]:
    return frozenset(n for n in catalogue("arms") if load("arms", n).ROLE == "reference")


def verdict_bound_text(card: MeasuredTask) -> str:
    """Return the verdict's bound on how much better another measured arm may be; or "".

    Without a named arm it is a bound on how much better than the reference. A verdict whose motive
    is cost states no such bound: it may name an arm that another is better than. A bound within the
    margin settles nothing where the answers may change: the token limit cut them, say.
    """
    if card.left is None:
        return ""
    named = next((arm for arm in card.arms if arm.name == card.arm), None)
    if named and named.behind and named.behind.mean > card.left + ROUNDING:
        return f"another measured arm is better by {points(named.behind.mean)}"
    able = " that keeps the limits" if any(arm.breaks_limits for arm in card.arms) else ""
    other, than = ("other ", "") if card.arm else ("", " than the reference")
    which, most = f"no {other}measured arm{able} is better{than}", points(card.left)
    which = which if most == points(0) else f"{which} by more than {most}"
    unsettled = card.status == "provisional" and card.left <= card.margin
    return f"{which}; still provisional: the task says why" if unsettled else which


def model_name(name: str) -> str:
    """Return a model's name with its number of parameters, if that is known here."""
    return f"{name} ({MODEL_SIZES[name]})" if name in MODEL_SIZES else name


def model_lines(models: Sequence[str]) -> list[str]:
    """Return the line on the models that were measured, with the caution on small models."""
    if not models:
        return []
    asked = [model_name(name) for name in models if name != NO_MODEL]
    if not asked:
        return ["No arm that was measured asks a model."]
    line = f"Measured with {', '.join(asked)}"
    line += "; some tasks by arms that ask no model." if NO_MODEL in models else "."
    return [f"{line} {SMALL_MODEL_CAUTION}" if MODEL in models else line]


def scored_rows_text(card: MeasuredTask) -> str:
    """Return on how many test rows the arms were scored: `200 test rows`, `40 to 200 … an arm`."""
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
    arms = reference_arms(card)
    floor = next((arm.score for arm in arms if arm.name.startswith(GUESSING_ARM)), None)
    parts = [model_name(card.model), scored_rows_text(card)]
    parts += [f"plain instruction {card.base:.2f}"] if card.base is not None else []
    parts += [f"gold passage {card.reading:.2f}"] if card.reading is not None else []
    parts += [f"guessing {floor.mean:.2f}"] if floor else []
    return " · ".join(parts)
