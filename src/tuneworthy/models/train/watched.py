"""Train with a callback at chosen steps, which may measure the model and save it.

The loop is that of every arm (`loop.train`). A loss or gradient that is not finite ends the run and
is returned as the reason, not raised. Knows no page and no failure mode.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from tuneworthy.models.train.checkpoint import Run, TrainingCallbacks
from tuneworthy.models.train.full import WholeMethod
from tuneworthy.models.train.loop import train
from tuneworthy.models.train.lora import AdapterMethod, LoraSettings, Method, Opened
from tuneworthy.models.train.loss import Net, evaluate
from tuneworthy.models.train.training_data import EncodedExample
from tuneworthy.models.train.twin import weights_hash
from tuneworthy.records.errors import NumericError


@dataclass(frozen=True)
class Look:
    """A run after `step` steps, to measure and save; given to the callback."""

    step: int
    model: Any
    opened: Opened
    method: Method

    def tuned(self, folder: Path) -> Any:
        """Save the adapter or weights of this step to a new folder; return the model with them."""
        self.opened.net.free_step_memory()
        base = {
            **self.model.fingerprint,
            "spec": self.model.spec,
            "weights": weights_hash(self.model),
        }
        self.method.save(self.opened.wrapped, folder, {"base": base, "step": self.step})
        return self.model.with_adapter(folder, idle=True)

    def mean_loss(self, rows: Sequence[EncodedExample]) -> tuple[float, float]:
        """Return the rows' loss per answer token (nats) and mean P(end of turn) at the gold end."""
        result = evaluate(self.opened.net, rows, 1024)
        if result is None:
            raise ValueError("no row to evaluate")
        return result

    def token_losses(self, rows: Sequence[Sequence[int]]) -> list[list[float]]:
        """Return for each row the loss (nats) of each token but the first, trained or not."""
        return [_token_losses(self.opened.net, ids) for ids in rows]

    @property
    def change(self) -> float:
        """Return the largest relative change of any layer's weights, 0.0 without one."""
        return max(self.method.update_ratios(self.opened.wrapped).values(), default=0.0)

    @property
    def parameters(self) -> int:
        """Return the number of trained parameters."""
        weights = self.opened.wrapped.parameters()
        return sum(weight.numel() for weight in weights if weight.requires_grad)


@dataclass
class _WatchedRun:
    """Steps and row losses of a watched run; `refused` says why the loop ended it, if it did."""

    steps: list[dict[str, Any]]
    by_row: list[list[float]] = field(default_factory=list)
    refused: str | None = None


class _LookCallbacks(TrainingCallbacks):
    def __init__(
        self,
        looks: Sequence[int],
        on_look: Callable[[int], None],
        on_step: Callable[[dict[str, Any]], None],
    ) -> None:
        self.looks, self.on_look, self.on_step = set(looks), on_look, on_step
        self.seen = 0
        self.run: Any = None

    def begin(self, run: Run) -> None:
        self.run = run

    def safe_point(self, run: Run, epoch_over: bool = False) -> None:  # noqa: ARG002
        for step in run.steps[self.seen :]:
            self.on_step(step)
        self.seen = len(run.steps)
        if self.seen in self.looks:
            self.looks.discard(self.seen)
            self.on_look(self.seen)


def _method_of(model: Any, settings: Any, folder: Path) -> Method:
    """Return the method for the settings: an adapter for LoraSettings, else all weights."""
    if isinstance(settings, LoraSettings):
        return AdapterMethod(model)
    return WholeMethod(model, folder)


def train_watched(
    model: Any,
    rows: Sequence[EncodedExample],
    settings: Any,
    where: tuple[int, Path],
    looks: Sequence[int],
    on: tuple[Callable[[Look], None], Callable[[dict[str, Any]], None]],
) -> _WatchedRun:
    """Train on `rows` with (seed, folder) `where`; return the run's steps and row losses.

    Calls on[0] with a Look after each step in `looks`, and on[1] with the record of every step. A
    callback may raise to stop the run. A loss or gradient that is not finite ends the run and is
    returned as `refused`.
    """
    seed, folder = where
    method = _method_of(model, settings, folder)
    opened = method.open(rows, settings, seed)
    watch = _LookCallbacks(looks, lambda step: on[0](Look(step, model, opened, method)), on[1])
    refused = None
    try:
        train(opened.net, rows, settings.pace, seed, lambda epoch: None, watch)
    except NumericError as error:
        refused = f"{error.what}: {error.got}" if error.got else error.what
    run: Any = watch.run
    return _WatchedRun(list(run.steps), [list(each) for each in run.by_row], refused)


@torch.no_grad()  # type: ignore[untyped-decorator]
def _token_losses(net: Net, ids: Sequence[int]) -> list[float]:
    given = torch.tensor([list(ids)], device=net.module.device)
    logits = net.module(input_ids=given, use_cache=False).logits[0].float()
    losses: list[float] = cross_entropy(logits[:-1], given[0, 1:], reduction="none").tolist()
    return losses
