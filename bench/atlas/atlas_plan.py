"""Plan the atlas: the minutes of each cell on this machine, and which cells are cut to fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.atlas.atlas_data import Atlas
from bench.atlas.cells import ARM_SEEDS, SIZES, TEST_ROWS, Cell, inapplicable_arms, sample_task
from bench.atlas.run_cell import CellOptions, write_cell

from tuneworthy.flows.session import Session, open_session
from tuneworthy.measure.planning import PlanInputs
from tuneworthy.measure.timing import Speed
from tuneworthy.records.specs import trains
from tuneworthy.records.task import Data
from tuneworthy.rows.folds import dev_size

GOAL_MINUTES = 300.0  # minutes on two cores


@dataclass(frozen=True)
class CellCost:
    """The cost of a cell: `minutes` of all arms, of which trained arms take `training`.

    `units` counts one unit for each arm, seed and fold. `measured`: the cell has its entry, so
    it costs nothing.
    """

    cell: Cell
    minutes: float
    training: float
    units: int
    measured: bool = False

    def minutes_with_seeds(self, seeds: int) -> float:
        """Return the minutes still to run with `seeds` seeds of each trained arm."""
        if self.measured:
            return 0.0
        return self.minutes - self.training * (1 - seeds / ARM_SEEDS)


@dataclass(frozen=True)
class AtlasPlan:
    """The cells kept and cut, the reasons of the cuts, the seeds, the minutes and their goal."""

    kept: tuple[CellCost, ...]
    cut: tuple[CellCost, ...]
    cut_reasons: tuple[str, ...]
    seeds: int
    minutes: float
    goal: float


def fit_plan(costs: Sequence[CellCost], goal: float = GOAL_MINUTES) -> AtlasPlan:
    """Return the plan that fits `goal` minutes if it can: cells are cut before seeds.

    The dearest cell of the largest size goes first, then those of the next size. The smallest size
    of a type is never cut. Seeds follow, down to one.
    """
    kept, cut, lines = list(costs), [], []
    names = {cost.cell.name for cost in costs}
    smallest = {name: min(c.cell.size for c in costs if c.cell.name == name) for name in names}
    least = min((cost.cell.size for cost in costs), default=0)
    for size in sorted({cost.cell.size for cost in costs} - {least}, reverse=True):
        candidates = [cost for cost in kept if cost.cell.size == size and not cost.measured]
        candidates = [cost for cost in candidates if smallest[cost.cell.name] < size]
        for cost in sorted(candidates, key=lambda each: (-each.minutes, each.cell.name)):
            if _total_minutes(kept, ARM_SEEDS) <= goal:
                break
            kept.remove(cost)
            cut.append(cost)
            lines.append(f"{cost.cell.id}: {cost.minutes:.0f} min, the dearest of {size:,} rows")
    seeds = ARM_SEEDS
    while seeds > 1 and _total_minutes(kept, seeds) > goal:
        seeds -= 1
        lines.append(
            f"{seeds} of {ARM_SEEDS} seeds of each trained arm (`atlas run --seeds {seeds}`)"
        )
    minutes = round(_total_minutes(kept, seeds), 2)
    return AtlasPlan(tuple(kept), tuple(cut), tuple(lines), seeds, minutes, goal)


def _total_minutes(costs: Sequence[CellCost], seeds: int) -> float:
    return sum(cost.minutes_with_seeds(seeds) for cost in costs)


def cost_cells(
    cells: Sequence[Cell],
    working: Path,
    atlas: Atlas,
    options: CellOptions = CellOptions(),
    say: Callable[[str], None] = lambda text: None,
) -> list[CellCost]:
    """Return the cost of each cell from this machine's speed, which is measured once.

    Writes the rows of each type below `atlas/`; nothing is trained or answered. A type is read at
    its smallest unmeasured size: row lengths are a sample, and reading more rows takes longer.
    """
    found: list[CellCost] = []
    speed: Speed | None = None
    for name in dict.fromkeys(cell.name for cell in cells):
        own = [cell for cell in cells if cell.name == name]
        open_cells = [cell for cell in own if not atlas.is_measured(cell, options.model)]
        found += [
            CellCost(cell, 0.0, 0.0, 0, measured=True) for cell in own if cell not in open_cells
        ]
        if not open_cells:
            continue
        say(f"{name}: rows{'' if speed else ' and speed'}")
        smallest = min(open_cells, key=lambda cell: cell.size)
        path = write_cell(smallest, working, options)
        with open_session(path, options.run_options) as session:
            facts = session.plan_inputs(speed)
            speed = facts.speed
            found += [_cell_cost(session, facts, cell) for cell in open_cells]
    order = {cell: at for at, cell in enumerate(cells)}
    return sorted(found, key=lambda cost: order[cost.cell])


def _cell_cost(session: Session, facts: PlanInputs, cell: Cell) -> CellCost:
    """Return the cost of a cell of the session's type of task; its size may differ."""
    dev = dev_size(cell.size, Data().dev_share)
    sizes = facts.sizes.model_copy(update={"train": cell.size - dev, "dev": dev})
    plan = session.make_plan(replace(facts, sizes=sizes))
    arms = [arm for arm in plan.arms if not arm.because]
    return CellCost(
        cell,
        minutes=round(sum(arm.minutes for arm in arms), 3),
        training=round(sum(arm.minutes for arm in arms if trains(arm.spec)), 3),
        units=sum(max(1, len(arm.seeds)) * max(1, len(arm.folds)) for arm in arms),
    )


def inapplicable_arm_lines(cells: Sequence[Cell]) -> list[str]:
    """Return a line for each arm that does not apply to some types of task, with these types."""
    absent: dict[str, list[str]] = {}
    for name in dict.fromkeys(cell.name for cell in cells):
        for arm in inapplicable_arms(sample_task(Cell(name, SIZES[0]))):
            absent.setdefault(arm, []).append(name)
    return [f"{arm} does not apply to {', '.join(kinds)}" for arm, kinds in absent.items()]


def plan_headline(plan: AtlasPlan) -> str:
    """Return a sentence on the plan: cells, units, seeds, minutes."""
    cells, units = len(plan.kept), sum(cost.units for cost in plan.kept)
    return (
        f"{cells} cells on {TEST_ROWS} test rows each, {units:,} units, {plan.seeds} seeds of each"
        f" trained arm: about {plan.minutes:.0f} min on this machine (goal {plan.goal:.0f})"
    )
