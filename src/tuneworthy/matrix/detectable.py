"""What differences rows can show, and how many rows a difference needs. Pure.

For the audit before anything is measured, and for the verdict's words on its own pairs.
"""

from __future__ import annotations

from math import ceil, sqrt
from statistics import NormalDist

from tuneworthy.matrix.design import split_factor
from tuneworthy.matrix.sizing import is_graded, observed_width_factor
from tuneworthy.records.audit_report import DetectableDifference
from tuneworthy.records.evidence import Pair
from tuneworthy.records.interval import ALPHA
from tuneworthy.records.split import Split
from tuneworthy.stats import bounds, power
from tuneworthy.stats.graded import EXACT_BELOW, discordant_bounds
from tuneworthy.stats.power import POWER_QUANTILES

ASSUMED_DIFFERENCE_SHARE = 0.2
"""Assumed share of rows on which two arms differ, until it is measured."""
_STABLE_ARM_FACTOR = (
    1.3  # extra width of a stable arm's bound from the scatter of folds (simulated)
)


def error_level(look: int = 1, arms: int = 2) -> float:
    """Return the one-sided error of each bound of so many arms at this look, by Bonferroni."""
    return bounds.level(ALPHA, look, arms)


def visible_differences(split: Split, n: int, arms: int = 2, look: int = 1) -> DetectableDifference:
    """Return the smallest differences of prompts, and of fitted arms, that n rows show (power .8).

    At the level of a study of so many arms at that look, Bonferroni: arms that resemble each other
    show smaller ones. Recorded answers may have more rows. Copies of an input count as one row;
    rows of a group stand or fall together, and a group may be missing.
    """
    worth, at = max(1, round(n * split.worth)), error_level(look, arms)
    factor = split_factor(split) * (_STABLE_ARM_FACTOR if len(split.learning) > 1 else 1.0)

    def chance(gain: float, wide: float) -> float:
        if split.clustered and not split.only_copies:
            size = max(1, round(n / worth))
            return power.grouped_power(worth, size, ASSUMED_DIFFERENCE_SHARE, gain, at, wide)
        return power.exact_power(worth, ASSUMED_DIFFERENCE_SHARE, gain, at, wide)

    prompts, fitted = (
        power.smallest_shown(lambda gain, wide=wide: chance(gain, wide)) if n else None  # type: ignore[misc]
        for wide in (1.0, factor)
    )
    return DetectableDifference(
        n=n, d=ASSUMED_DIFFERENCE_SHARE, factor=round(factor, 4), prompts=prompts, fitted=fitted,
        arms=arms, look=look,
    )  # fmt: skip


def chance_shown(rows: int, gain: float, look: int) -> float:
    """Return the chance that so many independent rows show a true gain at this look."""
    return power.exact_power(rows, ASSUMED_DIFFERENCE_SHARE, gain, error_level(look))


def smallest_effect(n: int) -> float:
    """Return the smallest true difference that n independent rows show with power .8; at most 1."""
    return min(1.0, power.minimum_detectable_effect(n, ASSUMED_DIFFERENCE_SHARE))


def rows_for(margin: float) -> int:
    """Return how many independent rows show a difference of `margin` with power .8."""
    return power.rows_needed(ASSUMED_DIFFERENCE_SHARE, margin)


def rows_to_reach(margin: float, n: int, detectable: float) -> int:
    """Return how many rows detect a difference of `margin`, given that n detect `detectable`."""
    shown = n + POWER_QUANTILES**2
    return ceil(shown * (detectable / margin) ** 2 - POWER_QUANTILES**2)


def fresh_rows(n: int, look: int) -> int:
    """Return how many fresh rows would show as much as n rows at this look."""
    return power.equivalent_fresh_rows(n, look)


def detectable_by(pair: Pair, margin: float) -> tuple[float, float]:
    """Return (smallest difference that a pair can show, share of differing cases).

    The standard error is derived from the pair's bounds, which include groups, unstable folds and
    exact tests. A difference within their half-width is never shown.
    """
    z = NormalDist().inv_cdf(1 - pair.level)
    error, differ = _standard_error(pair, margin, z)
    return max(z, POWER_QUANTILES * sqrt(pair.n / (pair.n + POWER_QUANTILES**2))) * error, differ


def _standard_error(pair: Pair, margin: float, z: float) -> tuple[float, float]:
    """Return (standard error of a difference of at most the margin, share of differing cases).

    For graded scores it follows from the width alone. For 0/1 scores the width gives the ratio to
    the normal bound; if fewer than ten cases differ, exact bounds at the margin are used.
    """
    error = pair.standard_error
    if is_graded(pair):
        return error, pair.differ / pair.n
    net = abs(pair.wins - pair.losses) / pair.n
    shared, least = min(pair.wins, pair.losses) / pair.n, min(net, margin)
    differ = 2 * shared + least
    if pair.differ < EXACT_BELOW:
        counts = (shared + least) * pair.n, shared * pair.n
        low, high = discordant_bounds(*counts, pair.n, pair.level)
        return observed_width_factor(pair) * float(high - low) / 2 / z, differ
    plain = sqrt(max(0.0, pair.differ / pair.n - net**2) / pair.n)
    ratio = max(pair.factor, error / plain) if plain else pair.factor
    return ratio * sqrt(differ / pair.n), differ
