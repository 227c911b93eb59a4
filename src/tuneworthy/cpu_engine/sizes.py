"""Sizes that the engine pads to. Imports no compiler, so that the general path can use it."""

from __future__ import annotations

RUN = 32  # the length of a row of scores is padded to a multiple: a remainder loop is slow
ROUND = 8  # row lengths are padded to a multiple: oneDNN compiles each new shape, and caches few


def whole(count: int, most: int | None = None) -> int:
    """Return `count` rounded up to a multiple of 32, but at most `most`."""
    runs = -(-count // RUN) * RUN
    return runs if most is None else min(runs, most)
