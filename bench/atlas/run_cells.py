"""Run cells one after the other until all are done, the time is up or a signal comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from bench.atlas.cells import Cell
from bench.atlas.run_cell import CellOptions, run_cell

from tuneworthy.flows.study import Watch
from tuneworthy.records.errors import StoreError, TuneworthyError
from tuneworthy.store.signals import StopRequested, check, stop_after, stoppable

ProgressContext = Callable[[], AbstractContextManager[Watch | None]]
RUN_COMMAND = "python -m bench.atlas run"


@dataclass
class CellsOutcome:
    """The ids of measured cells, and the error of each that failed."""

    done: list[str] = field(default_factory=list)
    failed: dict[str, TuneworthyError] = field(default_factory=dict)

    def unfinished(self, cells: Sequence[Cell]) -> list[str]:
        """Return the ids of the cells that neither finished nor failed."""
        return [cell.id for cell in cells if cell.id not in {*self.done, *self.failed}]

    @property
    def exit_code(self) -> int:
        """Return the exit code of the first cell that failed; 0 if none did."""
        return next((error.exit_code for error in self.failed.values()), 0)


def run_cells(
    cells: Sequence[Cell],
    working: Path,
    options: CellOptions,
    seconds: float | None,
    progress: ProgressContext,
    say: Callable[[str], None],
) -> CellsOutcome:
    """Run cells in order; a cell that fails is skipped, a store that fails ends the run.

    It stops at the first safe point after `seconds`; a later run continues the interrupted cell.
    Raises StopRequested after a signal.
    """
    outcome = CellsOutcome()
    with _stop_after(seconds):
        for at, cell in enumerate(cells, 1):
            check()
            say(f"cell {at} of {len(cells)}: {cell.id}")
            try:
                with progress() as watch:
                    entry = run_cell(cell, working, options, watch)
            except StoreError:
                raise
            except TuneworthyError as error:
                outcome.failed[cell.id] = error
                say(f"{cell.id}: {error}")
                continue
            outcome.done.append(cell.id)
            say(f"{cell.id}: use {entry.card.use}, {entry.card.arm or 'no arm'}")
    return outcome


@contextmanager
def _stop_after(seconds: float | None) -> Iterator[None]:
    """Stop the block after `seconds` without an error, or with StopRequested after a signal."""
    try:
        with stoppable(), nullcontext() if seconds is None else stop_after(seconds):
            yield
    except StopRequested as stop:
        if stop.exit_code != 0:
            raise StopRequested(stop.exit_code, RUN_COMMAND) from None
