"""The queue of cells to measure: what each still takes on this machine, the most per minute first.

A unit of the queue is a cell: its study goes on where it stopped, one arm, seed and fold after the
other. The order of a study's own units is the study's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from os import nice
from pathlib import Path

from bench.atlas.atlas_data import Atlas
from bench.atlas.cells import TEST_ROWS, Cell, inapplicable_arms, sample_task, scored_arms
from bench.atlas.run_cell import CELLS_FOLDER, CellOptions, write_cell

from tuneworthy.flows.session import Session, open_session
from tuneworthy.measure.planning import PlanInputs
from tuneworthy.measure.timing import Speed
from tuneworthy.records.task import Data
from tuneworthy.rows.folds import dev_size
from tuneworthy.store.lock import acquire
from tuneworthy.store.place import HOME_FOLDER

LOWEST_PRIORITY = 19
LEAST_MINUTES = 0.1  # a cell of recorded or counted answers takes next to nothing


@dataclass(frozen=True)
class CellCost:
    """What a cell takes: `minutes` of all its arms, and how many of them the atlas lacks.

    `units` counts one unit for each arm, seed and fold. `begun`: its study has begun here.
    """

    cell: Cell
    minutes: float
    units: int
    lacks: int
    begun: bool = False

    @property
    def value(self) -> float:
        """Return the arms gained per minute."""
        return self.lacks / max(self.minutes, LEAST_MINUTES)


def queued(costs: Sequence[CellCost]) -> list[CellCost]:
    """Return cells in the order in which they run: begun ones first, then the most per minute."""
    return sorted(costs, key=lambda cost: (not cost.begun, -cost.value, cost.cell.id))


@contextmanager
def only_queue(working: Path) -> Iterator[None]:
    """Hold the lock of a folder's queue at the lowest priority. StoreError if another runs."""
    (working / CELLS_FOLDER).mkdir(parents=True, exist_ok=True)
    lock = acquire(working / CELLS_FOLDER / "queue.lock")
    nice(LOWEST_PRIORITY)
    try:
        yield
    finally:
        lock.release()


def open_cells(cells: Sequence[Cell], atlas: Atlas, options: CellOptions) -> dict[Cell, int]:
    """Return the cells that lack arms in the atlas, with how many of those that apply."""
    found = {}
    for cell in cells:
        listed = atlas.entries.get(cell.key(options.model))
        scored = scored_arms(listed.head.card) if listed else set()
        if lacks := len(set(options.arms_of(sample_task(cell))) - scored):
            found[cell] = lacks
    return found


def cost_cells(
    cells: dict[Cell, int],
    working: Path,
    options: CellOptions = CellOptions(),
    say: Callable[[str], None] = lambda text: None,
) -> list[CellCost]:
    """Return the cost of each open cell from this machine's speed, which is measured once.

    Writes the rows of each type below `atlas/`; nothing is trained or answered. A type is read at
    its smallest open size: row lengths are a sample, and reading more rows takes longer.
    """
    found: list[CellCost] = []
    speed: Speed | None = None
    for name in dict.fromkeys(cell.name for cell in cells):
        own = [cell for cell in cells if cell.name == name]
        say(f"{name}: rows{'' if speed else ' and speed'}")
        begun = {cell for cell in own if _has_begun(working / CELLS_FOLDER / cell.id)}
        path = write_cell(min(own, key=lambda cell: cell.size), working, options)
        with open_session(path, options.run_options) as session:
            facts = session.plan_inputs(speed)
            speed = facts.speed
            for cell in own:
                minutes, units = _cell_cost(session, facts, cell)
                found.append(CellCost(cell, minutes, units, cells[cell], cell in begun))
    return queued(found)


def _has_begun(folder: Path) -> bool:
    """Return whether the study of a cell has stored answers; a plan alone stores none."""
    return any((folder / HOME_FOLDER).glob("blobs/*"))


def _cell_cost(session: Session, facts: PlanInputs, cell: Cell) -> tuple[float, int]:
    """Return minutes and units of a cell of the session's type of task; its size may differ."""
    dev = dev_size(cell.size, Data().dev_share)
    sizes = facts.sizes.model_copy(update={"train": cell.size - dev, "dev": dev})
    plan = session.make_plan(replace(facts, sizes=sizes))
    arms = [arm for arm in plan.arms if not arm.because]
    units = sum(max(1, len(arm.seeds)) * max(1, len(arm.folds)) for arm in arms)
    return round(sum(arm.minutes for arm in arms), 3), units


def inapplicable_arm_lines(cells: Sequence[Cell]) -> list[str]:
    """Return a line for each arm that does not apply to some types of task, with these types."""
    absent: dict[str, list[str]] = {}
    for cell in {cell.name: cell for cell in cells}.values():
        for arm in inapplicable_arms(sample_task(cell)):
            absent.setdefault(arm, []).append(cell.name)
    return [f"{arm} does not apply to {', '.join(kinds)}" for arm, kinds in absent.items()]


def queue_headline(queue: Sequence[CellCost], cells: int) -> str:
    """Return a sentence on the queue: cells, units, minutes."""
    units, minutes = sum(cost.units for cost in queue), sum(cost.minutes for cost in queue)
    return (
        f"{len(queue)} of {cells} cells to measure on {TEST_ROWS} test rows each, {units:,} units:"
        f" about {minutes:,.0f} min on this machine"
    )
