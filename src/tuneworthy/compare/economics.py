"""When a more expensive arm pays: break-even volume, paying margin, and their probability."""

from __future__ import annotations

from math import erfc, sqrt
from typing import Literal

Side = Literal["above", "below", "always", "never"]


def breakeven(
    dF: float,  # noqa: N803 - symbols of the formula
    H: float,  # noqa: N803
    dU: float,  # noqa: N803
    dc: float,
    v: float,
    dq: float,
) -> tuple[Side, float | None]:
    """Return the range of requests per month in which arm b pays against arm a: side and volume.

    dF, dU: one-off cost and monthly upkeep, b - a; H: months; dc: cost per request, a - b; v: value
    of one more right answer; dq: score, b - a. ("never", None) has no volume.
    """
    fixed, gain = dF / H + dU, dc + v * dq
    if gain > 0:
        return ("above", fixed / gain) if fixed > 0 else ("always", 0.0)
    if fixed >= 0:
        return "never", None
    return ("below", fixed / gain) if gain < 0 else ("always", 0.0)


def paying_margin(
    dF: float,  # noqa: N803
    H: float,  # noqa: N803
    dU: float,  # noqa: N803
    v: float,
    V: float,  # noqa: N803
) -> float:
    """Return the gain in right answers per request that pays for a climb; at least 0.

    V: requests per month. Raises ValueError if answers or requests are worth nothing.
    """
    if v * V <= 0:
        raise ValueError("the margin needs a value of a right answer and a volume above 0")
    return max(0.0, (dF / H + dU) / (v * V))


def chance_better(mean: float, se: float) -> float:
    """Return the probability that a difference of net values is above 0, by the normal law."""
    if se <= 0:
        return 0.5 if mean == 0 else float(mean > 0)
    return 0.5 * erfc(-mean / se / sqrt(2))  # `NormalDist` is 0 far below, and all would tie
