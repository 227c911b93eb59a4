"""What a look at the same cases costs of the error that all looks may spend. Imports nothing."""

from __future__ import annotations


def look_cost(looks: int) -> float:
    """Return the divisor of alpha for a look at the same cases: 1 for the first, then 2 L (L - 1).

    The first look is free, and any number of looks spends at most 1.5 alpha together: 1 / (2 L (L -
    1)) summed from the second look on is 1/2. With a divisor of L, ten looks would spend 2.9 alpha.
    """
    if looks < 1:
        raise ValueError(f"no level for look {looks}")
    return float(2 * looks * (looks - 1)) if looks > 1 else 1.0
