"""The training loop, kept flat for readability.

The loss of a step is the sum over the batch's answer tokens divided by their number (with a weight
on prompt tokens: the weighted sum divided by the sum of the weights), so how the batch is split
into parts does not change it. `Run` is the whole state of a run; a restored one continues bit for
bit. Knows no task, no metric, no adapter format and no file.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import torch
from pydantic import Field

from tuneworthy.models.train.checkpoint import Run, TrainingCallbacks
from tuneworthy.models.train.loss import Net, backward
from tuneworthy.models.train.schedule import order
from tuneworthy.models.train.training_data import EncodedExample
from tuneworthy.records.errors import NumericError
from tuneworthy.records.record import Record
from tuneworthy.store import signals


class TrainingSchedule(Record):
    """Training schedule: epochs, rows per step, peak rate, warm-up share of steps, clipping norm.

    `part_tokens`: most padded tokens read at once; it changes memory and speed, not results.
    """

    epochs: Annotated[int, Field(ge=1, le=1000)] = 3
    batch: Annotated[int, Field(ge=1, le=4096)] = 16
    rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1e-3
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.1
    clip: Annotated[float, Field(gt=0)] = 1.0
    part_tokens: Annotated[int, Field(ge=1)] = 1024


def rate_at(step: int, total: int, pace: TrainingSchedule) -> float:
    """Return the learning rate of step 0 .. total - 1: linear warm-up, then half a cosine to 0.

    It is the usual schedule shifted by one step, so that neither the first nor the last step of a
    short run has a rate of 0.
    """
    warm, now = math.ceil(pace.warmup * total), step + 1
    if now < warm:
        return pace.rate * now / warm
    done = (now - warm) / max(1, total + 1 - warm)
    return pace.rate * 0.5 * (1 + math.cos(math.pi * done))


def train(
    net: Net,
    rows: Sequence[EncodedExample],
    pace: TrainingSchedule,
    seed: int,
    after_epoch: Callable[[int], bool | None],
    watch: TrainingCallbacks | None = None,
) -> dict[str, Any]:
    """Train the weights that require a gradient; return {"steps", "by_row", "first", "seconds"}.

    `steps`: a record of each step; `by_row`: mean loss by epoch and row, when the row was read;
    `first`: indexes of the first step's rows; `seconds`: of the steps alone. `after_epoch(number)`
    is called after every epoch, after a resume for the earlier ones too; False ends training.

    Raises NumericError on a loss or gradient that is not finite, before it reaches a weight.
    """
    watch = watch or TrainingCallbacks()
    named = {name: w for name, w in net.module.named_parameters() if w.requires_grad}
    weights = list(named.values())
    # No weight decay: it would pull an adapter towards the base, and whole weights away from it.
    optimizer = torch.optim.AdamW(weights, lr=pace.rate, weight_decay=0.0, fused=True)
    total = pace.epochs * math.ceil(len(rows) / pace.batch)
    run, number = Run(named, optimizer), 0
    watch.begin(run)

    for epoch in range(pace.epochs):
        # 1. The order depends on seed and epoch alone, so a restarted run uses the same.
        row_order = order(len(rows), seed, epoch)
        if epoch == len(run.by_row):
            run.by_row.append([0.0] * len(rows))

        for start in range(0, len(rows), pace.batch):
            number += 1
            if number <= len(run.steps):
                continue  # done before an interruption
            watch.safe_point(run)
            signals.check()
            begun = time.perf_counter()
            chosen = row_order[start : start + pace.batch]
            batch = [rows[index] for index in chosen]
            where = f"epoch {epoch + 1}, step {number} of {total}"

            # 2. One denominator for the whole step: parts' means would be weighted wrongly.
            tokens = sum(row.total_weight for row in batch)

            # 3. Forward and backward: the prompts' common prefix is read once, the rest in parallel
            #    parts of similar length, their gradients summed in a fixed order.
            loss = 0.0
            for i, value in enumerate(backward(net, batch, pace.part_tokens, weights)):
                run.by_row[epoch][chosen[i]] = value / batch[i].total_weight
                loss += value / tokens

            # 4. Clip to a norm of at most `clip`; stop on non-finite values.
            norm = float(torch.nn.utils.clip_grad_norm_(weights, pace.clip))
            if not (math.isfinite(loss) and math.isfinite(norm)):
                raise NumericError(
                    "the loss or its gradient is not finite",
                    where=where,
                    got=f"loss {loss}, gradient norm {norm}",
                    fix="lower the rate, or check the model's weights with `tuneworthy doctor`",
                )

            # 5. Set the rate of this step by warm-up and cosine.
            rate = rate_at(number - 1, total, pace)
            for options in optimizer.param_groups:
                options["lr"] = rate
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

            # 6. Record the step for the training curve.
            read = sum(len(row.ids) for row in batch)
            run.steps.append(
                {"epoch": epoch + 1, "loss": loss, "rate": rate, "norm": norm,
                 "clipped": norm > pace.clip, "tokens": tokens, "read": read}
            )  # fmt: skip
            run.seconds += time.perf_counter() - begun
            watch.say(f"{where}: loss {loss:.3f}")

        # 7. After an epoch: save, score on dev, and stop if `after_epoch` says so.
        watch.safe_point(run, epoch_over=True)
        if after_epoch(epoch + 1) is False:
            break
    first = order(len(rows), seed, 0)[: pace.batch]
    return {"steps": run.steps, "by_row": run.by_row, "first": first, "seconds": run.seconds}
