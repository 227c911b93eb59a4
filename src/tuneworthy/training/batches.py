"""The order in which an epoch sees its rows. Knows no model."""

from __future__ import annotations

import numpy as np


def order(count: int, seed: int, epoch: int) -> list[int]:
    """Return the order of `count` rows in one epoch: a pure function of its arguments."""
    return [int(i) for i in np.random.default_rng([seed, epoch]).permutation(count)]
