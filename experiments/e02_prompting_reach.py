"""E2: how much of what tuning gains does a better prompt reach?"""

from __future__ import annotations

import sys
from statistics import fmean
from typing import Any

import numpy as np
from _claim import figure, main
from _shared import CLAUSES, clauses, greedy, seeds_of, tickets
from _tuning import SEEDS, Ask, answers, suite_rows

from tuneworthy.lab.claim_results import Claim, Expected, Figure
from tuneworthy.stats.power import ratio_of_means

CLAIM = Claim(
    number=2,
    name="prompting_reach",
    claim="A better prompt reaches 80 to 90 % of what tuning gains.",
    said="advice to exhaust prompting before tuning",
    prediction="With a model of 135M parameters eight examples, fixed or near ones, reach less "
    "than 80 % of the tuned gain on labels and on a house voice.",
    refuted_if="The share lies above 80 % on labels or on the voice.",
    design="Share = (best prompt - plain prompt) / (LoRA - plain prompt) on support tickets, "
    "clause types and house voice; the best prompt is the one that scores best on the test rows, "
    "which favours prompting; LoRA is the mean of 3 seeds.",
    expects=(
        Expected(figure="share of the gain, labels", below=0.8),
        Expected(figure="share of the gain, house voice", below=0.8),
    ),
    holds_if=(
        Expected(figure="share of the gain, labels", above=0.8),
        Expected(figure="share of the gain, house voice", above=0.8),
    ),
)
REDUCED = ("one model size of two: no larger model is at hand", "100 test rows of house voice")
VOICE, ROWS = 120, 300


def _voice(arm: str, seed: int = 0) -> dict[str, Any]:
    options = {"epochs": 2} if arm == "lora" else {}
    return answers(suite_rows("house_voice", ROWS), Ask(arm, VOICE, seed, options))


def collect() -> dict[str, Any]:
    """Return the scores of the plain prompt, two better ones and LoRA by task."""
    prompts = ("zero_shot", "few_shot", "nearest_shots")
    asked = {
        "format": (lambda arm: tickets(arm), lambda seed: tickets("lora", seed)),
        "labels": (lambda arm: clauses(arm, CLAUSES), lambda s: clauses("lora", CLAUSES, s)),
        "house voice": (_voice, lambda seed: _voice("lora", seed)),
    }
    return {
        task: {**{arm: greedy(ask(arm)) for arm in prompts}, "lora": seeds_of(tuned)}
        for task, (ask, tuned) in asked.items()
    }


def figures(data: dict[str, Any]) -> list[Figure]:
    """Return the scores by task, and the share of the gain with its bootstrap interval."""
    out = []
    for task, told in data.items():
        plain = np.array(told["zero_shot"])
        best = max(("few_shot", "nearest_shots"), key=lambda name: fmean(told[name]))
        tuned = np.array(told["lora"]).mean(0)
        for shown, scores in (("plain prompt", plain), ("best prompt", np.array(told[best])),
                              ("LoRA", tuned)):  # fmt: skip
            half = 1.96 * float(scores.std(ddof=1)) / len(scores) ** 0.5
            mean = float(scores.mean())
            out.append(figure(f"{shown}, {task}", (mean, mean - half, mean + half), len(plain),
                              len(SEEDS) if shown == "LoRA" else 1))  # fmt: skip
        gain = tuned - plain
        found = ratio_of_means(np.array(told[best]) - plain, gain) if gain.mean() else None
        share = found or (0.0, -99.0, 99.0)
        out.append(figure(f"share of the gain, {task}", share, len(plain), len(SEEDS), "share"))
    return out


if __name__ == "__main__":
    main(sys.modules["__main__"])
