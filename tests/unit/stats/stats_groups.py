"""Studies of two arms on rows that come in groups: how often the shipped bounds of a pair break.

A world draws differences rival - named (R, n) and the group of each row; what is true is the mean
over groups drawn at random, every row counting alike. Where groups are near copies of an input,
the mean over distinct inputs is the same, but for one frequent input.
"""

import numpy as np

from tuneworthy.stats import bounds
from tuneworthy.stats.clusters import Groups

MARGIN = 0.05


def equal(groups, size):
    """Group numbers (n,) of so many groups of one size."""
    return np.repeat(np.arange(groups), size)


def zipf(groups, rows):
    """Group numbers of groups whose sizes fall as 1 / rank, about `rows` rows in all."""
    sizes = 1 / np.arange(1, groups + 1)
    return np.repeat(
        np.arange(groups), np.maximum(1, np.round(rows * sizes / sizes.sum())).astype(int)
    )


def singles(rows, sets, size):
    """Group numbers of single rows and of some sets of near-copies."""
    return np.concatenate([np.arange(rows), rows + np.repeat(np.arange(sets), size)])


def whole(rng, numbers, share, noise=0.0, loss=0.0):
    """The rival wins whole groups, a share of them, loses whole ones, and single rows by noise."""
    count = numbers.max() + 1
    u = rng.random(count)
    values = np.where(u < share, 1.0, np.where(u < share + loss, -1.0, 0.0))[numbers]
    if noise:
        own = rng.choice([-1.0, 0.0, 1.0], numbers.size, p=[noise / 2, 1 - noise, noise / 2])
        values = np.where(values == 0, own, values)
    return values


def apart(rng, numbers, one, other):
    """Each arm loses whole groups of its own: (R, n) differences of independent losses."""
    count = numbers.max() + 1
    return ((rng.random(count) >= one).astype(float) - (rng.random(count) >= other))[numbers]


def lossy(rng, numbers, share, sd=0.03):
    """Graded: the named arm fails totally in whole groups, beside small noise of every row."""
    gone = (rng.random(numbers.max() + 1) < share)[numbers]
    scores = np.clip(0.8 + rng.normal(0, sd, (2, numbers.size)), 0, 1)
    return scores[0] - np.where(gone, 0, scores[1])


def informative(rng, rows, large=0.1, wins=0.5):
    """Groups of 2 and of 20 rows, drawn until `rows` are there; the rival wins large ones."""
    sizes, values = [], []
    while sum(sizes) < rows:
        size = 20 if rng.random() < large else 2
        won = size == 20 and rng.random() < wins
        sizes.append(size)
        values.append(float(won))
    return np.repeat(values, sizes), np.repeat(np.arange(len(sizes)), sizes)


def mixed(rng, numbers, behind, half=0.1):
    """An ordinary pair: rows of a group share their luck in part; the rival is `behind`."""
    up, down = half - behind / 2, half + behind / 2
    kinds = np.array([-1.0, 0.0, 1.0])
    shares = [down, 1 - up - down, up]
    shared = rng.choice(kinds, numbers.max() + 1, p=shares)[numbers]
    own = rng.choice(kinds, numbers.size, p=shares)
    return np.where(rng.random(numbers.size) < 0.3, shared, own)


def copies(values, numbers):
    """The differences, and their groups as near copies."""
    return values, Groups(numbers, copies=True)


def frequent(rng, rows, share=0.2, wins=0.1):
    """Independent rows; one input is that share of them, and the rival wins it alone."""
    often = rng.random(rows) < share
    own = rng.choice([-1.0, 0.0, 1.0], rows, p=[wins / 2, 1 - wins, wins / 2])
    return copies(np.where(often, 1.0, own), np.where(often, rows, np.arange(rows)))


WORLDS = {
    **{
        f"whole groups won, {g} x {m}, {share:.0%}": (
            lambda rng, n=equal(g, m), p=share: (whole(rng, n, p), n), share)
        for g, m, share in ((10, 30, 0.12), (20, 15, 0.08), (5, 20, 0.25), (40, 5, 0.06),
                            (80, 5, 0.03), (200, 5, 0.02))
    },
    **{
        f"zipf sizes, {g} groups, {share:.0%} won": (
            lambda rng, n=zipf(g, 300), p=share: (whole(rng, n, p), n), share)
        for g, share in ((8, 0.12), (20, 0.12), (60, 0.08))
    },
    **{
        f"noise hides whole wins, {g} x {m}": (
            lambda rng, n=equal(g, m): (whole(rng, n, 0.08, 0.1), n), 0.08)
        for g, m in ((10, 30), (60, 5))
    },
    **{
        f"both lose whole groups, {g} x {m}": (
            lambda rng, n=equal(g, m): (apart(rng, n, 0.05, 0.10), n), 0.05)
        for g, m in ((20, 15), (60, 5))
    },
    **{
        f"sizes 2 and 20, large ones won, n {n}": (
            lambda rng, n=n: informative(rng, n), 0.1 * 0.5 * 20 / (0.1 * 20 + 0.9 * 2))
        for n in (100, 300)
    },
    **{
        f"graded, whole losses, {g} x {m}": (
            lambda rng, n=equal(g, m): (lossy(rng, n, 0.08), n), 0.08 * 0.8)
        for g, m in ((10, 30), (60, 5))
    },
    **{
        f"ordinary, {g} x {m}, 8 behind": (
            lambda rng, n=equal(g, m): (mixed(rng, n, 0.08), n), -0.08)
        for g, m in ((150, 2), (133, 3), (80, 5))
    },
    "280 rows and 10 pairs, equal": (
        lambda rng, n=singles(280, 10, 2): (mixed(rng, n, 0.0, 0.05), n), 0.0),
    "100 rows and 10 sets of 5, equal": (
        lambda rng, n=singles(100, 10, 5): (mixed(rng, n, 0.0, 0.05), n), 0.0),
    **{
        f"near copies, {a} rows and {b} sets of {m}, {share:.0%} won": (
            lambda rng, n=singles(a, b, m), p=share: copies(whole(rng, n, p), n), share)
        for a, b, m in ((77, 1, 3), (60, 1, 20), (100, 10, 5), (280, 10, 2))
        for share in (0.05, 0.15)
    },
    **{
        f"near copies, {a} rows and {b} sets of {m}, both lose": (
            lambda rng, n=singles(a, b, m): copies(apart(rng, n, 0.05, 0.10), n), 0.05)
        for a, b, m in ((77, 1, 3), (100, 10, 5))
    },
    **{
        f"near copies, graded, {a} rows and {b} sets of {m}": (
            lambda rng, n=singles(a, b, m): copies(lossy(rng, n, 0.08), n), 0.08 * 0.8)
        for a, b, m in ((77, 1, 3), (100, 10, 5))
    },
    "near copies, one frequent input, 100 rows": (lambda rng: frequent(rng, 100), 0.2),
}  # fmt: skip


def cell(rng, studies, world, level=None):
    """How often the upper bound lies below the truth, and is firm; both sides together cover."""
    draw, truth = WORLDS[world]
    level = level or bounds.level(0.05)
    found = []
    for _ in range(studies):
        values, numbers = draw(rng)
        found.append(bounds.paired(values, level, groups=numbers)[:3])
    mean, low, high = np.array(found).T
    firm = high <= MARGIN
    return {
        "broken": (high < truth - 1e-9).mean(),
        "broken below": (low > truth + 1e-9).mean(),
        "firm": firm.mean(),
        "firm and wrong": (firm & (truth > MARGIN + 1e-9)).mean(),
        "width": (high - mean).mean(),
    }


OWN = {
    f"{g} x {m} at {q}": (equal(g, m), q, rho)
    for g, m, q, rho in (
        (10, 30, 0.9, 1.0),
        (40, 5, 0.9, 1.0),
        (60, 5, 0.8, 0.5),
        (20, 15, 0.95, 1.0),
    )
}


def own(rng, studies, world):
    """How often an arm's own interval misses its true score; rows of a group share their luck."""
    numbers, q, shared = OWN[world]
    missed = 0
    for _ in range(studies):
        right = (rng.random(numbers.max() + 1) < q)[numbers]
        alone = rng.random(numbers.size) < q
        values = np.where(rng.random(numbers.size) < shared, right, alone).astype(float)
        _, low, high = bounds.mean_interval(values, groups=numbers)
        missed += not low - 1e-9 <= q <= high + 1e-9
    return {"covers two-sided": 1 - missed / studies}
