"""The trainer_state.json of Hugging Face Trainer, TRL and Unsloth, also of a checkpoint."""

from __future__ import annotations

from typing import Any

from tuneworthy.core.errors import DataError
from tuneworthy.core.training_log import TrainingLog
from tuneworthy.data.run_folder import KEPT, RunFolder, checkpoint_of
from tuneworthy.run_logs._values import columns_of, merge_steps, plain_settings, step_of

NAME = "trainer_state.json"


def finds(folder: RunFolder) -> list[str]:
    """Return the state of the run, and of its newest checkpoint only: each holds the whole log."""
    found = folder.named(NAME)
    newest = max(found, key=lambda name: (checkpoint_of(name), name), default=None)
    return [name for name in found if name == newest or "checkpoint-" not in name]


def read(folder: RunFolder, name: str) -> TrainingLog:
    """Return the log of a trainer's state. Raises DataError if it has no history."""
    state: Any = folder.json(name)
    history = state.get("log_history") if isinstance(state, dict) else None
    if not isinstance(history, list):
        raise DataError("a trainer_state.json without its `log_history`", where=name,
                        fix="name the folder that the trainer itself wrote",
                        kept=KEPT)  # fmt: skip
    entries = [entry for entry in history if isinstance(entry, dict)]
    steps = [step for entry in entries if (step := step_of(entry))]
    odd = len(history) - len(entries)
    notes = (f"{odd} entries of the history are no objects",) if odd else ()
    names = ("global_step", "max_steps", "num_train_epochs", "train_batch_size", "logging_steps",
             "eval_steps", "save_steps", "epoch", "best_model_checkpoint")  # fmt: skip
    settings = {key: value for key, value in plain_settings(state).items() if key in names}
    return TrainingLog(name, merge_steps(steps), settings, columns=columns_of(entries), notes=notes)
