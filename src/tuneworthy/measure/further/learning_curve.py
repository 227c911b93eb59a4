"""Extrapolate a learner's score: how many rows it needs to reach a goal.

loss(n) = b / (n0 + n**beta) + e, the rectified scaling law of Lin et al. 2024 (arXiv 2402.02314):
flat while there are too few rows to learn from, then a power law, then a floor. Works on arrays
only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]

_BETAS = (0.15, 0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8)
_FLAT_SHARES = (0.0, 0.05, 0.1, 0.2, 0.5, 1.0, 3.0, 10.0)
"""n0 over nmax**beta: the part of the measured range before the bend."""
CURVE_DRAWS, INTERVAL_LEVEL = 400, 0.8
_WIDEST_RATIO = 4.0  # the largest ratio of an interval's ends
_FURTHEST_RATIO = 4.0  # how many times the rows at hand a curve is trusted
_LEAST_SIZES = 3  # minimum number of sizes; fewer say nothing about a bend
_STEEPER_SHARE = 0.8  # share of draws in which the last doubling gains more than the one before


class RowsNeeded(NamedTuple):
    """Rows needed with their 80 % interval; all None with the reason if the curve does not tell."""

    rows: float | None
    low: float | None
    high: float | None
    because: str = ""


class CurveScores(NamedTuple):
    """Scores of one learner at several sizes and the score that it must beat, cell by cell.

    A cell is one case in one repeat. `scores` [cells, sizes] and `rival` [cells] lie in [0, 1];
    `cases` and `repeats` [cells] are numbers from 0: the units of the bootstrap.
    """

    scores: Array
    rival: Array
    cases: Array
    repeats: Array


def rows_needed(
    sizes: Sequence[float], cells: CurveScores, margin: float, seed: int = 0
) -> RowsNeeded:
    """Return how many rows are needed to beat the rival by `margin`, or why that is unknown.

    Cases and repeats are resampled 400 times (with replacement, both ways at once). Each draw uses
    a curve sampled by its fit, so curves that these sizes can't tell apart widen the interval. None
    if the interval's ends differ by more than 4 times, if the rows exceed 4 times those at hand, or
    while the curve still steepens. Raises ValueError for sizes that do not rise.
    """
    x = np.asarray(sizes, float)
    if x.size and (x[0] <= 0 or (np.diff(x) <= 0).any()):
        raise ValueError(f"sizes must rise from above 0: {list(sizes)}")
    if x.size < _LEAST_SIZES:
        return RowsNeeded(
            None, None, None, f"{x.size} sizes were measured, {_LEAST_SIZES} are needed"
        )
    if not cells.rival.size:
        return RowsNeeded(None, None, None, "no case was scored beside the arm to beat")
    draws = _bootstrap_scores(cells, seed)
    losses, goal = 1 - draws[:, :-1], 1 - draws[:, -1] - margin
    needed = _rows_at_goal(x, losses, goal, seed)
    low, rows, high = (float(v) for v in _interval_quantiles(needed))
    if high <= x[-1]:  # reached within the rows at hand: no extrapolation
        return RowsNeeded(max(rows, x[0]), max(low, x[0]), max(high, x[0]))
    return _rows_untold(x, losses, (low, rows, high)) or RowsNeeded(rows, low, high)


def _interval_quantiles(rows: Array) -> Array:
    tail = (1 - INTERVAL_LEVEL) / 2
    return np.quantile(rows, [tail, 0.5, 1 - tail], method="inverted_cdf")


def _rows_untold(x: Array, losses: Array, three: tuple[float, float, float]) -> RowsNeeded | None:
    """Return a RowsNeeded of Nones and the reason if no number can be given; else None."""
    low, rows, high = three
    gains = losses[:, :-1] - losses[:, 1:]
    per = gains / np.diff(np.log2(x))  # per doubling, also if a size was left out
    if float(np.mean(per[:, -1] > per[:, -2])) >= _STEEPER_SHARE and per[:, -1].mean() > 0:
        return RowsNeeded(None, None, None, "pre-power: the curve still steepens, so more rows may "
                      "bring more than it shows; try more before concluding no")  # fmt: skip
    if rows > _FURTHEST_RATIO * x[-1]:
        return RowsNeeded(
            None,
            None,
            None,
            f"not within {_FURTHEST_RATIO:.0f} times the rows at hand, and "
            "further the curve is not trusted",
        )
    if high > _WIDEST_RATIO * max(low, x[0]):
        most = f"{high:,.0f}" if np.isfinite(high) else "any number"
        return RowsNeeded(
            None,
            None,
            None,
            f"these scores allow {max(low, x[0]):,.0f} to {most} rows "
            f"(80 %): wider than {_WIDEST_RATIO:.0f} times",
        )
    return None


def _bootstrap_scores(cells: CurveScores, seed: int) -> Array:
    """Return bootstrap mean scores [draws, sizes + 1 (the rival)] over cases and repeats.

    Seeds score the same cases: both are drawn at once and their weights multiplied (Owen 2007, the
    pigeonhole bootstrap). Under folds a case has one repeat, so drawing cases varies repeats as
    well; drawing both would count their noise twice (80 % intervals then held 96 %, simulated).
    """
    rng = np.random.default_rng(seed)
    table = np.column_stack([cells.scores, cells.rival])
    weights = np.ones((CURVE_DRAWS, table.shape[0]))
    both = np.unique(np.column_stack([cells.cases, cells.repeats]), axis=0)
    crossed = both.shape[0] > np.unique(cells.cases).size
    for numbers in (cells.cases, cells.repeats) if crossed else (cells.cases,):
        kinds = int(numbers.max()) + 1
        if kinds > 1:
            weights *= rng.multinomial(kinds, np.full(kinds, 1 / kinds), CURVE_DRAWS)[:, numbers]
    weights = weights[weights.sum(1) > 0]
    return np.asarray(weights @ table / weights.sum(1, keepdims=True))


def _rows_at_goal(x: Array, losses: Array, goal: Array, seed: int) -> Array:
    """Return for each draw the rows at which a sampled fitting curve reaches the goal, or inf."""
    shapes = [(beta, flat * x[-1] ** beta) for beta in _BETAS for flat in _FLAT_SHARES]
    whiten = _whitener(losses)
    fits = [_fit_shape(1 / (n0 + x**beta), losses, whiten) for beta, n0 in shapes]
    misfit = np.array([fit[2] for fit in fits])  # [shapes, draws]
    chance = np.exp(-0.5 * (misfit - misfit.min(0)))
    cut = chance.cumsum(0) / chance.sum(0)
    rng = np.random.default_rng([seed, 1])
    chosen = (cut < rng.random(losses.shape[0])).sum(0).clip(0, len(shapes) - 1)
    out = np.full(losses.shape[0], np.inf)
    for at, (beta, n0) in enumerate(shapes):
        mine = chosen == at
        b, e, _ = (part[mine] for part in fits[at])
        out[mine] = _rows_on_curve(b, e, goal[mine], (beta, n0))
    return out


def _rows_on_curve(b: Array, e: Array, goal: Array, shape: tuple[float, float]) -> Array:
    beta, n0 = shape
    left = goal - e
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        rows = np.maximum(b / left - n0, 0.0) ** (1 / beta)
    return np.asarray(np.where((left > 0) & (b > 0), rows, np.where(left > 0, 0.0, np.inf)))


def _whitener(losses: Array) -> Array:
    """Return W with W'W the inverse covariance of the drawn losses, with a small ridge.

    Sizes share their cases, so their losses are correlated; the ridge stops rounding errors from
    separating curves that no draw tells apart.
    """
    covariance = np.cov(losses, rowvar=False)
    ridge = 0.05 * float(np.mean(np.diag(covariance))) + 1e-8
    chol = np.linalg.cholesky(covariance + ridge * np.eye(losses.shape[1]))
    return np.asarray(np.linalg.inv(chol))


def _fit_shape(shape: Array, losses: Array, whiten: Array) -> tuple[Array, Array, Array]:
    """Return (b, e, misfit) of each draw for one shape by whitened least squares; b, e >= 0."""
    u, one, y = whiten @ shape, whiten @ np.ones_like(shape), losses @ whiten.T
    uu, u1, ones, uy, y1 = u @ u, u @ one, one @ one, y @ u, y @ one
    det = uu * ones - u1 * u1
    b, e = (uy * ones - y1 * u1) / det, (y1 * uu - uy * u1) / det
    floorless = np.maximum(uy / uu, 0.0)
    level = np.maximum(y1 / ones, 0.0)
    b, e = np.where(e < 0, floorless, b), np.maximum(e, 0.0)
    b, e = np.where(b < 0, 0.0, b), np.where(b < 0, level, e)
    residual = y - b[:, None] * u - e[:, None] * one
    return b, e, (residual * residual).sum(1)
