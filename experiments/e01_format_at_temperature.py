"""E1: does tuning keep the output format at any temperature?"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from _claim import figure, main, over_seeds, score_over_seeds
from _shared import HEATS, tickets
from _tuning import SEEDS

from tuneworthy.lab.claim_results import Claim, Expected, Figure

CLAIM = Claim(
    number=1,
    name="format_at_temperature",
    claim="Tuning fixes the output format, at any temperature.",
    said="guides to fine-tuning for structured output",
    prediction="A tuned model writes valid JSON less often when it is sampled hotter (T 1.3 "
    "instead of 0), by more than 5 points; under a schema the answer stays valid.",
    refuted_if="The tuned model's fall is below 5 points, or the schema's answers are valid in "
    "less than 95 % at T 1.3.",
    design="Support tickets to JSON, 160 rows to learn from, 2 epochs, 200 test rows; the plain "
    "prompt, eight examples, the schema as a grammar and LoRA (3 seeds) at T 0, 1 and 1.3.",
    expects=(
        Expected(figure="fall of LoRA's validity, T 0 to 1.3", above=0.05),
        Expected(figure="valid under the schema, T 1.3", above=0.95),
    ),
    holds_if=(Expected(figure="fall of LoRA's validity, T 0 to 1.3", below=0.05),),
)  # fmt: skip
COMPARES = {
    "fall of LoRA's validity, T 0 to 1.3": "valid answers, tuned: at T 0 minus at T 1.3",
}
FOUND = "Sampled hot, the tuned model loses some of its valid answers; only a grammar loses none."
REDUCED = ("three temperatures instead of five; the schema at T 0 and 1.3 only",)


def collect() -> dict[str, Any]:
    """Return the validity of each answer by system and temperature."""
    found = {name: tickets(name)["heats"] for name in ("zero_shot", "few_shot", "constrained")}
    data: dict[str, Any] = {name: {heat: each["valid"] for heat, each in heats.items()}
                            for name, heats in found.items()}  # fmt: skip
    runs = [tickets("lora", seed)["heats"] for seed in SEEDS]
    data["lora"] = {heat: [run[heat]["valid"] for run in runs] for heat in runs[0]}
    return data


def figures(data: dict[str, Any]) -> list[Figure]:
    """Return the validity of each system at each temperature, and the tuned model's fall."""
    out = []
    names = (("the prompt", "zero_shot"), ("eight examples", "few_shot"), ("LoRA", "lora"))
    for shown, name in names:
        for heat in (f"{heat:g}" for heat in HEATS):
            rows = np.atleast_2d(np.array(data[name][heat], float))
            out.append(
                figure(f"valid with {shown}, T {heat}", score_over_seeds(rows), *rows.shape[::-1])
            )
    for heat in ("0", "1.3"):
        rows = data["constrained"][heat]
        out.append(figure(f"valid under the schema, T {heat}", score_over_seeds(rows), len(rows)))
    for shown, name in names:
        cold, hot = data[name]["0"], data[name]["1.3"]
        fall = np.atleast_2d(np.array(cold, float) - np.array(hot, float))
        text = "LoRA's validity" if name == "lora" else f"validity with {shown}"
        out.append(figure(f"fall of {text}, T 0 to 1.3", over_seeds(fall), *fall.shape[::-1]))
    return out


if __name__ == "__main__":
    main(sys.modules["__main__"])
