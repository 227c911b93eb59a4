"""Order cases and tools for studies that may stop an arm early."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

from tuneworthy.core.record import digest
from tuneworthy.core.run import Spec
from tuneworthy.core.task import TOOLS


def race_order(ids: Iterable[str], fold: Mapping[str, int], seed: int) -> list[str]:
    """Return the case ids sorted by fold, then by a hash of seed and id."""
    return sorted(ids, key=lambda i: (fold.get(i, 0), _random_key(seed, i)))


@lru_cache(maxsize=100_000)  # called for every pair of arms
def _random_key(seed: int, case: str) -> str:
    return digest([seed, "race", case], 16)


def ladder_position(spec: Spec) -> int:
    """Return the position of an arm's tool on the ladder; an arm without a tool comes last."""
    return TOOLS.index(spec.tool) if spec.tool else len(TOOLS)
