"""Estimators of a mean paired difference by study, and the rule's word on each."""

from __future__ import annotations

from typing import Any

import numpy as np

from tuneworthy.stats.bounds import level
from tuneworthy.stats.graded import discordant_bounds

Array = np.ndarray[Any, Any]
MARGIN, LEVEL = 0.05, level(0.05, 1, 2)


def adjusted(diff: Array, seen: Array, whole: Array, robust: bool) -> tuple[Array, Array]:
    """Return mean and standard error of each study (R, n), regressed on what foretells it.

    `robust`: each residual is divided by one minus its leverage (HC3); else by the degrees of
    freedom.
    """
    n, centre = diff.shape[1], seen - seen.mean(1, keepdims=True)
    off = diff - diff.mean(1, keepdims=True)
    gram = np.einsum("rni,rnj->rij", centre, centre) + 1e-6 * np.eye(seen.shape[2])
    slope = np.linalg.solve(gram, np.einsum("rni,rn->ri", centre, off)[..., None])[..., 0]
    rest = off - np.einsum("rni,ri->rn", centre, slope)
    error = np.sqrt((rest**2).sum(1) / (n - 1 - seen.shape[2]) / n)
    if robust:
        solved = np.linalg.solve(gram, centre.transpose(0, 2, 1))
        leverage = 1 / n + np.einsum("rni,rin->rn", centre, solved)
        weight = 1 / n + np.einsum("ri,rin->rn", whole - seen.mean(1), solved)
        error = np.sqrt(((weight * rest / (1 - leverage)) ** 2).sum(1))
    return diff.mean(1) + ((whole - seen.mean(1)) * slope).sum(1), error


def stratified(diff: Array, strata: Array, share: Array) -> tuple[Array, Array]:
    """Return mean and standard error, each stratum weighted by its share of the population."""
    mean, variance = np.zeros(len(diff)), np.zeros(len(diff))
    every = diff.mean(1)
    for at, weight in enumerate(share):
        inside = strata == at
        count = inside.sum(1)
        one = np.where(count > 0, (diff * inside).sum(1) / np.maximum(count, 1), every)
        spread = (inside * (diff - one[:, None]) ** 2).sum(1) / np.maximum(count - 1, 1)
        spread = np.where(count > 1, spread, diff.var(1))
        mean, variance = mean + weight * one, variance + weight**2 * spread / np.maximum(count, 1)
    return mean, np.sqrt(variance)


def judged(diff: Array, truth: float, found: tuple[Array, Array] | None = None,
           tail: float = LEVEL) -> tuple[Array, Array]:  # fmt: skip
    """Return whether each study is firm, and whether it errs."""
    n, plain = diff.shape[1], diff.mean(1)
    low, high = discordant_bounds((diff > 0).sum(1), (diff < 0).sum(1), n, tail)
    mean, by = plain, np.ones(len(diff))
    if found is not None:
        mean, by = found[0], found[1] / np.maximum(diff.std(1, ddof=1) / np.sqrt(n), 1e-9)
    low, high = mean + by * (low - plain), mean + by * (high - plain)
    beats = (low > 0) & (mean >= MARGIN - 1e-9)
    return beats | (high <= MARGIN), np.where(beats, truth <= 0, high < truth)
