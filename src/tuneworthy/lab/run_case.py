"""Run a case of the lab, whichever kind it is: train and look, or ask a model alone.

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
    """What is run: a case with a configuration and a seed, as plant, twin or own."""

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
    """Run it for real; send begin, steps, looks and end; return the facts.

    `folder` is for what the run writes, and is removed; what several runs share is kept beside it
    in `shared`. `twin` are the facts of the clean run on the same seed, by which the end is judged.
    `control` is called between steps or looks: it may wait, and stops the run by raising
    RunStopped. Raises what else `emit`, `control` or the model raises.
    """
    kind = Experiment if run.case.trains else CardRun
    return kind(run.case, run.config, run.seed, model).run(emit, folder, run.role, twin, control)
