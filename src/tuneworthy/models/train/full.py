"""Train every weight of a model in a copy of it, and save the weights in the base's precision.

The run is that of an adapter (`lora.fit`): the same loop, choice of the epoch, checkpoints and
sealed folder. The copy has single precision or better, because half precision would round most
steps of a small rate to nothing; the weights that are saved, scored and used for answers have the
base's precision, and so its engine and speed. The base is never changed. Knows no metric.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field
from safetensors.torch import save_file

from tuneworthy.models.local.tuned_weights import WEIGHTS, copy_with_weights
from tuneworthy.models.train.adapter import seal
from tuneworthy.models.train.figures import whole_update_ratio
from tuneworthy.models.train.loop import TrainingSchedule
from tuneworthy.models.train.lora import Opened, Trained, fit, open_once
from tuneworthy.models.train.loss import open_net
from tuneworthy.models.train.memory_fit import TRAINED_BYTES, apply_plan, plan_memory
from tuneworthy.models.train.training_data import EncodedExample, TrainingData
from tuneworthy.records.errors import DoesNotFit
from tuneworthy.records.record import Record
from tuneworthy.store.failpoint import failpoint

_NUMBERS_PER_WEIGHT = 3  # numbers a weight in a checkpoint: itself and AdamW's two moments


class FullSettings(Record):
    """Options of full tuning, defined as in `lora.LoraSettings`."""

    pace: TrainingSchedule = TrainingSchedule()
    share: bool = True
    checkpointing: bool | None = None
    patience: Annotated[int, Field(ge=1)] | None = None
    prompt_loss: Annotated[float, Field(ge=0, le=1)] = 0.0


def fit_full(
    model: Any, lessons: TrainingData, settings: FullSettings, seed: int, folder: Path
) -> Trained:
    """Train all weights into `folder/weights`; return the new result, or a complete old one.

    Arguments and errors are those of `lora.fit_lora`. Raises DoesNotFit, before anything is copied,
    if memory or disk lack room. Only the best epoch so far is kept on disk.
    """
    return fit(model, lessons, settings, (seed, folder), WholeMethod(model, folder))


@dataclass(frozen=True)
class WholeMethod:
    """Train all weights of a copy of the model."""

    model: Any
    folder: Path
    name = "weights"
    file = WEIGHTS
    keeps_best_only = True

    def open(self, rows: Sequence[EncodedExample], settings: FullSettings, seed: int) -> Opened:  # noqa: ARG002
        """Return the opened copy; `seed` is not used, because nothing in the copy is random."""
        base, probe = self.model.module, rows[0].ids
        plan = replace(open_once(self.model, base, probe, settings), lanes=1)
        room = plan_memory(plan, rows, None, settings.pace, settings.checkpointing)
        _check_disk_room(base, self.folder)
        wrapped = trainable_copy(base)
        net = open_net(wrapped, probe, plan.shares, plan.proof, by_hand=False)
        return Opened(wrapped, apply_plan(replace(net, lanes=1), room), room)

    def save(self, wrapped: Any, folder: Path, about: dict[str, Any]) -> None:
        """Write a sealed folder: the weights in the base's precision, and the base's config."""
        failpoint("epoch.before")
        folder.mkdir(parents=True)
        base = dict(self.model.module.named_parameters())
        tensors = {
            name: weight.detach().to("cpu", base[name].dtype).contiguous()
            for name, weight in sorted(wrapped.named_parameters())
        }
        save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
        self.model.module.config.to_json_file(folder / "config.json")
        seal(folder, about)
        failpoint("epoch.after")

    def update_ratios(self, wrapped: Any) -> dict[str, float]:
        """Return the relative size of the weight change by layer (see figures)."""
        return whole_update_ratio(self.model.module, wrapped)

    def saved_facts(self, folder: Path) -> dict[str, Any]:
        """Return the precisions of training and of the saved weights, and the saved bytes."""
        kind = self.model.module.dtype
        trained, saved = (str(k).removeprefix("torch.") for k in (_trained_dtype(kind), kind))
        size = (folder / WEIGHTS).stat().st_size
        return {"weights": {"trained_in": trained, "saved_in": saved, "bytes": size}}


def trainable_copy(module: Any) -> Any:
    """Return a copy of a model in single precision or better whose weights all require a gradient.

    Tied weights stay tied. Nothing is shared with the base.
    """
    weights = {
        name: weight.detach().to(_trained_dtype(weight.dtype), copy=True)
        for name, weight in module.named_parameters()
    }
    return copy_with_weights(module, weights).requires_grad_(True)


def _trained_dtype(kind: Any) -> Any:
    return torch.promote_types(kind, torch.float32)


def _check_disk_room(base: Any, folder: Path) -> None:
    """Raise DoesNotFit unless two checkpoints and three saved epochs have room on the disk.

    A new one is written before an old one is removed, and the chosen one is copied to its place.
    """
    numbers = sum(weight.numel() for weight in base.parameters())
    saved = sum(weight.nbytes for weight in base.parameters())
    need = 2 * _NUMBERS_PER_WEIGHT * TRAINED_BYTES * numbers + 3 * saved
    existing = next(part for part in (folder, *folder.parents) if part.exists())
    free = shutil.disk_usage(existing).free
    if need > free:
        raise DoesNotFit(
            "full tuning does not fit on this disk",
            where=str(folder),
            got=f"{need / 1e9:.1f} GB needed, {free / 1e9:.1f} GB free (checkpoints "
            f"{(need - 3 * saved) / 1e9:.1f}, weights {3 * saved / 1e9:.1f})",
            fix="free some space, or train an adapter instead (the arm lora)",
        )
