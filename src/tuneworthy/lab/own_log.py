"""Find the log of a training folder, in any known form, and compute the facts of its curve."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, median
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from tuneworthy.lab.facts import OUTLIER_FACTOR
from tuneworthy.records.errors import DataError, SecurityError
from tuneworthy.records.run_report import LogSource, TrainingLog
from tuneworthy.rows.run_folder import RunFolder, checkpoint_of
from tuneworthy.rows.run_logs import LOG_FORMS, find_logs, read_training_log

_MOST_LOGS = 20
_STATE_FILE = "trainer_state.json"  # of the Trainer, in its folder and in each checkpoint
_TAIL_PART = 8  # the last loss is the mean over the last 1/TAIL of the steps
_NO_LOG = (
    "the folder holds no training log (trainer_state.json, JSON Lines, CSV or JSON; TensorBoard and"
    " Trackio export one)"
)


def read_logs(folder: RunFolder) -> tuple[list[TrainingLog], list[LogSource]]:
    """Return (logs that have steps, the fullest first; a note on each file that was tried)."""
    read: list[tuple[str, TrainingLog]] = []
    failed: list[LogSource] = []
    for form in LOG_FORMS:
        for name in find_logs(folder, form)[:_MOST_LOGS]:
            try:
                read.append((form, read_training_log(folder, form, name)))
            except (DataError, SecurityError) as error:
                why = f"{error.what}: {error.got}" if error.got else error.what
                failed.append(LogSource(file=name, form=form, because=why))
    earlier = _logs_of_earlier_runs([log for _, log in read])
    read.sort(key=lambda pair: (pair[1].file in earlier, -len(pair[1].losses),
                                -len(pair[1].columns), pair[1].file))  # fmt: skip
    sources = [
        LogSource(file=log.file, form=form, used=k == 0 and bool(log.steps), steps=len(log.steps),
                  because="; ".join((*log.notes, *earlier.get(log.file, ()))))
        for k, (form, log) in enumerate(read)
    ]  # fmt: skip
    return [log for _, log in read if log.steps and log.file not in earlier], [*sources, *failed]


def _logs_of_earlier_runs(logs: Sequence[TrainingLog]) -> dict[str, tuple[str]]:
    """Return {checkpoint's state file: (why,)} of those of another run than the folder's state.

    A run in the folder of an earlier one leaves that one's checkpoints where they are. The state of
    a checkpoint holds the whole history so far, so in a resumed run it begins with that beside it.
    """
    found: dict[str, tuple[str]] = {}
    states = {log.file: log for log in logs if log.file.endswith(_STATE_FILE) and log.steps}
    for file, log in states.items():
        if checkpoint_of(file) < 0:
            continue
        own = states.get(f"{file.rpartition('checkpoint-')[0]}{_STATE_FILE}")
        if own is None:
            continue
        pairs = zip(log.losses, own.losses, strict=False)
        if any((a.step, a.loss) != (b.step, b.loss) for a, b in pairs):
            found[file] = (f"a checkpoint of another run than that of {own.file}",)
    return found


def log_facts(
    log: TrainingLog, clip: float | None, best_loaded: bool | None = None
) -> dict[str, Any]:
    """Return {fact: value} of a log's training curve; `clip`: the largest norm left unclipped.

    `best_loaded`: whether the best checkpoint was loaded at the end (None: not known). Single steps
    of a real run are noisy, so the least loss is the least mean over windows as long as the one at
    the end.
    """
    losses = [step.loss for step in log.steps if step.loss is not None]
    held = [step.held_out for step in log.steps if step.held_out is not None]
    found: dict[str, Any] = {"steps": log.steps[-1].step if log.steps else 0}
    broken = next(
        (step for step in log.steps if _not_finite(step.loss) or _not_finite(step.held_out)), None
    )
    if broken is not None:
        found["refused"] = f"the loss is not finite at step {broken.step}"
    finite = [loss for loss in losses if math.isfinite(loss)]
    if len(finite) >= 2:
        size = max(1, len(finite) // _TAIL_PART)
        means = window_means(finite, size)
        found |= {"loss_first": fmean(finite[: max(1, len(finite) // 32)]),
                  "loss_last": means[-1], "loss_least": min(means),
                  "loss_peak": max(finite)}  # fmt: skip
    new = [loss for loss in held if math.isfinite(loss)]
    if len(new) >= 2:
        found |= {"new_loss_first": new[0], "new_loss_least": min(new)}
        if (last := _final_held_out(log, new[-1], best_loaded)) is not None:
            found["new_loss_last"] = last
    norms = [step.norm for step in log.steps if step.norm is not None]
    if clip and clip > 0 and norms:
        found["clip_rate"] = fmean(not norm <= clip for norm in norms)
    share = log.settings.get("clip_rate")
    if log.settings.get("trainer") == "tuneworthy" and isinstance(share, float):
        found["clip_rate"] = share  # of our own trace; a config of others may have this name too
    if (middle := _positive_median(log.by_row)) is not None:
        found["outliers"] = fmean(loss > OUTLIER_FACTOR * middle for loss in log.by_row)
    return found


def _final_held_out(log: TrainingLog, last: float, best_loaded: bool | None) -> float | None:
    """Return the held-out loss of the model that training kept, None if the folder hides it."""
    best = log.settings.get("best_model_checkpoint")
    if best_loaded is False or not (best_loaded or best):
        return last
    kept = checkpoint_of(f"{best}/")
    losses = {step.step: step.held_out for step in log.steps if not _not_finite(step.held_out)}
    return losses.get(kept) if best_loaded else None


def outlier_rows(log: TrainingLog) -> list[int]:
    """Return the positions of rows whose last-epoch loss is over three times the median."""
    middle = _positive_median(log.by_row)
    return [k for k, loss in enumerate(log.by_row) if middle and loss > OUTLIER_FACTOR * middle]


def missing_log_facts(log: TrainingLog | None, found: dict[str, Any]) -> dict[str, str]:
    """Return {fact: why} for the facts of a training curve that `found` lacks."""
    if log is None:
        names = ("loss_first", "loss_last", "loss_least", "loss_peak", "new_loss_first",
                 "new_loss_last", "new_loss_least", "clip_rate", "outliers")  # fmt: skip
        return dict.fromkeys(names, _NO_LOG)
    why = {
        "loss": "the log has fewer than two training losses",
        "new_loss": "the log has fewer than two losses on held-out rows (eval_loss)",
        "clip_rate": "max_grad_norm, or the gradient's norm, is not in the folder",
        "outliers": "the log has no loss for each row",
    }
    every = {f"{kind}_{end}": why[kind] for kind in ("loss", "new_loss")
             for end in ("first", "last", "least")}  # fmt: skip
    every["loss_peak"] = why["loss"]
    every |= {name: why[name] for name in ("clip_rate", "outliers")}
    if "new_loss_least" in found:
        every["new_loss_last"] = (
            "the trainer chose a best checkpoint, and the folder does not say that the model is"
            " that of its last step (load_best_model_at_end)"
        )
    return {name: text for name, text in every.items() if found.get(name) is None}


def window_means(values: Sequence[float], size: int) -> list[float]:
    """Return the mean of each window of `size` consecutive values, exact for each window.

    Each is summed by itself: a running sum would keep the rounding of one huge value.
    """
    with np.errstate(over="ignore"):  # a sum beyond every float is told as too large
        sums = sliding_window_view(np.asarray(values, dtype=float), size).sum(axis=1)
    means: list[float] = (sums / size).tolist()
    return means


def _not_finite(value: float | None) -> bool:
    return value is not None and not math.isfinite(value)


def _positive_median(losses: Sequence[float]) -> float | None:
    finite = [loss for loss in losses if math.isfinite(loss)]
    return median(finite) if finite and median(finite) > 0 else None
