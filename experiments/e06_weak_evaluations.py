"""E6: how often does an evaluation on few rows name the worse system?

usage: e06_weak_evaluations.py FOLDER   FOLDER has banking77's train.jsonl and test.jsonl
"""

from __future__ import annotations

import sys
from itertools import combinations
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
from _claim import figure, main, unit

from tuneworthy.lab.claim_results import Claim, Expected, Figure
from tuneworthy.stats.bounds import level
from tuneworthy.stats.graded import discordant_bounds

CLAIM = Claim(
    number=6,
    name="weak_evaluations",
    claim="Thirty to a hundred examples are enough to see which system is better.",
    said="quick-start guides to evaluation",
    prediction="On 50 rows the truly better of two systems (2 to 10 points apart) is not ahead at "
    "least half as often as the normal approximation says, and a 95 % bound leaves the question "
    "open in more than half of the studies.",
    refuted_if="The better one fails to lead less than half as often as said, or half of the "
    "studies are decided.",
    design="Eight classifiers on 1,500 rows of a public set of 77 intents; every pair that is 2 to "
    "10 points apart, 2,000 samples of 30, 50 and 100 rows each; intervals by resampling pairs.",
    expects=(
        Expected(figure="not ahead, measured over predicted, 50 rows", above=0.5),
        Expected(figure="left open by the bound, 50 rows", above=0.5),
    ),
    holds_if=(
        Expected(figure="left open by the bound, 30 rows", below=0.5),
        Expected(figure="left open by the bound, 100 rows", below=0.5),
    ),
)
COMPARES = {"left open by the bound, 30 rows": "samples of 30 rows that leave the winner open",
            "left open by the bound, 100 rows": "the same for samples of 100 rows"}  # fmt: skip
FOUND = (
    "Small samples often rank the worse system first, and a bound mostly leaves the question open."
)
MODEL, MODELS = "eight scikit-learn classifiers", 8
SIZES, STUDIES, DRAWS = (30, 50, 100), 2000, 4000


def collect() -> dict[str, Any]:
    """Return for each pair its truth and the shares of studies by size."""
    from _bank_systems import Population

    if len(sys.argv) < 2 or not (Path(sys.argv[1]) / "train.jsonl").is_file():
        sys.exit("give the folder of banking77's train.jsonl and test.jsonl")
    return unit({"e": 6, "sizes": SIZES, "studies": STUDIES},
                lambda: _measured(Population(Path(sys.argv[1]))))  # fmt: skip


def _measured(people: Any) -> dict[str, Any]:
    right, rng, pairs = np.array(people.right, float), np.random.default_rng(6), []
    for a, b in combinations(range(len(right)), 2):
        diff = right[a] - right[b] if right[a].mean() > right[b].mean() else right[b] - right[a]
        if not 0.02 <= diff.mean() <= 0.10:
            continue
        told: dict[str, Any] = {"lead": float(diff.mean()), "differ": float((diff != 0).mean())}
        for n in SIZES:
            seen = diff[rng.integers(0, len(diff), (STUDIES, n))]
            low, high = discordant_bounds((seen > 0).sum(1), (seen < 0).sum(1), n, level(0.05))
            spread = float(diff.std()) / n**0.5
            told[str(n)] = {"behind": float((seen.mean(1) <= 0).mean()),
                            "predicted": NormalDist().cdf(-told["lead"] / spread),
                            "open": float(((low <= 0) & (high >= 0)).mean())}  # fmt: skip
        pairs.append(told)
    return {"pairs": pairs}


def figures(data: dict[str, Any]) -> list[Figure]:
    """Return the shares by size, over pairs."""
    pairs, out = data["pairs"], []
    drawn = np.random.default_rng(1).integers(0, len(pairs), (DRAWS, len(pairs)))
    for n in SIZES:
        behind, said, left = (np.array([pair[str(n)][key] for pair in pairs])
                              for key in ("behind", "predicted", "open"))  # fmt: skip
        for name, top, bottom in (
            (f"not ahead, {n} rows", behind, np.ones(len(pairs))),
            (f"not ahead, measured over predicted, {n} rows", behind, said),
            (f"left open by the bound, {n} rows", left, np.ones(len(pairs))),
        ):
            ratios = top[drawn].sum(1) / bottom[drawn].sum(1)
            low, high = np.quantile(ratios, (0.025, 0.975))
            out.append(
                figure(name, (top.sum() / bottom.sum(), low, high), len(pairs), unit="share")
            )
    return out


if __name__ == "__main__":
    main(sys.modules["__main__"])
