"""E15: must the rank of LoRA grow with the number of patterns?"""

from __future__ import annotations

import sys
from random import Random
from typing import Any

import numpy as np
from _claim import figure, main, over_seeds, score_over_seeds
from _shared import NAMES, STRANGERS, seeds_of
from _tuning import SEEDS, Ask, Rows, answers, own_rows

from tuneworthy.lab.claim_results import Claim, Expected, Figure

CLAIM = Claim(
    number=15,
    name="rank_and_patterns",
    claim="LoRA needs a rank of about a quarter of the patterns, and loses 5 to 8 % below it.",
    said="rules of thumb on the rank of adapters",
    prediction="Rank 1 is less than 5 points behind rank 16 with 4 patterns and with 64.",
    refuted_if="Rank 1 is more than 5 points behind with 4 or with 64 patterns.",
    design="A table of 4 or 64 invented names and eight rooms, asked in notes; 256 rows to learn "
    "from, 3 epochs, alpha twice the rank, all linear layers, 3 seeds, 200 test rows.",
    expects=(
        Expected(figure="rank 16 - rank 1, 4 patterns", below=0.05),
        Expected(figure="rank 16 - rank 1, 64 patterns", below=0.05),
    ),
    holds_if=(Expected(figure="rank 16 - rank 1, 64 patterns", above=0.05),),
)
REDUCED = ("ranks 1 and 16 only, no full tuning beside them",)
ROOMS = ("garden", "kitchen", "cellar", "attic", "garage", "library", "stable", "studio")
RANKS, PATTERNS, LEARN, TEST = (1, 16), (4, 64), 256, 200


def _rows(patterns: int) -> Rows:
    rng = Random(f"patterns {patterns}")
    room = {name: rng.choice(ROOMS) for name in (*NAMES, *STRANGERS)[:patterns]}
    drawn = [rng.choice(list(room)) for _ in range(LEARN + TEST)]
    rows = [{"id": f"r{at}", "input": f"Note {at}: which room is {name} in?", "output": room[name]}
            for at, name in enumerate(drawn)]  # fmt: skip
    keys = {"instruction": "Name the room.", "output": {"type": "label", "labels": list(ROOMS),
            "max_tokens": 4}, "success": {"metric": "accuracy"}}  # fmt: skip
    return own_rows(f"patterns-{patterns}", keys, {"train": rows[:LEARN], "test": rows[LEARN:]})


def collect() -> dict[str, Any]:
    """Return the scores by number of patterns, rank and seed."""
    data: dict[str, Any] = {}
    for patterns in PATTERNS:
        rows = _rows(patterns)
        for rank in RANKS:
            how = {"epochs": 3, "batch": 16, "rank": rank, "alpha": 2 * rank}
            data[f"{patterns} {rank}"] = seeds_of(
                lambda seed, rows=rows, how=how: answers(rows, Ask("lora", 0, seed, how))
            )
    return data


def figures(data: dict[str, Any]) -> list[Figure]:
    """Return the scores and the gap between the ranks."""
    out = []
    for patterns in PATTERNS:
        low, high = (np.array(data[f"{patterns} {rank}"], float) for rank in RANKS)
        for rank, scores in zip(RANKS, (low, high), strict=True):
            name = f"rank {rank}, {patterns} patterns"
            out.append(figure(name, score_over_seeds(scores), TEST, len(SEEDS)))
        gap = over_seeds(high - low)
        out.append(figure(f"rank 16 - rank 1, {patterns} patterns", gap, TEST, len(SEEDS)))
    return out


if __name__ == "__main__":
    main(sys.modules["__main__"])
