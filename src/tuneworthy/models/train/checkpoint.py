"""Checkpoints of a training run, from which it resumes bit for bit.

A checkpoint is a sealed folder (see `adapter`) named by its step: the tensors as safetensors, the
rest as JSON. An adapter's run keeps the newest two, so that a damaged one costs one interval.
Knows no model, no loss and no metric.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from tuneworthy.models.train.adapter import publish, read_sealed, seal
from tuneworthy.store import signals

TENSORS_FILE, REST_FILE = "state.safetensors", "run.json"
LEAST_SECONDS = 30.0  # minimum seconds of training between two checkpoints
TIME_SHARE = 0.01  # largest share of the training time that checkpoints between epochs take


@dataclass
class Run:
    """The state of a training run: weights by name, the optimizer's state, history, seconds.

    Its step number is the length of `steps`; `by_row` has a list for each epoch begun.
    """

    weights: dict[str, Any]
    optimizer: Any
    steps: list[dict[str, Any]] = field(default_factory=list)
    by_row: list[list[float]] = field(default_factory=list)
    seconds: float = 0.0

    def tensors(self) -> dict[str, Any]:
        """Return weights and optimizer state by name, contiguous, on the CPU."""
        named = dict(self.weights)
        for name, weight in self.weights.items():
            for key, value in self.optimizer.state[weight].items():
                named[f"{key} {name}"] = value
        return {name: tensor.detach().cpu().contiguous() for name, tensor in named.items()}

    def restore_state(self, tensors: Mapping[str, Any], rest: Mapping[str, Any]) -> None:
        """Restore a saved state of the same weights: what `tensors` returned, and the rest."""
        state: dict[int, dict[str, Any]] = {}
        for n, (name, weight) in enumerate(self.weights.items()):
            with torch.no_grad():
                weight.copy_(tensors[name])
            parts = {key: tensors.get(f"{key} {name}") for key in ("step", "exp_avg", "exp_avg_sq")}
            if parts["step"] is not None:  # None: the weight has never had a gradient
                state[n] = parts
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})
        self.steps, self.by_row = rest["steps"], rest["by_row"]
        self.seconds = rest["seconds"]


class TrainingCallbacks:
    """Callbacks of a training run, which may save it; this base class does nothing."""

    def begin(self, run: Run) -> None:
        """Restore the state of an interrupted run into `run`, if there is one."""

    def safe_point(self, run: Run, epoch_over: bool = False) -> None:
        """Save `run` if due; called between two steps and at the end of an epoch."""

    def say(self, text: str) -> None:
        """Receive a line on progress, for instance the loss of the last step."""


@dataclass
class Checkpoints:
    """The checkpoints of one run in `folder`.

    `about` is all that the run depends on (base, settings, seed, rows); a checkpoint of another run
    is never used. One is due at the end of an epoch, when a stop is requested, and after
    `LEAST_SECONDS` of training, or later if writing is slow. The newest `most_kept` are kept.
    """

    folder: Path
    about: Mapping[str, Any]
    say: Callable[[str], None] = lambda text: None
    most_kept: int = 2
    _step: int = 0
    _next_due: float = 0.0

    def restore(self, run: Run, usable: Callable[[int], bool]) -> None:
        """Restore the newest usable checkpoint into `run`; delete unusable ones' folders.

        Removed are damaged ones, those of other runs, and newer ones that are not `usable(step)`:
        the other files that a run at that step needs are missing.
        """
        for folder in reversed(self._checkpoint_folders()):
            step, manifest = int(folder.name), read_sealed(folder, TENSORS_FILE)
            ours = manifest is not None and manifest | self._manifest_facts(step) == manifest
            if not self._step and ours and usable(step):
                rest = json.loads((folder / REST_FILE).read_text("utf-8"))
                run.restore_state(load_file(folder / TENSORS_FILE), rest)
                self._step = step
                self.say(f"goes on after step {step}")
            elif not ours:
                self.say(f"the checkpoint of step {step} is damaged or of another run: not used")
                shutil.rmtree(folder)
            elif not self._step:
                shutil.rmtree(folder)
        self._next_due = run.seconds + LEAST_SECONDS

    def save_if_due(self, run: Run, due: bool) -> None:
        """Write a checkpoint of `run` if it is due and there was a step since the last.

        `due`: at once. Raises OSError or SafetensorError if it cannot be written.
        """
        step, stop = len(run.steps), signals.requested_exit_code() is not None
        if step == self._step or not (due or stop or run.seconds >= self._next_due):
            return
        begun, built = time.perf_counter(), self.folder / "new"
        shutil.rmtree(built, ignore_errors=True)
        built.mkdir(parents=True)
        save_file(run.tensors(), built / TENSORS_FILE)
        rest = {"steps": run.steps, "by_row": run.by_row, "seconds": run.seconds}
        (built / REST_FILE).write_text(json.dumps(rest, allow_nan=False), "utf-8")
        seal(built, self._manifest_facts(step))
        publish(built, self.folder / str(step), "checkpoint")
        for old in self._checkpoint_folders()[: -self.most_kept]:
            shutil.rmtree(old)
        spent = time.perf_counter() - begun
        self._step, self._next_due = step, run.seconds + max(LEAST_SECONDS, spent / TIME_SHARE)

    def _manifest_facts(self, step: int) -> dict[str, Any]:
        return {**self.about, "step": step}

    def _checkpoint_folders(self) -> list[Path]:
        """Return the folders named like a checkpoint, oldest first."""
        folders = [p for p in self.folder.glob("*") if re.fullmatch("[1-9][0-9]*", p.name)]
        return sorted(folders, key=lambda path: int(path.name))
