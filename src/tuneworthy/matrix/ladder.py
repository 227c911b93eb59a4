"""The ladder rule: climb only if the rung below is beaten; report how much may be left."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]
IN_BETWEEN = 0.4
"""An arm that gains a smaller part of what the best one gains over a beaten arm is passed over. At
.5 an arm that is no better than a simpler one is firm in up to 5.7 % of studies, at .4 in 4.6."""


class Rung(NamedTuple):
    """The chosen arm, and `left`: the upper bound of how much better another arm may be.

    `firm`: no other arm may be better by more than the margin. `passed`: the simpler arms that are
    not shown to be beaten.
    """

    name: str
    left: float
    firm: bool
    passed: tuple[str, ...] = ()


def climb(
    order: Sequence[str],
    bounds: Mapping[tuple[str, str], tuple[float, ...]],
    margin: float | Callable[[str, str], float],
    others: Sequence[str] = (),
) -> Rung:
    """Return the simplest rung that no other arm beats and that is not passed over.

    `order`: the rungs, simplest first; `others` are arms that were compared but have no rung.
    `bounds[b, s]` starts with (mean, low, high) of b - s, one-sided bounds. `margin`: smallest gain
    worth a climb, or `margin(s, b)` for a climb from s to b. s is beaten if some b has low > 0 and
    mean >= margin. A rung above s is passed over if it gains less than IN_BETWEEN of what such a b
    gains over s. Raises ValueError for no rungs.
    """
    if not order:
        raise ValueError("no arm to name")
    rivals = (*order, *others)
    asked = margin if callable(margin) else lambda s, b: margin
    table = [[(*bounds[b, s][:3], asked(s, b)) if b != s else (0.0,) * 4 for b in rivals]
             for s in order]  # fmt: skip
    mean, low, high, margins = np.moveaxis(np.array(table), -1, 0)
    (rung, left, firm), beaten = climb_many(mean, low, high, margins), _beats(mean, low, margins)
    passed = (order[at] for at in range(int(rung)) if not beaten[at].any())
    return Rung(order[int(rung)], float(left), bool(firm), tuple(passed))


def climb_many(
    mean: Array, low: Array, high: Array, margin: Array | float
) -> tuple[Array, Array, Array]:
    """Return (rung number, score left, firm) of many studies at once, as arrays (...).

    Arrays are (..., S, B): entry [s, b] is about b - s, the S rungs simplest first and the same
    arms first among the B rivals; the diagonal is 0 and never beats. `margin` broadcasts. If all
    rungs are beaten, the last one is returned.
    """
    beats = _beats(mean, low, margin)
    unbeaten, rungs = ~beats.any(-1), beats.shape[-2]
    most = np.where(beats, mean, -np.inf).max(-1, keepdims=True)
    passed = np.triu(mean[..., :rungs] < IN_BETWEEN * most, 1).any(-2)
    best = unbeaten & ~passed
    best = np.where(best.any(-1, keepdims=True), best, unbeaten)
    rung = np.where(best.any(-1), best.argmax(-1), rungs - 1)
    at = rung[..., None, None]
    above = np.take_along_axis(high, at, -2)[..., 0, :]
    allowed = np.take_along_axis(np.broadcast_to(margin, high.shape), at, -2)[..., 0, :]
    own = np.arange(high.shape[-1]) == rung[..., None]
    left = np.maximum(np.where(own, 0.0, above), 0.0).max(-1)
    return rung, left, (own | (above <= allowed)).all(-1)


def _beats(mean: Array, low: Array, margin: Array | float) -> Array:
    return np.asarray((low > 0) & (mean >= margin))
