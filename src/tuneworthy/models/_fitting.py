"""Batches that fit: one that runs out of memory is halved and run again, and the size is kept.

What fits is remembered for as long as the model is open. Knows no model and no rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

from tuneworthy.core.errors import DoesNotFit
from tuneworthy.models._device import release

Item = TypeVar("Item")
Result = TypeVar("Result")
_SAID = ("out of memory", "not enough memory", "can't allocate memory")


def out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that a device, or the machine, ran out of memory."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(w in str(error).lower() for w in _SAID)


@dataclass
class Fit:
    """The most rows, and the most padded tokens, of a batch: None where no limit is known yet.

    `rows` may be set by the user; both fall where a batch turned out to be too large.
    """

    rows: int | None = None
    tokens: int | None = None

    def most(self, rows: int, tokens: int) -> tuple[int, int]:
        """Return these bounds of a batch, lowered to what is known to fit."""
        return min(rows, self.rows or rows), min(tokens, self.tokens or tokens)

    def run(
        self,
        work: Callable[[list[Item]], list[Result]],
        batch: Sequence[Item],
        cost: Callable[[Sequence[Item]], int],
        device: str,
    ) -> list[Result]:
        """Return `work(batch)`, one result an item; in halves where the memory does not suffice.

        `cost` is the padded tokens of a batch; half of what failed becomes the bound of later
        ones. Raises DoesNotFit where a single item does not fit.
        """
        batch = list(batch)
        try:
            return work(batch)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            said = str(error).partition("\n")[0]
        # Outside of the handler: until it is left, the error holds what the batch had taken.
        release(device)
        if len(batch) == 1:
            raise DoesNotFit(
                "one row alone does not fit in the free memory",
                where=device,
                got=f"{cost(batch)} tokens: {said}",
                fix="choose a smaller model, shorter rows, or free some memory of the device",
            )
        middle, half = len(batch) // 2, max(1, cost(batch) // 2)
        self.tokens = min(self.tokens or half, half)
        parts = batch[:middle], batch[middle:]
        return [one for part in parts for one in self.run(work, part, cost, device)]


def retried(
    work: Callable[[int], Result], size: int, least: int, device: str
) -> tuple[Result, int]:
    """Return `work(size)` and the size that fitted, halved as often as memory asks, to `least`.

    Raises DoesNotFit where the least does not fit.
    """
    while True:
        try:
            return work(size), size
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            said = str(error).partition("\n")[0]
        release(device)
        if size <= least:
            raise DoesNotFit(
                "a training step of one row at a time does not fit in the free memory",
                where=device,
                got=f"{size} tokens: {said}",
                fix="train on shorter rows, choose a smaller model or a lower rank, or free some"
                " memory",
            )
        size = max(least, size // 2)
