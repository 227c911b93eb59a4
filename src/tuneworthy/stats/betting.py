"""A confidence sequence for a mean in [-1, 1]: valid at every look, for any number of rows."""

from __future__ import annotations

from math import inf, log
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


class BettingTest:
    """Betting test of which candidate means fit streams whose values arrive one at a time.

    `living` (R, M) is True for each of the `candidates` (M,) in [-1, 1] that each of R streams has
    not rejected: until the wealth of a bet against the candidate reaches 1 / alpha. Source: hedged
    betting of Waudby-Smith and Ramdas, arXiv 2010.09686; bets depend on past values only.
    """

    def __init__(self, candidates: Array, alpha: float, streams: int = 1) -> None:
        self._m = (np.asarray(candidates, float) + 1) / 2
        self._alpha, self._seen = alpha, 0
        self._up, self._down = np.zeros((streams, self._m.size)), np.zeros((streams, self._m.size))
        self._total, self._squares, self._variance = (
            np.full((streams, 1), start) for start in (0.5, 0.25, 0.25)
        )
        self.living = np.ones((streams, self._m.size), bool)
        self._bet = slice(0, self._m.size)

    def rows_left(self, stream: int, at: int, values: Array, n_plan: int) -> float:
        """Return roughly how many more rows like `values` a stream needs to reject a candidate.

        `at` is the candidate's index; 0 if it is already rejected, inf if bets on such values lose.
        """
        if not self.living[stream, at]:
            return 0.0
        x, m = (values + 1) / 2, self._m[at]
        bet = float(np.sqrt(2 * log(2 / self._alpha) / (self._variance[stream, 0] * n_plan)))
        sides = (
            (self._up[stream, at], np.log1p(min(bet, 0.5 / max(m, 1e-9)) * (x - m)).mean()),
            (self._down[stream, at], np.log1p(-min(bet, 0.5 / max(1 - m, 1e-9)) * (x - m)).mean()),
        )
        goal = log(2 / self._alpha)
        return float(
            min(max(goal - log_wealth, 0) / gain if gain > 0 else inf for log_wealth, gain in sides)
        )

    def see(self, values: Array | float, n_plan: int | Array, kept: float | Array = 1.0) -> Array:
        """Add the next value in [-1, 1] of each stream and return `living`.

        The bet is sized for `n_plan` values in all (or (R, 1): one per stream). `kept` is the least
        share of a mean that the values show: wrong clicks pull it towards 0, so that a candidate m
        stands for any mean of the values from `kept` * m to m. Both may differ from call to call if
        they depend only on earlier values: the sequence stays valid.
        """
        x = (np.asarray(values, float).reshape(-1, 1) + 1) / 2
        bet = np.sqrt(2 * log(2 / self._alpha) / (self._variance * n_plan))
        on = self._bet
        up, down, m = self._up[:, on], self._down[:, on], self._m[on]
        pulled = 0.5 + kept * (m - 0.5)
        most, least = np.maximum(m, pulled), np.minimum(m, pulled)
        up += np.log1p(np.minimum(bet, 0.5 / np.maximum(most, 1e-9)) * (x - most))
        down += np.log1p(-np.minimum(bet, 0.5 / np.maximum(1 - least, 1e-9)) * (x - least))
        alive = self.living[:, on] & (np.maximum(up, down) + log(0.5) < log(1 / self._alpha))
        self.living = np.zeros_like(self.living)
        self.living[:, on] = alive
        self._bet = _living_slice(
            alive, on
        )  # candidates that every stream rejected need no more bets
        self._seen += 1
        self._total = self._total + x
        mean = self._total / (self._seen + 1)
        self._squares = self._squares + (x - mean) ** 2
        self._variance = self._squares / (self._seen + 1)
        return self.living


def _living_slice(living: Array, of: slice) -> slice:
    """Return the smallest slice in `of` that holds each candidate living in any stream."""
    there = np.flatnonzero(living.any(0))
    if not there.size:
        return slice(of.start, of.start)
    return slice(of.start + int(there[0]), of.start + int(there[-1]) + 1)


def candidate_means(step: float = 0.001) -> Array:
    """Return the candidate means from -1 to 1, `step` apart."""
    return np.arange(0, 1 + step / 4, step / 2) * 2 - 1


class ConfidenceSequence:
    """Bounds on the mean of differences in [-1, 1], updated value by value and valid at each.

    `level` is that of each one-sided bound. A difference may be known only as a range, if nobody
    could say which answer is right: each bound then uses the end of the range on its own side.
    """

    def __init__(self, level: float, step: float = 0.001) -> None:
        self._candidates = candidate_means(step)
        self._bets = BettingTest(self._candidates, 2 * level, streams=2)
        self.low, self.high = -1.0, 1.0
        self.n, self.wins, self.losses, self.differ = 0, 0, 0, 0
        self._seen: list[float] = []

    def see(self, least: float, most: float, n_plan: int, kept: float = 1.0) -> None:
        """Add the next difference, from `least` to `most`; the rest as in `BettingTest.see`."""
        living = self._bets.see(np.array([least, most]), n_plan, kept)
        below, above = (np.flatnonzero(row) for row in living)
        self.low = float(self._candidates[below[0]]) if below.size else self.low
        self.high = float(self._candidates[above[-1]]) if above.size else self.high
        self.n += 1
        self._seen.append((least + most) / 2)
        self.wins += least > 0
        self.losses += most < 0
        self.differ += (least, most) != (0.0, 0.0)

    @property
    def mean(self) -> float:
        """Return the mean so far (a range counts by its midpoint), 0 before the first value."""
        return float(np.mean(self._seen)) if self._seen else 0.0

    def rows_left(self, targets: tuple[float, ...], before: Array, n_plan: int) -> float:
        """Return roughly how many more rows move a bound past the first of the `targets` (means).

        Future rows are assumed to resemble those so far and `before`, an earlier sample; inf if no
        number of such rows suffices.
        """
        values = np.concatenate([before, self._seen])
        if not values.size:
            return inf
        places = [int(np.abs(self._candidates - target).argmin()) for target in targets]
        return min(self._bets.rows_left(1, at, values, n_plan) for at in places)
