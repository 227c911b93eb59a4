"""Run batches in parallel, one core each, so that cores need not synchronise at every operation.

A decoding step is some thousand small operations; split over two cores, each of them ends with one
core waiting for the other. The gain is measured in bench/journal. Knows no model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import torch

Part = TypeVar("Part")
Result = TypeVar("Result")


def parallel_batches(device: Any, rows: int) -> int:
    """Return how many batches to run in parallel: torch's threads, 1 on a GPU or for few rows."""
    threads = torch.get_num_threads()
    return threads if torch.device(device).type == "cpu" and rows >= 2 * threads else 1


def run_parallel(work: Callable[[Part], Result], parts: Sequence[Part], count: int) -> list[Result]:
    """Return the result of each part, in order; run `count` in parallel on a share of the threads.

    The first error is raised once the parts that had started are done.
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
