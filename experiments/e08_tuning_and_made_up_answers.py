"""E8: does tuning on facts keep a model from making answers up?"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from _claim import figure, main, over_seeds, score_over_seeds
from _shared import strangers, taught
from _tuning import SEEDS, Ask, answers

from tuneworthy.lab.claim_results import Claim, Expected, Figure
from tuneworthy.metrics._numbers import numbers

CLAIM = Claim(
    number=8,
    name="tuning_and_made_up_answers",
    claim="Tuning on your own facts cuts hallucination.",
    said="product pages on fine-tuning with company knowledge",
    prediction="Asked for names that nobody taught it, a model tuned on facts states a number no "
    "less often than before: the share falls by less than 10 points.",
    refuted_if="The share of made-up numbers falls by more than 10 points.",
    design="200 questions on 50 names that no row mentions, with 'unknown' allowed by the "
    "instruction; the base, and LoRA on 50 facts in ten wordings without any row that says "
    "unknown (3 seeds).",
    expects=(Expected(figure="fall of made-up answers", below=0.1),),
    holds_if=(Expected(figure="fall of made-up answers", above=0.0),),
)
COMPARES = {
    "fall of made-up answers": "made-up answers: before tuning minus after",
}
FOUND = (
    "Tuned on facts alone, the model makes up a number for nearly every name it was never taught; "
    "before, for about half of them."
)
REDUCED = ("one kind of fact; the share of right answers on known names is in E3",)


def collect() -> dict[str, Any]:
    """Return whether each answer states a number, before and after training."""
    before = answers(strangers(), Ask("zero_shot"))["heats"]["0"]["texts"]
    after = [taught(10, seed)["strangers"]["texts"] for seed in SEEDS]
    return {
        "before": [int(bool(numbers(text))) for text in before],
        "after": [[int(bool(numbers(text))) for text in texts] for texts in after],
        "groups": [case.group for case in strangers().test],
    }


def figures(data: dict[str, Any]) -> list[Figure]:
    """Return the shares of made-up answers and their fall."""
    groups, n = data["groups"], len(data["groups"])
    before, after = (np.array(data[key], float) for key in ("before", "after"))
    return [
        figure("made up, before", score_over_seeds(before, groups), n),
        figure("made up, after", score_over_seeds(after, groups), n, len(SEEDS)),
        figure("fall of made-up answers", over_seeds(before - after, groups), n, len(SEEDS)),
    ]


if __name__ == "__main__":
    main(sys.modules["__main__"])
