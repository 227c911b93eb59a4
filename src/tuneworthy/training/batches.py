"""Shuffle the training rows of an epoch. Knows no model."""

from __future__ import annotations

import numpy as np


def order(count: int, seed: int, epoch: int) -> list[int]:
    """Return the row indexes 0 .. count - 1, shuffled by seed and epoch alone."""
    return [int(i) for i in np.random.default_rng([seed, epoch]).permutation(count)]
