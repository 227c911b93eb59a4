"""E16: how many general rows must be replayed against forgetting?"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from _claim import figure, main, of_seeds, score_over_seeds
from _shared import FEW, HIGH, clauses, greedy
from _tuning import SEEDS, rise

from tuneworthy.lab.claim_results import Claim, Expected, Figure

CLAIM = Claim(
    number=16,
    name="share_of_replay",
    claim="A fifth to a third of general rows must be mixed in against forgetting.",
    said="advice on mixing general data into a training set",
    prediction="5 % of general rows already remove more than half of the rise of the loss on "
    "general text, where that rise is large.",
    refuted_if="5 % remove less than a tenth of the rise.",
    design="Clause types, 100 rows, LoRA at .005 (five times the usual rate, so that it forgets), "
    "3 epochs, 3 seeds; 0, 1 and 5 % of all rows are the base's own answers to other requests; "
    "loss on 64 general texts.",
    expects=(Expected(figure="share of the rise that 5 % remove", above=0.5, fails_at=0.1),),
    holds_if=(Expected(figure="share of the rise that 5 % remove", below=0.5),),
)
REDUCED = ("no 20 %: the product's own option ends at 5 %", "the general texts are the base's own")
SHARES = (0.0, 0.01, 0.05)


def collect() -> dict[str, Any]:
    """Return the rise of the loss and the scores by share and seed."""
    data: dict[str, Any] = {}
    for share in SHARES:
        more = {"replay": share} if share else {}
        runs = [clauses("lora", FEW, seed, rate=HIGH, **more) for seed in SEEDS]
        data[f"{share:g}"] = {"rise": [rise(run["side"]) for run in runs],
                              "scores": [greedy(run) for run in runs]}  # fmt: skip
    return data


def figures(data: dict[str, Any]) -> list[Figure]:
    """Return the rises, the scores and the share of the rise that is removed."""
    out = []
    for share in SHARES:
        told = data[f"{share:g}"]
        loss, scores = of_seeds(told["rise"]), told["scores"]
        out.append(figure(f"rise at {share:.0%} replay", loss, 64, len(SEEDS), "share"))
        shown = f"score at {share:.0%} replay"
        out.append(figure(shown, score_over_seeds(scores), len(scores[0]), len(SEEDS)))
    none = np.array(data["0"]["rise"])
    for share in SHARES[1:]:
        removed = 1 - np.array(data[f"{share:g}"]["rise"]) / none
        name = f"share of the rise that {100 * share:.0f} % remove"
        out.append(figure(name, of_seeds(list(removed)), 64, len(SEEDS), "share"))
    return out


if __name__ == "__main__":
    main(sys.modules["__main__"])
