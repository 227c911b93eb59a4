"""Sizes that the engine pads to. Imports no compiler, so that the general path may ask."""

from __future__ import annotations

RUN = 32  # rows of scores are padded to a multiple of this: a remainder loop is slow
ROUND = 8  # lengths are rounded up to it: oneDNN compiles each new shape, and caches few


def whole(count: int, most: int | None = None) -> int:
    """Return `count` rounded up to a multiple of 32, `most` at most."""
    runs = -(-count // RUN) * RUN
    return runs if most is None else min(runs, most)
