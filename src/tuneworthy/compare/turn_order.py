"""In which order cases and tools have their turn where a study may stop an arm early."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

from tuneworthy.core.record import digest
from tuneworthy.core.run import Spec
from tuneworthy.core.task import TOOLS


def in_turn(ids: Iterable[str], fold: Mapping[str, int], seed: int) -> list[str]:
    """Return cases fold by fold, each by a hash that knows no score and no place in a file."""
    return sorted(ids, key=lambda i: (fold.get(i, 0), _drawn(seed, i)))


@lru_cache(maxsize=100_000)  # every pair of arms is put in this order
def _drawn(seed: int, case: str) -> str:
    return digest([seed, "race", case], 16)


def rung(spec: Spec) -> int:
    """Return where the tool of an arm stands on the ladder; without a tool above all."""
    return TOOLS.index(spec.tool) if spec.tool else len(TOOLS)
