"""Forecast how many more rows settle a pair of arms, and the chance that a number of rows does.

The chance is predictive: the mean on N rows is taken as normal around the mean observed on n, with
the uncertainty about the truth after n rows and the sampling noise of the new rows. Source: O'Hagan
et al. (2005), "Assurance in clinical trial design", with a flat prior. It is a forecast, never a
bound.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from functools import lru_cache
from math import sqrt
from typing import NamedTuple, Protocol

from tuneworthy.core.counting import Bounded
from tuneworthy.stats import bounds
from tuneworthy.stats.discordant import discordant_bounds
from tuneworthy.stats.distributions import normal_cdf, normal_quantile

# A mean that differs from (wins - losses) / n beyond rounding has graded scores.
GRADED_DISTANCE = 1e-5
POWER = 0.8  # the chance of settling that a forecast size must have
MIN_CHANCE = 0.25
"""No size is named if even `Assurance.far` rows have less chance: three of four such plans fail.
So it is if a rival is within a cheaper arm's margin, or the margin too small for the rows."""
BETTING_INFLATION = 1.5
"""Fresh inputs needed per row of a fixed sample: bounds that hold at every click are wider."""


class PairedDifference(Bounded, Protocol):
    """A paired difference on n rows with one-sided bounds: `high` at `level`, `low` at `low_level`.

    `factor` is the width factor of cross-fitting that the bounds include.
    """

    @property
    def n(self) -> int:
        """Return the number of rows."""

    @property
    def level(self) -> float:
        """Return the one-sided error level of the upper bound."""

    @property
    def low_level(self) -> float | None:
        """Return the one-sided error level of the lower bound, None if it is `level` too."""

    @property
    def factor(self) -> float:
        """Return the width factor."""

    @property
    def wins(self) -> int:
        """Return the number of rows with a difference above 0."""

    @property
    def losses(self) -> int:
        """Return the number of rows with a difference below 0."""

    @property
    def differ(self) -> int:
        """Return the number of rows with a difference."""


class SampleSize(NamedTuple):
    """Sizes that settle a pair with a chance of 0.8, at most the labelling maximum.

    `inputs`: fresh inputs whose answers are judged one by one, by the arms as they are. `rows`:
    rows in all, scored as the pair was, so that cross-fitting, unstable folds and groups widen its
    bounds there too. `chance`: that `rows` settle it; `sooner`: that twice the present rows do,
    None if `rows` is no more.
    """

    inputs: int
    rows: int
    chance: float
    sooner: float | None

    def more(self, n: int) -> int:
        """Return how many scored rows are needed in addition to n; at least 1."""
        return max(1, self.rows - n)


@dataclass(frozen=True)
class Assurance:
    """A forecast of what more rows would show about a pair, with bounds at `level`.

    `observed` has rows. The pair is settled if the upper bound is at most `below`, or if the lower
    bound is above `above` and the mean at least `least`.
    """

    observed: PairedDifference
    level: float
    below: float
    above: float
    least: float

    @property
    def most_rows(self) -> int:
        """Return the labelling maximum: four times the present rows, or 1,000."""
        return max(4 * self.observed.n, 1000)

    def chance(self, rows: int) -> float:
        """Return the chance that the pair is settled at `rows` rows in all; 0 up to n."""
        n = self.observed.n
        if rows <= n:
            return 0.0
        wide = (1.0, 1.0) if is_graded(self.observed) else _width_factors(self.observed)
        spread = self._spread * sqrt(1 - n / rows)
        return self._chance(rows, wide, spread)

    def chance_by_clicks(self, inputs: int) -> float:
        """Return the chance that `inputs` fresh inputs, clicked on one by one, settle the pair."""
        n, rows = self.observed.n, max(1, round(inputs / BETTING_INFLATION))
        narrow = 1 / self.observed.factor if is_graded(self.observed) else 1.0
        return self._chance(rows, (narrow, narrow), self._spread * sqrt(1 + n / rows))

    @property
    def inputs(self) -> int:
        """Return how many fresh inputs settle the pair with chance 0.8, at most `most_rows`."""
        return 1 + bisect_left(range(1, self.most_rows), POWER, key=self.chance_by_clicks)

    def size(self) -> SampleSize | None:
        """Return the size for a chance of 0.8; None if even `most_rows` have little chance."""
        n, most = self.observed.n, self.most_rows
        if self.chance(most) < MIN_CHANCE:
            return None
        rows = n + 1 + bisect_left(range(n + 1, most), POWER, key=self.chance)
        sooner = self.chance(2 * n) if 2 * n < rows else None
        return SampleSize(self.inputs, rows, self.chance(rows), sooner)

    @property
    def _spread(self) -> float:
        """Return the standard error of the observed mean; one extra differing row keeps it above 0.

        It includes groups and unstable folds. It excludes the factor of cross-fitting: that makes
        bounds safe, and the mean itself scatters less.
        """
        seen = self.observed
        if is_graded(seen):
            z = float(normal_quantile(1 - seen.level))
            return (seen.high - seen.low) / 2 / z / seen.factor
        variance = (seen.differ + 1) / seen.n - seen.mean**2
        return observed_width_factor(seen) / seen.factor * sqrt(variance / seen.n)

    def _chance(self, rows: int, wide: tuple[float, float], spread: float) -> float:
        mean, (down, up) = self.observed.mean, self._half_widths(rows, wide)
        spread = max(spread, 1e-9)  # bounds may have no width
        under = normal_cdf((self.below - up - mean) / spread)
        over = normal_cdf((mean - max(self.least, self.above + down)) / spread)
        return min(1.0, float(under + over))

    def _half_widths(self, rows: int, wide: tuple[float, float]) -> tuple[float, float]:
        """Return (distance of the lower, of the upper bound) from the mean on `rows` similar rows.

        `wide` has a factor for each side. With few differing rows the exact bounds tighten faster
        than the square root of the rows.
        """
        seen = self.observed
        if is_graded(seen):
            looks = normal_quantile(1 - self.level) / normal_quantile(1 - seen.level)
            by = float(looks * sqrt(seen.n / rows))
            return wide[0] * by * (seen.mean - seen.low), wide[1] * by * (seen.high - seen.mean)
        wins, losses = (k * rows / seen.n for k in (seen.wins, seen.losses))
        low, high = discordant_bounds(wins, losses, rows, self.level)
        return wide[0] * (seen.mean - float(low)), wide[1] * (float(high) - seen.mean)


def superiority_assurance(
    seen: PairedDifference, margin: float, level: float, shift: float = 0.0
) -> Assurance:
    """Return the forecast of showing a rival better by the margin, or not worth the climb.

    `shift` is added to the difference.
    """
    return Assurance(seen, level, margin - shift, -shift, margin - shift)


def noninferiority_assurance(seen: PairedDifference, margin: float, level: float) -> Assurance:
    """Return the forecast of showing an arm at most `margin` worse than another, or worse."""
    return Assurance(seen, level, -margin, -margin, -margin)


def level_at_next_look(level: float, looks: int) -> float:
    """Return the error level, at the next look, of a bound that has `level` at this look."""
    return level * bounds.look_cost(looks) / bounds.look_cost(looks + 1)


def is_graded(seen: PairedDifference) -> bool:
    """Return whether a pair has graded scores (not only 0 and 1), as far as its mean shows."""
    return abs(seen.mean - (seen.wins - seen.losses) / seen.n) > GRADED_DISTANCE


def observed_width_factor(seen: PairedDifference) -> float:
    """Return by what factor a 0/1 pair's bounds exceed those of independent rows; at least 1.

    Cross-fitting, unstable folds, groups and looks at every row widen them. Rounded to two
    decimals, because the bounds are rounded.
    """
    plain = sum(_plain_sides(seen.wins, seen.losses, seen.n, seen.level))
    return max(1.0, seen.factor, round((seen.high - seen.low) / plain, 2))


def _width_factors(seen: PairedDifference) -> tuple[float, float]:
    """Return (lower, upper) factors by which a 0/1 pair's bounds exceed independent rows'.

    Groups widen the sides differently: a group that was not observed may hold nothing but losses. A
    side that ends at -1 or 1 was cut there, so the other side's factor counts for it as well.
    """
    low, _ = _plain_sides(seen.wins, seen.losses, seen.n, seen.low_level or seen.level)
    _, high = _plain_sides(seen.wins, seen.losses, seen.n, seen.level)
    down = max(1.0, seen.factor, round((seen.mean - seen.low) / low, 2))
    up = max(1.0, seen.factor, round((seen.high - seen.mean) / high, 2))
    return max(down, up) if seen.low <= -1 else down, max(down, up) if seen.high >= 1 else up


@lru_cache(maxsize=256)  # a search over sizes asks for the same pair again and again
def _plain_sides(wins: int, losses: int, n: int, level: float) -> tuple[float, float]:
    low, high = discordant_bounds(wins, losses, n, level)
    mean = (wins - losses) / n
    return max(mean - float(low), 1e-9), max(float(high) - mean, 1e-9)
