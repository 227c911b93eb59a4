"""Studies with several arms a tool: the best of each tool on all rows stands for it, as shipped."""

import numpy as np
import stats_folded as folded
import stats_graded as graded
import stats_groups as groups
import stats_worlds as worlds
from scipy.stats import norm

from tuneworthy.matrix import ladder
from tuneworthy.stats import bounds, many

MARGIN = 0.05


def one_tool(arms, keep=0.7, level=0.7, gain=0.08):
    """True scores of what runs today and of so many prompts, one of them better by `gain`."""
    return (keep, *(level,) * (arms - 1), level + gain)


ONE = {
    **{f"{arms} prompts, one +8": one_tool(arms) for arms in (2, 3, 6, 12, 16)},
    **{f"{arms} prompts, all equal": one_tool(arms, gain=0.0) for arms in (2, 6, 12, 16)},
    "12 prompts, what runs today +9": one_tool(12, 0.79, gain=0.0),
    "12 prompts, rising": (0.7, *np.linspace(0.66, 0.78, 12)),
}


def placed(mean, high, scores, tools):
    """(mean, low, high) of rungs by rivals, and which arm each rival is: the best of a tool first.

    `tools` (A,) numbers each arm's tool, simplest first; ties go to the first arm.
    """
    found = scores.mean(1).round(9)
    first = np.stack([
        np.where(tools == tool, found, -1.0).argmax(1) for tool in np.unique(tools)
    ], 1)  # fmt: skip
    rest = [[a for a in range(tools.size) if a not in set(row)] for row in first]
    who = np.concatenate([first, np.array(rest, int).reshape(len(first), -1)], 1)
    studies = np.arange(len(who))[:, None, None]
    at = (studies, first[:, :, None], who[:, None, :])
    low = -high.swapaxes(1, 2)
    return (mean[at], low[at], high[at]), who


def judged(q, parts, scores, tools, margin):
    """Outcome of the rule where one arm a tool stands on the ladder; all arms count as rivals."""
    three, who = placed(parts[0], parts[2], scores, tools)
    rung, left, firm = ladder.climb_many(*three, margin)
    named = np.take_along_axis(who, rung[:, None], 1)[:, 0]
    truth = np.take_along_axis(q, who, 1)
    return {**worlds.outcome(truth, (rung, left, firm), margin), "named": named}


def outcome(parts, keys=("firm", "broken", "firm and wrong", "needless", "left")):
    """Means of several chunks of studies, weighted by their size."""
    sizes = [size for size, _ in parts]
    return {key: np.average([cell[key] for _, cell in parts], weights=sizes) for key in keys}


def cell(rng, studies, n, truth, rho, margin=MARGIN, chunk=100):
    """0/1 scores of recorded arms: what runs today, then arms of one tool."""
    tools, parts, inside = np.array([0] + [1] * (len(truth) - 1)), [], []
    for start in range(0, studies, chunk):
        size = min(chunk, studies - start)
        q = np.broadcast_to(np.asarray(truth, float), (size, len(truth)))
        scores = worlds.answers(rng, size, n, q, rho)
        found = judged(q, worlds.pair_bounds(scores, bounds.level(0.05)), scores, tools, margin)
        inside += [_covered(s, named, t, tools) for s, named, t in
                   zip(scores, found["named"], q, strict=True)]  # fmt: skip
        parts.append((size, found))
    return {**outcome(parts), "covers": np.mean(inside)}


def _covered(scores, named, truth, tools):
    """Whether the named arm's own interval, which pays for the choice in its tool, holds."""
    values = scores[:, named].astype(float)
    _, low, high = bounds.mean_interval(values, bounds.CHOSEN_ARM_LEVEL)
    rivals = scores[:, tools == tools[named]].astype(float)
    if rivals.shape[1] > 1:
        level = 2 * many.best_of_many_level(many.covariance(rivals), bounds.CHOSEN_ARM_LEVEL / 2)
        low = min(low, bounds.mean_interval(values, level)[1])
    return low <= truth[named] <= high


def graded_cell(rng, studies, n, truth, rho, family, margin=MARGIN, chunk=100):
    """Scores between 0 and 1: what runs today, then arms of one tool."""
    tools, parts = np.array([0] + [1] * (len(truth) - 1)), []
    for start in range(0, studies, chunk):
        size = min(chunk, studies - start)
        scores, true = graded.answers(rng, size, n, truth, rho, family)
        q = np.broadcast_to(true, (size, len(truth)))
        found = graded.pair_bounds(scores, bounds.level(0.05))
        parts.append((size, judged(q, found, scores, tools, margin)))
    return outcome(parts)


def grouped_cell(rng, studies, numbers, truth, shared, margin=MARGIN, chunk=50):
    """0/1 scores whose luck is shared by a group: `shared` of the rows follow their group."""
    tools, parts, level = np.array([0] + [1] * (len(truth) - 1)), [], bounds.level(0.05)
    arms, cuts = len(truth), norm.ppf(truth)
    for start in range(0, studies, chunk):
        size = min(chunk, studies - start)
        own = worlds.latent(rng, (size, numbers.size, arms), worlds.FAR)
        whole = worlds.latent(rng, (size, numbers.max() + 1, arms), worlds.FAR)[:, numbers]
        follows = rng.random((size, numbers.size, arms)) < shared
        scores = (np.where(follows, whole, own) < cuts).astype(float)
        q = np.broadcast_to(np.asarray(truth, float), (size, arms))
        high = _grouped(scores, numbers, level)
        mean = scores.mean(1)[:, None, :] - scores.mean(1)[:, :, None]
        parts.append((size, judged(q, (mean, None, high), scores, tools, margin)))
    return outcome(parts)


def _grouped(scores, numbers, tail):
    def upper(levels):
        high = np.zeros((len(scores), scores.shape[2], scores.shape[2]))
        for at, study in enumerate(scores):
            for s in range(study.shape[1]):
                for b in range(study.shape[1]):
                    if s != b:
                        diffs, level = study[:, b] - study[:, s], levels[at, b]
                        high[at, s, b] = bounds.paired(diffs, level, groups=numbers).high
        return high

    return worlds.jointly(scores, tail, upper, numbers)


GROUPED = {
    "keep and 2 prompts equal, 60 x 5": (groups.equal(60, 5), (0.8, 0.8, 0.8), 0.7),
    "keep and 2 prompts equal, 20 x 15": (groups.equal(20, 15), (0.8, 0.8, 0.8), 0.7),
    "keep, 2 prompts, one +8, 100 x 3": (groups.equal(100, 3), (0.7, 0.7, 0.78), 0.5),
}


def fitted_cell(rng, studies, n, truth, rho, k=5, sd=0.02, margin=MARGIN, chunk=100):
    """What runs today (recorded), then arms of one tool that are trained anew in every fold."""
    tools, parts, fits = np.array([0] + [1] * (len(truth) - 1)), [], len(truth) - 1
    factor = bounds.width_factor(k, n / k, n - n / k)
    for start in range(0, studies, chunk):
        size = min(chunk, studies - start)
        scores, folds, q = folded.study(rng, size, n, truth, rho, k, sd, 2, fits)
        found = folded.pair_bounds(scores, folds, bounds.level(0.05), factor, fits)
        parts.append((size, judged(q, found, scores, tools, margin)))
    return outcome(parts)
