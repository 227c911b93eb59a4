"""E9: do a few clean rows beat many noisy ones?"""

from __future__ import annotations

import sys
from random import Random
from typing import Any

import numpy as np
from _claim import figure, main, over_seeds, score_over_seeds
from _shared import greedy
from _tuning import SEEDS, Ask, answers, suite_rows

from tuneworthy.lab.claim_results import Claim, Expected, Figure
from tuneworthy.records.case import Case

CLAIM = Claim(
    number=9,
    name="clean_against_noisy",
    claim="A few clean rows beat many noisy ones.",
    said="advice on the quality of training data",
    prediction="A fifth of the rows, all clean, teaches a classifier and LoRA better than five "
    "times as many with 40 % wrong labels.",
    refuted_if="The noisy rows teach one of the two better.",
    design="Clause types; a wrong label is drawn evenly from the other eleven; TF-IDF on 100 clean "
    "or 500 noisy rows (20 draws), LoRA on 30 clean or 150 noisy rows (3 seeds), 3 epochs each.",
    expects=(
        Expected(figure="clean - noisy, classifier", above=0.0),
        Expected(figure="clean - noisy, LoRA", above=0.0),
    ),
    holds_if=(
        Expected(figure="clean - noisy, classifier", above=0.0),
        Expected(figure="clean - noisy, LoRA", above=0.0),
    ),
)
COMPARES = {
    "clean - noisy, classifier": "score of a classifier: few clean rows minus many noisy ones",
    "clean - noisy, LoRA": "score of LoRA: few clean rows minus many noisy ones",
}
FOUND = "A classifier learns more from the few clean rows, LoRA from five times as many noisy ones."
REDUCED = ("LoRA on 30 and 150 rows instead of 100 and 500", "no mixed output formats")
NOISE, DRAWN = 0.4, tuple(range(20))
CLEAN = (100, 30)  # clean rows of the classifier and of LoRA


def _part(pool: Any, n: int, seed: int, noisy: bool) -> tuple[Case, ...]:
    """Return n rows, the same ones for clean and noisy as far as they go."""
    rng = Random(f"noise {seed}")
    rows = rng.sample(list(pool), n if noisy else 5 * n)[:n]
    if not noisy:
        return tuple(rows)
    labels = sorted({case.output for case in pool})
    wrong = set(rng.sample(range(n), round(NOISE * n)))
    return tuple(
        case.model_copy(update={"output": rng.choice([x for x in labels if x != case.output])})
        if at in wrong else case
        for at, case in enumerate(rows)
    )  # fmt: skip


def collect() -> dict[str, Any]:
    """Return the scores of each learner on clean and on noisy rows by seed."""
    data: dict[str, Any] = {}
    for name, arm, clean, rows, seeds, options in (
        ("classifier", "tfidf", CLEAN[0], suite_rows("clause_type", 900), DRAWN, {}),
        ("LoRA", "lora", CLEAN[1], suite_rows("clause_type"), SEEDS, {"epochs": 3}),
    ):
        for kind, n in (("clean", clean), ("noisy", 5 * clean)):
            data[f"{name} {kind}"] = [
                greedy(answers(rows, Ask(arm, n, seed, options, tag=kind,
                                         train=_part(rows.pool, n, seed, kind == "noisy"))))
                for seed in seeds
            ]  # fmt: skip
    return data


def figures(data: dict[str, Any]) -> list[Figure]:
    """Return the scores and the differences."""
    out = []
    for name in ("classifier", "LoRA"):
        clean, noisy = (np.array(data[f"{name} {kind}"], float) for kind in ("clean", "noisy"))
        seeds, n = clean.shape
        out.append(figure(f"{name} on clean rows", score_over_seeds(clean), n, seeds))
        out.append(figure(f"{name} on noisy rows", score_over_seeds(noisy), n, seeds))
        out.append(figure(f"clean - noisy, {name}", over_seeds(clean - noisy), n, seeds))
    return out


if __name__ == "__main__":
    main(sys.modules["__main__"])
