"""E14: does LoRA prevent forgetting?"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from _claim import figure, main, of_seeds, score_over_seeds
from _shared import FEW, HIGH, clauses, greedy
from _tuning import SEEDS, rise

from tuneworthy.lab.claim_results import Claim, Expected, Figure

CLAIM = Claim(
    number=14,
    name="lora_against_full",
    claim="LoRA prevents forgetting.",
    said="introductions to low-rank adapters",
    prediction="LoRA raises the loss on general text less than full tuning does at the usual "
    "rates, but at five times its rate it raises it by more than 1 %.",
    refuted_if="LoRA costs at least as much as full tuning, or nothing at the high rate.",
    design="Clause types, 100 rows, 3 epochs, 3 seeds: LoRA at its usual rate and at .005, full "
    "tuning at a tenth of LoRA's rate; loss on 64 general texts, scores beside it.",
    expects=(
        Expected(figure="rise by full tuning - rise by LoRA", above=0.0),
        Expected(figure="rise by LoRA at the high rate", above=0.01),
    ),
    holds_if=(
        Expected(figure="rise by LoRA", below=0.01),
        Expected(figure="rise by full tuning - rise by LoRA", above=0.0),
    ),
    beside="On another page LoRA lowered a loss: there it learnt tickets, and the loss is that of "
    "16 fixed answers to everyday questions, in nats a token. Here it learnt clause types, and "
    "the 64 texts were sampled from the untrained model itself, which favours that model.",
    beside_page="kinds",
)
COMPARES = {
    "rise by LoRA": "loss on general text: its rise by LoRA, as a share of that before",
    "rise by full tuning - rise by LoRA": "rise by full tuning minus rise by LoRA",
}
FOUND = (
    "Training by LoRA raises the loss on general text by much more than the hundredth that would "
    "count as none."
)
CAVEAT = (
    "Whether it costs less than full tuning is open: at its usual rate it points the other way, "
    "with scores alike."
)
REDUCED = ("scores are reported beside the loss, not matched",)
RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    "LoRA": ("lora", {}), "full tuning": ("full", {}),
    "LoRA at the high rate": ("lora", {"rate": HIGH}),
}  # fmt: skip


def collect() -> dict[str, Any]:
    """Return the rise of the loss and the scores by method and seed."""
    data: dict[str, Any] = {}
    for name, (arm, options) in RUNS.items():
        runs = [clauses(arm, FEW, seed, **options) for seed in SEEDS]
        data[name] = {"rise": [rise(run["side"]) for run in runs],
                      "scores": [greedy(run) for run in runs]}  # fmt: skip
    return data


def figures(data: dict[str, Any]) -> list[Figure]:
    """Return the rises, their difference and the scores."""
    out = []
    for name in RUNS:
        loss, scores = of_seeds(data[name]["rise"]), data[name]["scores"]
        out.append(figure(f"rise by {name}", loss, 64, len(SEEDS), "share"))
        out.append(figure(f"score of {name}", score_over_seeds(scores), len(scores[0]), len(SEEDS)))
    apart = np.array(data["full tuning"]["rise"]) - np.array(data["LoRA"]["rise"])
    out.append(figure("rise by full tuning - rise by LoRA", of_seeds(list(apart)), 64, len(SEEDS),
                      "share"))  # fmt: skip
    return out


if __name__ == "__main__":
    main(sys.modules["__main__"])
