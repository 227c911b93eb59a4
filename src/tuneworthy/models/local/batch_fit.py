"""Run batches that fit in memory: halve a batch that runs out of memory, and run the halves.

The size that fits is remembered while the model is open. Knows no model and no rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from tuneworthy.models.local.device import release
from tuneworthy.records.errors import DoesNotFit

Item = TypeVar("Item")

Result = TypeVar("Result")

_OOM_TEXTS = ("out of memory", "not enough memory", "can't allocate memory")


def _is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that a device, or the machine, ran out of memory."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(w in str(error).lower() for w in _OOM_TEXTS)


@dataclass
class BatchLimits:
    """The most rows and the most padded tokens of a batch; None: no limit is known.

    The user may set `rows`; both fall when a batch runs out of memory.
    """

    rows: int | None = None
    tokens: int | None = None

    def most(self, rows: int, tokens: int) -> tuple[int, int]:
        """Return `rows` and `tokens`, lowered to the limits that are known to fit."""
        return min(rows, self.rows or rows), min(tokens, self.tokens or tokens)

    def run(
        self,
        work: Callable[[list[Item]], list[Result]],
        batch: Sequence[Item],
        cost: Callable[[Sequence[Item]], int],
        device: str,
    ) -> list[Result]:
        """Return `work(batch)`, one result for each item; run it in halves if memory runs out.

        `cost` returns a batch's padded tokens; half the cost of a failed batch becomes the limit of
        later ones. Raises DoesNotFit if a single item does not fit.
        """
        batch = list(batch)
        try:
            return work(batch)
        except (RuntimeError, MemoryError) as error:
            if not _is_out_of_memory(error):
                raise
            reason = str(error).partition("\n")[0]
        # Outside of the handler: inside it, the traceback keeps the batch's memory alive.
        release(device)
        if len(batch) == 1:
            raise DoesNotFit(
                "one row alone does not fit in the free memory",
                where=device,
                got=f"{cost(batch)} tokens: {reason}",
                fix="choose a smaller model, shorter rows, or free some memory of the device",
            )
        middle, half = len(batch) // 2, max(1, cost(batch) // 2)
        self.tokens = min(self.tokens or half, half)
        parts = batch[:middle], batch[middle:]
        return [result for part in parts for result in self.run(work, part, cost, device)]


def run_halving(
    work: Callable[[int], Result], size: int, least: int, device: str
) -> tuple[Result, int]:
    """Return `work(size)` and the size that fitted: halved while memory runs out, to `least`.

    Raises DoesNotFit if `least` does not fit.
    """
    while True:
        try:
            return work(size), size
        except (RuntimeError, MemoryError) as error:
            if not _is_out_of_memory(error):
                raise
            reason = str(error).partition("\n")[0]
        release(device)
        if size <= least:
            raise DoesNotFit(
                "a training step of one row at a time does not fit in the free memory",
                where=device,
                got=f"{size} tokens: {reason}",
                fix="train on shorter rows, choose a smaller model or a lower rank, or free some"
                " memory",
            )
        size = max(least, size // 2)


Part = TypeVar("Part")


def parallel_batches(device: Any, rows: int) -> int:
    """Return the number of parallel batches: torch's threads, 1 on a GPU or for few rows."""
    threads = torch.get_num_threads()
    return threads if torch.device(device).type == "cpu" and rows >= 2 * threads else 1


def run_parallel(work: Callable[[Part], Result], parts: Sequence[Part], count: int) -> list[Result]:
    """Return `work(part)` for each part, in order; `count` of them run in parallel.

    Each runs on a share of torch's threads. The first error is raised once started parts are done.
    """
    if count < 2 or len(parts) < 2:
        return [work(part) for part in parts]
    threads = torch.get_num_threads()
    share = (max(1, threads // min(count, len(parts))),)
    try:
        with ThreadPoolExecutor(count, "lane", torch.set_num_threads, share) as pool:
            return list(pool.map(work, parts))
    finally:
        # set_num_threads in a worker also sets the default of new threads
        torch.set_num_threads(threads)
