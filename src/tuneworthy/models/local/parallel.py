"""Run batches in parallel, each on one core, so that cores need not synchronise at each operation.

A decoding step is about a thousand small operations; if two cores share an operation, one of them
waits for the other at its end. bench/journal has the gain. Knows no model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import torch

Part = TypeVar("Part")
Result = TypeVar("Result")


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
