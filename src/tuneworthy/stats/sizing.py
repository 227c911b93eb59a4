"""How many rows settle a pair of arms: by its share of differing rows and by its own width."""

from __future__ import annotations

from math import ceil
from typing import NamedTuple, Protocol

from scipy.stats import norm

from tuneworthy.stats.discordant import FEW, discordant
from tuneworthy.stats.power import at_the_margin, rows_to_gap

GRADED = 1e-5  # a mean further from (wins - losses) / n than it is rounded comes from graded scores
LIMIT = 10**9  # rows beyond which no size is looked for


class Seen(Protocol):
    """A paired difference on n rows with one-sided bounds, each at `level`.

    `factor` is the width factor of cross-fitting that stands in them.
    """

    @property
    def n(self) -> int:
        """Return the rows."""

    @property
    def mean(self) -> float:
        """Return the mean difference."""

    @property
    def low(self) -> float:
        """Return the lower bound."""

    @property
    def high(self) -> float:
        """Return the upper bound."""

    @property
    def level(self) -> float:
        """Return the one-sided error level of each bound."""

    @property
    def factor(self) -> float:
        """Return the width factor."""

    @property
    def wins(self) -> int:
        """Return the rows with a difference above 0."""

    @property
    def losses(self) -> int:
        """Return the rows with a difference below 0."""

    @property
    def differ(self) -> int:
        """Return the rows with a difference."""


class Size(NamedTuple):
    """Rows in all after which a pair should be settled.

    `inputs` are fresh ones, answered by the arms as they stand; `rows` are scored as the pair was:
    cross-fitting, unstable folds and groups widen its bounds there, too.
    """

    inputs: int
    rows: int

    def more(self, n: int) -> int:
        """Return how many scored rows are still needed beside n; at least 1."""
        return max(1, self.rows - n)


def worth_it(seen: Seen, margin: float, level: float, shift: float = 0.0) -> Size | None:
    """Return the rows that settle whether a rival is worth it, with bounds at `level`.

    `shift` is added to the difference. Below the margin it is to be shown not worth it, from the
    margin on better. None at the margin: more rows won't settle it soon. `seen` has rows.
    """
    mean = seen.mean + shift
    if at_the_margin(mean, margin):
        return None
    return _size(seen, (margin if mean < margin else 0.0) - shift, level)


def within(seen: Seen, margin: float, level: float) -> Size | None:
    """Return the rows that show whether an arm is at most `margin` worse; None near that point."""
    if abs(seen.mean + margin) < margin / 5:
        return None
    return _size(seen, -margin, level)


def graded(seen: Seen) -> bool:
    """Return whether scores between 0 and 1 made this difference, as far as the mean tells."""
    return abs(seen.mean - (seen.wins - seen.losses) / seen.n) > GRADED


def widened(seen: Seen) -> float:
    """Return by how much a 0/1 pair's bounds are wider than those of independent rows; at least 1.

    Cross-fitting, unstable folds, groups and looks at every row widen them. To two places: the
    bounds are rounded.
    """
    low, high = discordant(seen.wins, seen.losses, seen.n, seen.level)
    plain = float(high) - float(low)
    return max(1.0, seen.factor, round((seen.high - seen.low) / plain, 2))


def _size(seen: Seen, goal: float, level: float) -> Size | None:
    """Return the rows after which the bound on the mean's side of `goal` should reach it.

    The share of differing rows sizes it, one such row at least. That is too few rows where the
    bound is not the score bound of independent rows; the larger of it and what the width asks for
    is taken.
    """
    gap = abs(goal - seen.mean)
    by_share = rows_to_gap(max(seen.differ, 1) / seen.n, gap, level)
    if by_share is None:
        return None
    if graded(seen):
        by_width = _as_wide(seen, goal, level)
        inputs = by_width / seen.factor**2 if seen.differ < FEW else 0
        return Size(max(by_share, ceil(inputs)), max(ceil(seen.factor**2 * by_share), by_width))
    wide = widened(seen)
    if seen.differ >= FEW:
        return Size(by_share, ceil(wide**2 * by_share))
    inputs, rows = (_exact(seen, goal, level, by) for by in (1.0, wide))
    return Size(max(by_share, inputs), max(ceil(wide**2 * by_share), rows))


def _as_wide(seen: Seen, goal: float, level: float) -> int:
    """Return the rows after which the half-width of a pair, shrunk by their root, is the gap."""
    half = seen.high - seen.mean if seen.mean < goal else seen.mean - seen.low
    looks = float(norm.ppf(1 - level) / norm.ppf(1 - seen.level))
    return ceil(seen.n * (half * looks / (goal - seen.mean)) ** 2)


def _exact(seen: Seen, goal: float, level: float, wide: float) -> int:
    """Return the rows after which the exact bound reaches `goal` if wins and losses keep up.

    Few differing rows: it falls with 1 / n at first, faster than a root.
    """
    side = int(seen.mean < goal)

    def reaches(rows: int) -> bool:
        wins, losses = (k * rows / seen.n for k in (seen.wins, seen.losses))
        bound = float(discordant(wins, losses, rows, level)[side])
        return wide * abs(bound - seen.mean) <= abs(goal - seen.mean)

    low, high = 0, 1
    while high < LIMIT and not reaches(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reaches(middle) else (middle, high)
    return high
