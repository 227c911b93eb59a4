"""The rows of each training step, their order, and their grouping. Knows no model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tuneworthy.models._runs import balanced
from tuneworthy.training.render import Rendered

_WORTH = 8  # minimum tokens of a shared prompt: below it the overhead exceeds the saving


def order(count: int, seed: int, epoch: int) -> list[int]:
    """Return the order of `count` rows in one epoch: a pure function of its arguments."""
    return [int(i) for i in np.random.default_rng([seed, epoch]).permutation(count)]


def shared_length(rows: Sequence[Rendered]) -> int:
    """Return how many first tokens all rows share untrained; 0 if sharing does not pay.

    One prompt token a row is excluded, because the first answer token is predicted from it.
    """
    if len(rows) < 2:
        return 0
    length = min(row.first for row in rows) - 1
    lead = rows[0].ids
    for row in rows[1:]:
        while length > 0 and row.ids[:length] != lead[:length]:
            same = next(i for i in range(length) if row.ids[i] != lead[i])
            length = same
    return length if length >= _WORTH else 0


def parts(
    rows: Sequence[Rendered], budget: int, skipped: int = 0, count: int = 1
) -> list[list[int]]:
    """Return indices of `rows` in groups of similar length and similar cost.

    At most `budget` padded tokens each; a row above it is a group of its own. `skipped` first
    tokens of every row are not counted (the shared prompt). `count` groups run in parallel, so
    there are that many, or a multiple, if there are enough rows.
    """
    ranked = sorted(range(len(rows)), key=lambda i: (-len(rows[i].ids), i))
    costs = [len(rows[i].ids) - skipped for i in ranked]
    return [[ranked[k] for k in run] for run in balanced(costs, len(rows), budget, count)]
