"""Simulated races: arms asked one after the other, each stopped where it cannot win any more."""

import numpy as np
import stats_worlds as worlds

from tuneworthy.matrix import ladder
from tuneworthy.stats import betting, bounds
from tuneworthy.stats.discordant import discordant_bounds

LOOKS, STEP = 10, 0.005
TRUTHS = {
    "equal, 2 arms": (0.8,) * 2,
    "equal, 5 arms": (0.8,) * 5,
    "the last just worth it, 2 arms": (0.70, 0.751),
    "the last just worth it, 4 arms": (0.70, 0.70, 0.70, 0.751),
    "simplest best": (0.85, 0.8, 0.8, 0.8, 0.8),
    "+15": (0.7, 0.7, 0.7, 0.7, 0.85),
}


def betting_at(diffs, level, at):
    """(low, high) of each stream (R, n) after `at` values each (L,): arrays (R, L)."""
    grid = np.arange(-1, 1 + STEP / 2, STEP)
    living = betting.not_rejected(diffs, grid, 2 * level, diffs.shape[1])[:, at - 1]
    none = ~living.any(2)
    low = grid[living.argmax(2)] - STEP
    high = grid[living.shape[2] - 1 - living[..., ::-1].argmax(2)] + STEP
    return np.where(none, -1, np.maximum(low, -1)), np.where(none, 1, np.minimum(high, 1))


def fixed_at(diffs, level, at):
    """The same with the bounds of a study that is looked at once."""
    wins, losses = ((diffs == sign).cumsum(1)[:, at - 1] for sign in (1, -1))
    found = [
        discordant_bounds(wins[:, k], losses[:, k], int(rows), level) for k, rows in enumerate(at)
    ]
    return tuple(np.stack([pair[side] for pair in found], 1) for side in (0, 1))


def race(scores, level, margin, bounds_at):
    """Stop each arm at the first look where no climb to it pays; (mean, low, high), rows asked.

    Arms are asked in order of simplicity, so an arm is compared with those before it. A pair is
    judged on the cases that both were asked.
    """
    runs, n, arms = scores.shape
    at = np.linspace(n / LOOKS, n, LOOKS).round().astype(int)
    mean, low, high = np.zeros((3, runs, arms, arms))
    last = np.full((runs, arms), LOOKS - 1)  # the look at which each arm stopped
    rows = np.arange(runs)
    for b in range(1, arms):
        found = {}
        for s in range(b):
            diffs = scores[..., b].astype(float) - scores[..., s]
            found[s] = (*bounds_at(diffs, level, at), diffs.cumsum(1)[:, at - 1] / at)
            seen = np.minimum(np.arange(LOOKS), last[:, s][:, None])
            out = np.take_along_axis(found[s][1], seen, 1) <= margin
            # a simpler arm that was stopped itself puts no other out
            out &= (last[:, s] == LOOKS - 1)[:, None]
            last[:, b] = np.minimum(last[:, b], np.where(out.any(1), out.argmax(1), LOOKS - 1))
        for s, (lows, highs, means) in found.items():
            look = np.minimum(last[:, b], last[:, s])
            for whole, part in ((mean, means), (low, lows), (high, highs)):
                whole[:, s, b] = part[rows, look]
            mean[:, b, s], low[:, b, s], high[:, b, s] = (
                -mean[:, s, b], -high[:, s, b], -low[:, s, b],
            )  # fmt: skip
    return (mean, low, high), at[last]


def cells(rng, studies, n, truth, rho, *, margin=0.05, chunk=125, peeked=True):
    """Yield the outcome with the betting bound and, to compare, with the fixed one."""
    level = bounds.level(0.05, 1, len(truth))  # no joint levels at every look: Bonferroni
    kinds = {"betting": betting_at} | ({"fixed, looked at ten times": fixed_at} if peeked else {})
    parts = {kind: [] for kind in kinds}
    for start in range(0, studies, chunk):
        scores = worlds.answers(rng, min(chunk, studies - start), n, truth, rho)
        for kind, bounds_at in kinds.items():
            pairs, asked = race(scores, level, margin, bounds_at)
            parts[kind].append((*ladder.climb_many(*pairs, margin), asked))
    for kind, found in parts.items():
        named, left, firm, asked = (np.concatenate([part[k] for part in found]) for k in range(4))
        cell = worlds.outcome(np.array(truth), (named, left, firm), margin)
        if kind != "betting":
            cell = {f"peeked {key}": value for key, value in cell.items()}
        yield kind, {**cell, "asked": asked[:, 1:].mean() / n}
