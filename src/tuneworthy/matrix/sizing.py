"""Forecast how many more rows make a verdict firm, and the chance that a number of rows does.

The chance is predictive: the mean on N rows is taken as normal around the mean observed on n, with
the uncertainty about the truth after n rows and the sampling noise of the new rows. Source: O'Hagan
et al. (2005), "Assurance in clinical trial design", with a flat prior. It is a forecast, never a
bound.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import hypot, sqrt
from typing import Any, NamedTuple, Protocol

import numpy as np

from tuneworthy.matrix.ladder import climb_many
from tuneworthy.records.counting import Bounded
from tuneworthy.records.further import LearningCurve
from tuneworthy.stats.distributions import normal_cdf, normal_quantile
from tuneworthy.stats.graded import discordant_bounds
from tuneworthy.stats.look_cost import look_cost
from tuneworthy.stats.many import nested_level

# A mean that differs from (wins - losses) / n beyond rounding has graded scores.
_GRADED_DISTANCE = 1e-5
POWER = 0.8  # the chance of settling that a forecast size must have
_LIKELY_CHANCE = 0.75  # below it a forecast reached the most rows that it tries
MIN_CHANCE = 0.25
"""No size is named if even `Assurance.far` rows have less chance: three of four such plans fail.
So it is if a rival is within a cheaper arm's margin, or the margin too small for the rows."""
_VERDICT_DRAWS = 2000  # verdicts that are drawn for a forecast
_BETTING_INFLATION = 1.5
"""Fresh inputs needed per row of a fixed sample: bounds that hold at every click are wider."""


class _PairedDifference(Bounded, Protocol):
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
        """Return by what factor cross-fitting widened the bounds; 1 if it did not."""

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

    @property
    def is_likely(self) -> bool:
        """Return whether the rows have the chance that was aimed at: they are not the most."""
        return self.chance >= _LIKELY_CHANCE

    def more(self, n: int) -> int:
        """Return how many scored rows are needed in addition to n; at least 1."""
        return max(1, self.rows - n)


@dataclass(frozen=True)
class Assurance:
    """A forecast of what more rows would show about a pair, with bounds at `level`.

    `observed` has rows. The pair is settled if the upper bound is at most `below`, or if the lower
    bound is above `above` and the mean at least `least`. `kept`: the answers to the present rows
    stay as they are, so that this look has paid for a part of the next one.
    """

    observed: _PairedDifference
    level: float
    below: float
    above: float
    least: float
    kept: bool = False

    @property
    def most_rows(self) -> int:
        """Return the labelling maximum: four times the present rows, or 1,000."""
        return max(4 * self.observed.n, 1000)

    def chance(self, rows: int) -> float:
        """Return the chance that the pair is settled at `rows` rows in all; 0 up to n."""
        n = self.observed.n
        if rows <= n:
            return 0.0
        return self._chance(self.sides(rows), sqrt(1 - n / rows))

    def chance_of_answers(self, worth: int) -> float:
        """Return the chance that more answers to the same rows settle the pair; 0 for no more.

        They make the rows `worth` as many as that. Means of several answers differ in part only, so
        bounds allow for a row that was not seen and differs wholly: about as far as those of n rows
        without a difference, beside the scatter of the means.
        """
        n = self.observed.n
        if worth <= n:
            return 0.0
        unseen = 1 - self.level ** (1 / n)
        down, up = (hypot(side, unseen) for side in self.sides(worth))
        return self._chance((down, up), sqrt(1 - n / worth))

    def chance_by_clicks(self, inputs: int) -> float:
        """Return the chance that `inputs` fresh inputs, clicked on one by one, settle the pair."""
        n, rows = self.observed.n, max(1, round(inputs / _BETTING_INFLATION))
        return self._chance(self.sides(rows, clicks=True), sqrt(1 + n / rows))

    def sides(self, rows: int, clicks: bool = False) -> tuple[float, float]:
        """Return (mean - lower bound, upper bound - mean) as forecast for `rows` rows in all.

        `clicks`: on so many fresh inputs alone, where no cross-fitting or group widens them.
        """
        if clicks:
            narrow = 1 / self.observed.factor if is_graded(self.observed) else 1.0
            return self._half_widths(rows, (narrow, narrow), self.level)
        level, n = self.level, self.observed.n
        if self.kept and rows > n:
            level = nested_level(((self.observed.level, n), (self.level, rows)))
        wide = (1.0, 1.0) if is_graded(self.observed) else _width_factors(self.observed)
        return self._half_widths(rows, wide, level)

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
    def spread(self) -> float:
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

    def _chance(self, sides: tuple[float, float], share: float) -> float:
        """Return the chance of settling if the mean scatters by `share` of its standard error."""
        mean, (down, up) = self.observed.mean, sides
        spread = max(share * self.spread, 1e-9)  # bounds may have no width
        under = normal_cdf((self.below - up - mean) / spread)
        over = normal_cdf((mean - max(self.least, self.above + down)) / spread)
        return min(1.0, float(under + over))

    def _half_widths(
        self, rows: int, wide: tuple[float, float], level: float
    ) -> tuple[float, float]:
        """Return (mean - lower bound, upper bound - mean) forecast for `rows` rows like those seen.

        `wide` has a factor for each side. With few differing rows the exact bounds tighten faster
        than the square root of the rows.
        """
        seen = self.observed
        if is_graded(seen):
            looks = normal_quantile(1 - level) / normal_quantile(1 - seen.level)
            by = float(looks * sqrt(seen.n / rows))
            return wide[0] * by * (seen.mean - seen.low), wide[1] * by * (seen.high - seen.mean)
        wins, losses = (k * rows / seen.n for k in (seen.wins, seen.losses))
        low, high = discordant_bounds(wins, losses, rows, level)
        return wide[0] * (seen.mean - float(low)), wide[1] * (float(high) - seen.mean)


@dataclass(frozen=True)
class VerdictAssurance(Assurance):
    """A forecast that more rows make a verdict firm: that no pair stays open beside the named arm.

    `pairs[s][b]` forecasts b - s, with the rungs s in the order of the ladder and the same arms
    first among b; None where both are one. The arms' means are taken as jointly normal. `observed`
    is the pair that is most open.
    """

    pairs: tuple[tuple[Assurance | None, ...], ...] = ()

    def chance(self, rows: int) -> float:
        """Return the chance that the verdict is firm at `rows` rows in all; 0 up to n."""
        n = self.observed.n
        return self._firm(rows, False, sqrt(1 - n / rows)) if rows > n else 0.0

    def chance_by_clicks(self, inputs: int) -> float:
        """Return the chance that `inputs` fresh inputs, clicked on one by one, settle all pairs."""
        rows = max(1, round(inputs / _BETTING_INFLATION))
        return self._firm(rows, True, sqrt(1 + self.observed.n / rows))

    def _firm(self, rows: int, clicks: bool, share: float) -> float:
        """Return the share of drawn verdicts on so many rows that are firm."""
        shape = (len(self.pairs), len(self.pairs[0]))
        down, up, shift, margin = np.zeros((4, *shape))
        for s, line in enumerate(self.pairs):
            for b, pair in enumerate(line):
                if pair is not None:
                    down[s, b], up[s, b] = pair.sides(rows, clicks)
                    shift[s, b], margin[s, b] = -pair.above, pair.below - pair.above
        ahead = [pair.observed.mean if pair else 0.0 for pair in self.pairs[0]]
        score = np.array(ahead) + share * self._scatter
        mean = score[:, None, :] - score[:, : shape[0], None] + shift
        return float(climb_many(mean, mean - down, mean + up, margin)[2].mean())

    @cached_property
    def _scatter(self) -> Any:
        """Return draws (_VERDICT_DRAWS, arms): how far an arm's lead on the first rung may be off.

        Two arms whose difference was not bounded are taken to be correlated by a half.
        """
        variance = np.full((len(self.pairs[0]),) * 2, np.nan)
        for s, line in enumerate(self.pairs):
            for b, pair in enumerate(line):
                variance[s, b] = variance[b, s] = pair.spread**2 if pair else 0.0
        own = variance[0]
        unknown = own[:, None] + own - np.sqrt(np.outer(own, own))
        variance = np.where(np.isnan(variance), unknown, variance)
        spread = (own[:, None] + own - variance) / 2
        values, vectors = np.linalg.eigh(spread)
        drawn = np.random.default_rng(20_251).standard_normal((_VERDICT_DRAWS // 2, own.size))
        both = np.concatenate([drawn, -drawn])
        return both @ (vectors * np.sqrt(np.maximum(values, 0))).T


class _MoreRows(NamedTuple):
    """How many rows are still to be collected, with the ends of its 80 % interval; 0: enough."""

    rows: int
    low: int
    high: int


def rows_to_collect(curve: LearningCurve, train: int | None) -> _MoreRows | None:
    """Return how many more rows a learner needs to beat its rival; None if its curve can't tell.

    All rows at hand count, also those that were not learnt from in a fold; `train` None: the
    largest size that was measured.
    """
    if curve.needed is None or curve.low is None or curve.high is None:
        return None
    have = train or max((point.rows for point in curve.points), default=0)
    return _MoreRows(*(max(0, round(n - have)) for n in (curve.needed, curve.low, curve.high)))


def superiority_assurance(
    seen: _PairedDifference, margin: float, level: float, shift: float = 0.0, kept: bool = False
) -> Assurance:
    """Return the forecast of showing that a rival gains the margin, or that it does not.

    `shift` is added to the difference.
    """
    return Assurance(seen, level, margin - shift, -shift, margin - shift, kept)


def noninferiority_assurance(
    seen: _PairedDifference, margin: float, level: float, kept: bool = False
) -> Assurance:
    """Return the forecast of showing whether an arm is at most `margin` worse than another."""
    return Assurance(seen, level, -margin, -margin, -margin, kept)


def tail_at_look(tail: float, look: int, earlier: Sequence[tuple[int, float]] = ()) -> float:
    """Return the error of each bound at a look that continues `earlier` ones; `tail` at the first.

    Look L may add tail / `look_cost`(L). `earlier` has (look, part of this look's information) of
    each look at a part of the same answers, oldest first: what it spent is not paid for again.
    """
    seen = [(tail / look_cost(number), part) for number, part in earlier]
    return nested_level([*seen, (tail / look_cost(look), 1.0)])


def level_at_next_look(level: float, looks: int) -> float:
    """Return the error level at the next look of a bound that has `level` at look `looks`."""
    return level * look_cost(looks) / look_cost(looks + 1)


def is_graded(seen: _PairedDifference) -> bool:
    """Return whether a pair has graded scores (not only 0 and 1), as far as its mean shows."""
    return abs(seen.mean - (seen.wins - seen.losses) / seen.n) > _GRADED_DISTANCE


def observed_width_factor(seen: _PairedDifference) -> float:
    """Return by what factor a 0/1 pair's bounds exceed those of independent rows; at least 1.

    Cross-fitting, unstable folds, groups and looks at every row widen them. Rounded to two
    decimals, because the bounds are rounded.
    """
    plain = sum(_sides_if_independent(seen.wins, seen.losses, seen.n, seen.level))
    return max(1.0, seen.factor, round((seen.high - seen.low) / plain, 2))


def _width_factors(seen: _PairedDifference) -> tuple[float, float]:
    """Return (lower, upper) factors by which a 0/1 pair's bounds exceed independent rows'.

    Groups widen the sides differently: a group that was not observed may hold nothing but losses. A
    side that ends at -1 or 1 was cut there, so the other side's factor counts for it as well.
    """
    low, _ = _sides_if_independent(seen.wins, seen.losses, seen.n, seen.low_level or seen.level)
    _, high = _sides_if_independent(seen.wins, seen.losses, seen.n, seen.level)
    down = max(1.0, seen.factor, round((seen.mean - seen.low) / low, 2))
    up = max(1.0, seen.factor, round((seen.high - seen.mean) / high, 2))
    return max(down, up) if seen.low <= -1 else down, max(down, up) if seen.high >= 1 else up


@lru_cache(maxsize=256)  # a search over sizes asks for the same pair again and again
def _sides_if_independent(wins: int, losses: int, n: int, level: float) -> tuple[float, float]:
    low, high = discordant_bounds(wins, losses, n, level)
    mean = (wins - losses) / n
    return max(mean - float(low), 1e-9), max(float(high) - mean, 1e-9)
