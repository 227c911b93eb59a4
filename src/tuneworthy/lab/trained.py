"""Train the adapter of cards and the playground: the clean run, once for a model and a seed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tuneworthy.core.failure import DEFAULTS, LabRows
from tuneworthy.core.record import digest
from tuneworthy.lab.encode import encode_rows
from tuneworthy.lab.events import SCHEMA


def trained_model(
    model: Any,
    rows: LabRows,
    seed: int,
    shared: Path,
    control: Callable[[int], None] = lambda step: None,
) -> Any:
    """Return the model with an adapter trained on the rows; reuse the one stored in `shared`.

    It appears in `shared` whole or not at all. `control` is called with the number of each step.
    Raises what training or `control` raises.
    """
    from tuneworthy.training.adapter import read_sealed

    key = [SCHEMA, model.fingerprint, seed, dict(DEFAULTS), [row.id for row in rows.train]]
    folder = shared / f"adapter-{digest(key, 16)}"
    if read_sealed(folder) is None:
        _train_adapter(model, rows, (seed, folder), control)
    return model.with_adapter(folder)


def _train_adapter(
    model: Any, rows: LabRows, where: tuple[int, Path], control: Callable[[int], None]
) -> None:
    from tuneworthy.training.loop import TrainingSchedule
    from tuneworthy.training.lora import LoraSettings
    from tuneworthy.training.watched import Look, train_watched

    seed, folder = where
    examples = [each.example for each in encode_rows(model.tokenizer, rows.train, DEFAULTS)]
    values: dict[str, Any] = dict(DEFAULTS)
    pace = TrainingSchedule(epochs=values["epochs"], batch=values["batch"], rate=values["rate"])
    settings = LoraSettings(pace=pace, rank=values["rank"], alpha=2 * values["rank"])
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    steps, done = pace.epochs * -(-len(examples) // pace.batch), 0

    def save(look: Look) -> None:
        look.tuned(part / "adapter")

    def stepped(_step: dict[str, Any]) -> None:
        nonlocal done
        done += 1
        control(done)

    try:
        train_watched(model, examples, settings, (seed, part), [steps], (save, stepped))
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(part / "adapter", folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
