"""Simulated studies on the same cases, one after the other: what paying by look is worth.

Nothing is truly gained in any world, so naming the changed arm over the first one is an error.
`free` pays nothing, `by look` divides alpha by the look (as 0.1.0 did), `paid` by `look_cost`.
"""

import numpy as np
from scipy.stats import norm
from stats_worlds import answers

from tuneworthy.stats import bounds
from tuneworthy.stats.betting import BettingTest
from tuneworthy.stats.graded import discordant_bounds
from tuneworthy.stats.look_cost import look_cost

ALPHA, LOCKED = 0.05, 0.2
REDONE = 0.2  # the share of rows that a tweak answers anew
SHOWN = 5  # failing rows that are read, and memorised, at a look
PAYMENTS = {"free": lambda look: 1.0, "by look": float, "paid": look_cost}
SIZES = (10, 20)  # looks


def level(look, payment):
    """The level of a bound between two finalists at a look."""
    return bounds.level(ALPHA, 1, 2) / PAYMENTS[payment](look)


def beats(arm, first, at):
    """(R,) whether an arm's 0/1 scores (R, n) are shown above those of the first arm."""
    wins, losses = (arm & ~first).sum(1), (first & ~arm).sum(1)
    n = arm.shape[1]
    kinds, place = np.unique(wins * (n + 1) + losses, return_inverse=True)
    low, _ = discordant_bounds(kinds // (n + 1), kinds % (n + 1), n, at)
    return (np.asarray(low) > 0)[place]


class _Cases:
    """Cases of a latent difficulty; an arm's answers to them can be drawn again."""

    def __init__(self, rng, runs, n, rho, q):
        self.rng, self.shape, self.rho = rng, (runs, n), rho
        self.hard, self.line = rng.standard_normal(self.shape), norm.ppf(q)

    def drawn(self, gain=0.0):
        own = self.rng.standard_normal(self.shape)
        value = np.sqrt(self.rho) * self.hard + np.sqrt(1 - self.rho) * own
        return value < norm.ppf(norm.cdf(self.line) + gain)


def climbed(rng, runs, n, rho, q=0.75, looks=10, keep="better", locked=0.0):
    """Scores of the first arm, and of the arm after each look (looks, R, n).

    Each look answers a fifth of the rows anew; the whole is kept where its mean is `better`, or
    where it is better by more than a standard error (`ladder`, Blum & Hardt). The first `locked`
    share of the rows is not looked at for that.
    """
    shut = round(locked * n)
    cases = _Cases(rng, runs, n, rho, q)
    first, arm, seen = cases.drawn(), cases.drawn(), []
    for _ in range(looks):
        tried = np.where(rng.random((runs, n)) < REDONE, cases.drawn(), arm)
        diff = (tried.astype(float) - arm)[:, shut:]
        least = diff.std(1, ddof=1) / np.sqrt(n - shut) if keep == "ladder" else 0.0
        arm = np.where((diff.mean(1) > least)[:, None], tried, arm)
        seen.append(arm)
    return first, np.stack(seen)


def fresh_arms(rng, runs, n, rho, q=0.75, looks=10):
    """Scores of the first arm, and of a further arm, no better, at each look (looks, R, n)."""
    scores = answers(rng, runs, n, (q,) * (looks + 1), rho)
    return scores[..., 0], np.moveaxis(scores[..., 1:], 2, 0)


def memorised(rng, runs, n, rho, q=0.75, looks=10):
    """Scores where five failing rows of the open part are read and got right after each look.

    The arm is the first one with a fifth of its rows answered anew. The first fifth of the rows is
    locked: nobody reads them, so nothing of them is memorised.
    """
    cases = _Cases(rng, runs, n, rho, q)
    first, seen = cases.drawn(), []
    arm = np.where(rng.random((runs, n)) < REDONE, cases.drawn(), first)
    shut = np.arange(n) < round(LOCKED * n)
    for _ in range(looks):
        seen.append(arm.copy())
        order = np.where(~arm & ~shut, rng.random((runs, n)), 2.0)
        read = np.argsort(order, 1)[:, :SHOWN]
        np.put_along_axis(arm, read, True, 1)
    return first, np.stack(seen)


def wrong(first, seen, payment):
    """Shares of runs in which some look errs, and in which the last one names the best so far."""
    looks = len(seen)
    named = [beats(seen[k - 1], first, level(k, payment)) for k in range(1, looks + 1)]
    best = seen.mean(2).argmax(0)
    arm = seen[best, np.arange(best.size)]
    last = beats(arm, first, level(looks, payment))
    return {f"any, {payment}": np.any(named, 0).mean(), f"k-th, {payment}": last.mean()}


def unlocked(first, seen):
    """Share of runs in which the best so far on the open rows is named on the locked ones.

    The locked rows are looked at once, however many looks the open ones had.
    """
    shut = round(LOCKED * first.shape[1])
    best = seen[..., shut:].mean(2).argmax(0)
    arm = seen[best, np.arange(best.size)][:, :shut]
    return {"unlocked once": beats(arm, first[:, :shut], level(1, "paid")).mean()}


def gain_found(rng, runs, n, rho, q=0.75, step=0.02, look=5):
    """Share of runs in which `look` tweaks, each worth `step`, are named at that look."""
    cases = _Cases(rng, runs, n, rho, q)
    first, arm = cases.drawn(), cases.drawn(step * look)
    named = {how: beats(arm, first, level(look, how)).mean() for how in PAYMENTS}
    return {f"found at look {look}, {how}": float(share) for how, share in named.items()}


def _summed(rng, studies, make, judge, chunk=100):
    parts, sizes = [], []
    while studies > 0:
        size = min(chunk, studies)
        parts.append(judge(*make(rng, size)))
        sizes.append(size)
        studies -= size
    return {key: float(np.average([p[key] for p in parts], weights=sizes)) for key in parts[0]}


def _paid(first, seen):
    return {k: v for how in PAYMENTS for k, v in wrong(first, seen, how).items()}


def _open_and_locked(first, seen):
    shut = round(LOCKED * first.shape[1])
    at = {k: beats(seen[k - 1][:, shut:], first[:, shut:], level(k, "paid")) for k in (2, 5, 10)}
    return {f"memorised, named at look {k}": v.mean() for k, v in at.items()} | unlocked(
        first, seen
    )


def cells(rng, studies, n, rho, q=0.75):
    """Yield (name, figures) of every world at one number of rows and one correlation."""

    def world(make, judge, **more):
        return _summed(rng, studies, lambda r, size: make(r, size, n, rho, q, **more), judge)

    for looks in SIZES:
        yield f"fresh arms, {looks} looks", world(fresh_arms, _paid, looks=looks)
        yield f"tweaks kept, {looks} looks", world(climbed, _paid, looks=looks)
        ladder = world(climbed, _paid, looks=looks, keep="ladder")
        yield f"tweaks kept, ladder, {looks} looks", ladder
        shut = world(climbed, unlocked, looks=looks, locked=LOCKED)
        yield f"tweaks kept, a fifth locked, {looks} looks", shut
    yield "failing rows memorised", world(memorised, _open_and_locked)
    found = gain_found(rng, studies, n, rho, q)
    yield "a true gain of 2 points a look", found


def not_rejected(streams, candidates, alpha):
    """(R, T, M) whether stream R has not rejected a candidate mean (M,) after its value T."""
    bets = BettingTest(candidates, alpha, len(streams))
    return np.stack([bets.see(now, streams.shape[1]).copy() for now in streams.T], 1)
