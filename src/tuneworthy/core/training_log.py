"""Records of a training run's log, the same for every trainer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class LogStep:
    """The values that a trainer logged at one step; None for one that it did not log.

    `loss` is the training loss (nats a token), `held_out` the loss on held-out rows, `norm` the
    gradient's norm before clipping, `rate` the learning rate. An infinite or NaN value means that
    the run broke.
    """

    step: int
    loss: float | None = None
    held_out: float | None = None
    norm: float | None = None
    rate: float | None = None


@dataclass(frozen=True)
class TrainingLog:
    """The steps of a run in order, the settings in its log, and notes on what could not be read.

    `by_row` are the losses of the training rows in the last epoch, in the order of the rows, where
    the trainer kept them. `columns` are the names of all logged values.
    """

    file: str
    steps: tuple[LogStep, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    by_row: tuple[float, ...] = ()
    columns: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()

    @property
    def losses(self) -> list[LogStep]:
        """Return the steps with a training loss."""
        return [step for step in self.steps if step.loss is not None]
