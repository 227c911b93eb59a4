"""E11: does a plain classifier do what a tuned model does?"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from _claim import figure, main, of_seeds, over_seeds, score_over_seeds
from _shared import clauses, greedy
from _tuning import SEEDS

from tuneworthy.lab.claim_results import Claim, Expected, Figure

CLAIM = Claim(
    number=11,
    name="simpler_tool",
    claim="For labels a tuned language model beats a plain classifier.",
    said="case studies of small tuned models",
    prediction="TF-IDF with logistic regression is not more than 5 points behind LoRA on 50 and on "
    "200 rows, and learns in less than a hundredth of the time.",
    refuted_if="LoRA is more than 5 points ahead on 50 or on 200 rows, or less than 100 times as "
    "slow.",
    design="Clause types (12 labels), 50, 100 and 200 rows that each of 3 seeds draws anew, the "
    "same rows for each learner, 200 test rows; a head on sentence vectors beside them.",
    expects=(
        Expected(figure="TF-IDF - LoRA, 50 rows", above=-0.05),
        Expected(figure="TF-IDF - LoRA, 200 rows", above=-0.05),
        Expected(figure="seconds of LoRA over TF-IDF, 200 rows", above=100.0),
    ),
    holds_if=(
        Expected(figure="TF-IDF - LoRA, 50 rows", below=0.0),
        Expected(figure="TF-IDF - LoRA, 200 rows", below=0.0),
    ),
)
COMPARES = {
    "TF-IDF - LoRA, 50 rows": "score on 50 rows: plain classifier minus tuned model",
    "TF-IDF - LoRA, 200 rows": "score on 200 rows: plain classifier minus tuned model",
}
FOUND = (
    "The classifier is ahead on average at every size, but the draws differ so much that "
    "LoRA may lead."
)
CAVEAT = "It learns in a tiny part of the time."
REDUCED = (
    "50 to 200 rows instead of 50 to 800",
    "one task of regular wording",
    "no head on sentence vectors: its encoder was not at hand",
)
SIZES, ARMS = (50, 100, 200), {"TF-IDF": "tfidf", "LoRA": "lora"}


def collect() -> dict[str, Any]:
    """Return scores and seconds by learner, size and seed."""
    runs = {
        name: {str(n): [clauses(arm, n, seed) for seed in SEEDS] for n in SIZES}
        for name, arm in ARMS.items()
    }
    return {
        "scores": {
            a: {n: [greedy(r) for r in rs] for n, rs in by.items()} for a, by in runs.items()
        },
        "seconds": {
            a: {n: [r["fit_seconds"] for r in rs] for n, rs in by.items()} for a, by in runs.items()
        },
    }


def figures(data: dict[str, Any]) -> list[Figure]:
    """Return the scores by size, the differences and the ratio of seconds."""
    out = []
    for size in map(str, SIZES):
        scores = {name: np.array(data["scores"][name][size], float) for name in ARMS}
        n = scores["LoRA"].shape[1]
        for name, values in scores.items():
            out.append(figure(f"{name}, {size} rows", score_over_seeds(values), n, len(SEEDS)))
        diff = over_seeds(scores["TF-IDF"] - scores["LoRA"])
        out.append(figure(f"TF-IDF - LoRA, {size} rows", diff, n, len(SEEDS)))
        seconds = [np.array(data["seconds"][name][size]) for name in ("LoRA", "TF-IDF")]
        ratio = tuple(np.exp(of_seeds(list(np.log(seconds[0] / seconds[1])))))
        out.append(figure(f"seconds of LoRA over TF-IDF, {size} rows", ratio, len(SEEDS),
                          len(SEEDS), "times"))  # fmt: skip
    return out


if __name__ == "__main__":
    main(sys.modules["__main__"])
