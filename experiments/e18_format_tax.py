"""E18: does a format call for tuning, or is a grammar enough?"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from _claim import figure, main, over_seeds, score_over_seeds
from _shared import tickets
from _tuning import SEEDS

from tuneworthy.lab.claim_results import Claim, Expected, Figure

CLAIM = Claim(
    number=18,
    name="format_tax",
    claim="A fixed output format calls for tuning.",
    said="lists of reasons to tune",
    prediction="At 135M parameters the schema as a grammar makes more than 95 % of the answers "
    "valid, but its content stays more than 5 points behind LoRA's: valid form has a price.",
    refuted_if="Less than 95 % are valid under the schema, or its content is within 5 points of "
    "LoRA's.",
    design="Support tickets to JSON, 160 rows to learn from, 200 test rows, greedy; score is the "
    "F1 over fields; the schema as a mask, and after a free draft; LoRA 2 epochs, 3 seeds.",
    expects=(
        Expected(figure="valid, schema", above=0.95),
        Expected(figure="score of LoRA - schema", above=0.05),
    ),
    holds_if=(Expected(figure="score of LoRA - schema", above=0.05),),
)
COMPARES = {
    "score of LoRA - schema": "score: tuned model minus untuned model under the schema",
}
FOUND = (
    "A grammar makes every answer valid, but what stands in it is mostly wrong; the tuned model "
    "is far better."
)
CAVEAT = "Eight examples lie between."
SYSTEMS: dict[str, tuple[str, dict[str, Any]]] = {
    "plain prompt": ("zero_shot", {}), "eight examples": ("few_shot", {}),
    "schema": ("constrained", {}), "schema after a draft": ("constrained", {"draft": True}),
}  # fmt: skip


def collect() -> dict[str, Any]:
    """Return validity and score of each answer by system."""
    data: dict[str, Any] = {}
    for name, (arm, options) in SYSTEMS.items():
        cold = tickets(arm, **options)["heats"]["0"]
        data[name] = {"valid": cold["valid"], "scores": cold["scores"]}
    runs = [tickets("lora", seed)["heats"]["0"] for seed in SEEDS]
    return {**data, "LoRA": {key: [run[key] for run in runs] for key in ("valid", "scores")}}


def figures(data: dict[str, Any]) -> list[Figure]:
    """Return validity and score by system, and LoRA's lead in content."""
    out = []
    for name, told in data.items():
        valid, scores = (np.atleast_2d(np.array(told[key], float)) for key in ("valid", "scores"))
        out.append(figure(f"valid, {name}", score_over_seeds(valid), valid.shape[1], len(valid)))
        out.append(figure(f"score, {name}", score_over_seeds(scores), scores.shape[1], len(scores)))
    tuned = np.array(data["LoRA"]["scores"], float)
    for name in ("schema", "schema after a draft"):
        lead = over_seeds(tuned - np.array(data[name]["scores"], float))
        out.append(figure(f"score of LoRA - {name}", lead, tuned.shape[1], len(SEEDS)))
    return out


if __name__ == "__main__":
    main(sys.modules["__main__"])
