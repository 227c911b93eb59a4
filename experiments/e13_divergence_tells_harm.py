"""E13: does the divergence on the task tell how much a model forgets?"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from _claim import figure, main
from _shared import FEW, HIGH, clauses
from _tuning import SEEDS, rise

from tuneworthy.lab.claim_results import Claim, Expected, Figure

CLAIM = Claim(
    number=13,
    name="divergence_tells_harm",
    claim="How far a model moves on its task tells how much it forgets elsewhere.",
    said="studies that measure forgetting by the divergence on the new task",
    prediction="Over runs of different sizes, rates and methods the divergence on the task "
    "explains more than 70 % of the variance of the loss on general text (R2, a straight line).",
    refuted_if="It explains less than 30 %.",
    design="Every trained run of E5, E14 and E16 on clause types; divergence KL(tuned from base) "
    "a token of 40 own answers, loss on 64 general texts; R2 with a bootstrap over runs.",
    expects=(Expected(figure="R2 of the divergence on the task", above=0.7, fails_at=0.3),),
    holds_if=(Expected(figure="R2 of the divergence on the task", above=0.7, fails_at=0.3),),
)
REDUCED = ("one task; similarity by layer is not measured",)
DRAWS = 4000


def collect() -> dict[str, Any]:
    """Return for each trained run its name, its divergences and its rise of the general loss."""
    kinds: list[tuple[str, int, dict[str, Any]]] = [("lora", n, {}) for n in (25, 50, 100, 200)]
    kinds += [("full", FEW, {}), ("lora", FEW, {"rate": HIGH})]
    kinds += [("lora", FEW, {"rate": HIGH, "replay": share}) for share in (0.01, 0.05)]
    runs = []
    for arm, n, options in kinds:
        for seed in SEEDS:
            side = clauses(arm, n, seed, **options)["side"]
            told = {key: sum(r[3] for r in side[key]) / sum(r[0] for r in side[key])
                    for key in ("task", "general")}  # fmt: skip
            runs.append({"arm": arm, "n": n, **options, "rise": rise(side), **told})
    return {"runs": runs}


def figures(data: dict[str, Any]) -> list[Figure]:
    """Return R2 of the divergence on the task, and of that on general text beside it."""
    out, runs = [], data["runs"]
    loss = np.array([run["rise"] for run in runs])
    drawn = np.random.default_rng(13).integers(0, len(runs), (DRAWS, len(runs)))
    for name, key in (("the task", "task"), ("general text", "general")):
        moved = np.array([run[key] for run in runs])

        def squared(at: Any, moved: Any = moved) -> float:
            both = np.corrcoef(moved[at], loss[at])[0, 1]
            return float(both**2) if np.isfinite(both) else 0.0

        low, high = np.quantile([squared(at) for at in drawn], (0.025, 0.975))
        whole = (squared(np.arange(len(runs))), low, high)
        out.append(figure(f"R2 of the divergence on {name}", whole, len(runs), unit="share"))
    return out


if __name__ == "__main__":
    main(sys.modules["__main__"])
