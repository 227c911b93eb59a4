"""Run a case of the lab of either kind: train and look, or use a model without training.

Both kinds send the same events and return the same facts. Knows no page and no process.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuneworthy.core.failure import Config, RunFacts
from tuneworthy.lab.card_run import CardRun
from tuneworthy.lab.cases import LabCase
from tuneworthy.lab.events import Emit, run_id
from tuneworthy.lab.experiment import Experiment


@dataclass(frozen=True)
class LabRun:
    """A run: a case with a configuration, a seed and a role (plant, twin or own)."""

    case: LabCase
    config: Config
    seed: int
    role: str

    @property
    def id(self) -> str:
        """Return the id of the run's record."""
        return run_id(self.case.slug, self.config, self.seed)


def run_case(
    run: LabRun,
    model: Any,
    emit: Emit,
    folder: Path,
    twin: RunFacts | None = None,
    control: Callable[[], None] = lambda: None,
) -> RunFacts:
    """Run a case with a model; send begin, steps, looks and end; return the facts.

    The run writes to `folder`, which is removed; the folder `shared` beside it keeps an adapter
    for several runs. `twin`: the facts of the clean run on the same seed, by which the end is
    judged. `control` is called between steps or looks: it may wait, and stops the run by raising
    RunStopped. Other errors of `emit`, `control` or the model are raised as they are.
    """
    kind = Experiment if run.case.trains else CardRun
    return kind(run.case, run.config, run.seed, model).run(emit, folder, run.role, twin, control)
