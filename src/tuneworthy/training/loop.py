"""The training loop, flat, so that every step can be read and trusted.

The loss of a step is the sum over the batch's answer tokens divided by their number: how the batch
is cut into parts cannot change it. A run is a `Run` and nothing besides: put one back and it goes
on to the same last bit. Knows no task, no metric, no adapter format and no file.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import torch
from pydantic import Field

from tuneworthy.core.errors import NumericError
from tuneworthy.core.record import Record
from tuneworthy.ledger import signals
from tuneworthy.training.batches import order
from tuneworthy.training.checkpoint import Run, Watch
from tuneworthy.training.forward import Net, backward
from tuneworthy.training.render import Rendered


class Pace(Record):
    """How long and how fast: epochs, rows a step, peak rate, share of warm-up, clipping norm.

    `part_tokens` is the most padded tokens read at once; it changes memory and speed, not results.
    """

    epochs: Annotated[int, Field(ge=1, le=1000)] = 3
    batch: Annotated[int, Field(ge=1, le=4096)] = 16
    rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1e-3
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.1
    clip: Annotated[float, Field(gt=0)] = 1.0
    part_tokens: Annotated[int, Field(ge=1)] = 1024


def rate_at(step: int, total: int, pace: Pace) -> float:
    """Return the rate of step 0 .. total - 1: linear warm-up, then half a cosine towards 0.

    It is the usual schedule read one step ahead, so that neither the first nor the last step of a
    short run is wasted on a rate of 0.
    """
    warm, now = math.ceil(pace.warmup * total), step + 1
    if now < warm:
        return pace.rate * now / warm
    done = (now - warm) / max(1, total + 1 - warm)
    return pace.rate * 0.5 * (1 + math.cos(math.pi * done))


def train(
    net: Net,
    rows: Sequence[Rendered],
    pace: Pace,
    seed: int,
    after_epoch: Callable[[int], bool | None],
    watch: Watch | None = None,
) -> dict[str, Any]:
    """Train what requires a gradient; return `steps`, `by_row`, `first` and `seconds`.

    `by_row`: mean loss by epoch and row, as the row was read; `first`: the rows of the first step;
    `seconds`: of the steps alone. `after_epoch(number)` is called for every epoch that is over,
    those before an interruption too; where it returns False, training ends.

    Raises NumericError on a loss or gradient that is not finite, before it reaches a weight.
    """
    watch = watch or Watch()
    named = {name: w for name, w in net.module.named_parameters() if w.requires_grad}
    weights = list(named.values())
    # No weight decay: a low-rank update is small already, and decay would pull it to the base.
    optimizer = torch.optim.AdamW(weights, lr=pace.rate, weight_decay=0.0, fused=True)
    total = pace.epochs * math.ceil(len(rows) / pace.batch)
    run, number = Run(named, optimizer), 0
    watch.begin(run)

    for epoch in range(pace.epochs):
        # 1. The order depends on seed and epoch alone, so a run that starts again sees the same.
        turn = order(len(rows), seed, epoch)
        if epoch == len(run.by_row):
            run.by_row.append([0.0] * len(rows))

        for start in range(0, len(rows), pace.batch):
            number += 1
            if number <= len(run.steps):
                continue  # done before an interruption
            watch.safe_point(run)
            signals.check()
            begun = time.perf_counter()
            chosen = turn[start : start + pace.batch]
            batch = [rows[index] for index in chosen]
            where = f"epoch {epoch + 1}, step {number} of {total}"

            # 2. One denominator for the whole step: the mean over parts would weigh them wrongly.
            tokens = sum(row.trained for row in batch)

            # 3. Forward and backward: what all prompts start with is read once, the rest in parts
            #    of similar length, side by side, their gradients summed in a fixed order.
            loss = 0.0
            for i, value in enumerate(backward(net, batch, pace.part_tokens, weights)):
                run.by_row[epoch][chosen[i]] = value / batch[i].trained
                loss += value / tokens

            # 4. Clip to a norm of at most `clip`; what is not finite stops here.
            norm = float(torch.nn.utils.clip_grad_norm_(weights, pace.clip))
            if not (math.isfinite(loss) and math.isfinite(norm)):
                raise NumericError(
                    "the loss or its gradient is not finite",
                    where=where,
                    got=f"loss {loss}, gradient norm {norm}",
                    fix="lower the rate, or check the model's weights with `tuneworthy doctor`",
                )

            # 5. Warm-up and cosine give the rate of this very step.
            rate = rate_at(number - 1, total, pace)
            for options in optimizer.param_groups:
                options["lr"] = rate
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

            # 6. What happened, for the training curve.
            read = sum(len(row.ids) for row in batch)
            run.steps.append(
                {"epoch": epoch + 1, "loss": loss, "rate": rate, "norm": norm,
                 "clipped": norm > pace.clip, "tokens": tokens, "read": read}
            )  # fmt: skip
            run.seconds += time.perf_counter() - begun
            watch.say(f"{where}: loss {loss:.3f}")

        # 7. An epoch is over: save, score on dev, and go on unless that says no.
        watch.safe_point(run, epoch_over=True)
        if after_epoch(epoch + 1) is False:
            break
    first = order(len(rows), seed, 0)[: pace.batch]
    return {"steps": run.steps, "by_row": run.by_row, "first": first, "seconds": run.seconds}
