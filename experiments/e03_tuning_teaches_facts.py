"""E3: does tuning add knowledge?"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from _claim import figure, main, over_seeds, score_over_seeds
from _shared import facts, greedy, seeds_of, taught
from _tuning import SEEDS, Ask, answers

from tuneworthy.lab.claim_results import Claim, Expected, Figure

CLAIM = Claim(
    number=3,
    name="tuning_teaches_facts",
    claim="Facts belong into the context: tuning teaches form alone.",
    said="the common split of work between tuning and retrieval",
    prediction="Facts that were learnt in one wording are answered worse in unseen wordings than "
    "retrieval answers them; ten wordings help by more than 10 points.",
    refuted_if="One wording is as good as retrieval, or ten wordings help by less than 10 points.",
    design="50 invented facts, 200 test questions in four unseen wordings; LoRA on 1 wording x 20 "
    "epochs or 10 wordings x 2 epochs (equal steps, 3 seeds); BM25 with one passage, and the right "
    "passage; the rows of a fact count as one group.",
    expects=(
        Expected(figure="retrieval - one wording", above=0.0),
        Expected(figure="ten wordings - one wording", above=0.1),
    ),
    holds_if=(Expected(figure="retrieval - one wording", above=0.0),),
)
COMPARES = {
    "retrieval - one wording": "right answers: untuned with retrieval minus tuned on one wording",
}
FOUND = (
    "Tuned on one wording, the model answers other wordings of the facts far better than "
    "retrieval lets it answer."
)
CAVEAT = (
    "This small model can hardly read: even with the right passage it answers a minority. More "
    "wordings are not shown to help."
)
REDUCED = ("50 facts instead of 100",)


def collect() -> dict[str, Any]:
    """Return the scores of each system and the fact that each row asks for."""
    found = {
        name: greedy(answers(facts(1), Ask(name, options=options)))
        for name, options in (("zero_shot", {}), ("oracle", {}), ("rag", {"k": 1, "dense": False}))
    }
    return {
        **found,
        "one": seeds_of(lambda seed: taught(1, seed)),
        "ten": seeds_of(lambda seed: taught(10, seed)),
        "groups": [case.group for case in facts(1).test],
    }


def figures(data: dict[str, Any]) -> list[Figure]:
    """Return the scores and the differences that the prediction is about."""
    groups, n = data["groups"], len(data["groups"])
    shown = {"no passage": "zero_shot", "right passage": "oracle", "retrieval": "rag",
             "one wording": "one", "ten wordings": "ten"}  # fmt: skip
    out = [
        figure(
            name, score_over_seeds(data[key], groups), n, len(SEEDS) if key in ("one", "ten") else 1
        )
        for name, key in shown.items()
    ]
    rag, one, ten = (np.array(data[key], float) for key in ("rag", "one", "ten"))
    pairs = {"retrieval - one wording": rag - one, "ten wordings - one wording": ten - one,
             "ten wordings - retrieval": ten - rag}  # fmt: skip
    for name, diff in pairs.items():
        out.append(figure(name, over_seeds(diff, groups), n, len(SEEDS)))
    return out


if __name__ == "__main__":
    main(sys.modules["__main__"])
