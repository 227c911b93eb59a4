"""E17: do retrieval and tuning add up?"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import numpy as np
from _claim import figure, main, over_seeds, score_over_seeds, unit
from _shared import greedy, seeds_of
from _tuning import SEEDS, Ask, answers, fitted, scored, suite_rows

from tuneworthy.arms import rag
from tuneworthy.lab.claim_results import Claim, Expected, Figure
from tuneworthy.records.arm import Recipe

CLAIM = Claim(
    number=17,
    name="retrieval_and_tuning",
    claim="Retrieval and tuning together are the answer: their gains add up.",
    said="overviews that end in 'do both'",
    prediction="A model that was tuned with passages in its prompts beats retrieval by more than 5 "
    "points; one that was tuned without them and is asked with them does not.",
    refuted_if="Tuning with passages gains less than 5 points, or tuning without them gains more.",
    design="Office rules in dated documents, 120 rows to learn from and 200 to test, no fact in "
    "both; one passage by BM25, token F1; LoRA 3 epochs, 3 seeds.",
    expects=(
        Expected(figure="tuned with passages - retrieval", above=0.05),
        Expected(figure="tuned without, asked with passages - retrieval", below=0.05),
    ),
    holds_if=(Expected(figure="tuned with passages - retrieval", above=0.05),),
    beside="One measured task touches it and does not test it: one run of each arm, on 100 rows, "
    "without the check that our prediction asks for.",
    beside_page="atlas/policy_faq-100-smollm2-135m",
)
ROWS, PASSAGE = 120, {"k": 1, "dense": False}


def _asked_with(seed: int) -> dict[str, Any]:
    """Return the answers of a closed-book LoRA to prompts with a passage, as retrieval asks."""
    rows = suite_rows("policy_faq")

    def make() -> dict[str, Any]:
        setup, arm = fitted(rows, Ask("lora", ROWS, seed, {"epochs": 3}))
        own = replace(setup, recipe=Recipe(kind="short"), models={"base": arm.model})
        reading = rag.fit(own, rag.Options(**PASSAGE), seed)
        given = reading.answer([case.query() for case in rows.test])
        return {"heats": {"0": scored(own, rows.test, given)}}

    return unit({"e": 17, "asked": "with", "seed": seed, "rows": ROWS}, make)


def collect() -> dict[str, Any]:
    """Return the scores of each system, by seed where it is trained."""
    rows = suite_rows("policy_faq")
    plain = {"zero_shot": {}, "oracle": {}, "rag": PASSAGE}
    both = {"epochs": 3, **PASSAGE}
    return {
        **{arm: greedy(answers(rows, Ask(arm, options=how))) for arm, how in plain.items()},
        "lora": seeds_of(lambda seed: answers(rows, Ask("lora", ROWS, seed, {"epochs": 3}))),
        "rag_lora": seeds_of(lambda seed: answers(rows, Ask("rag_lora", ROWS, seed, both))),
        "asked with": seeds_of(_asked_with),
    }


def figures(data: dict[str, Any]) -> list[Figure]:
    """Return the scores and the gains over retrieval."""
    shown = {"no passage": "zero_shot", "right passage": "oracle", "retrieval": "rag",
             "tuned, no passage": "lora", "tuned with passages": "rag_lora",
             "tuned without, asked with passages": "asked with"}  # fmt: skip
    found = {name: np.atleast_2d(np.array(data[key], float)) for name, key in shown.items()}
    n = found["retrieval"].shape[1]
    out = [figure(name, score_over_seeds(table), n, len(table)) for name, table in found.items()]
    for name in ("tuned with passages", "tuned without, asked with passages"):
        gain = over_seeds(found[name] - found["retrieval"])
        out.append(figure(f"{name} - retrieval", gain, n, len(SEEDS)))
    return out


if __name__ == "__main__":
    main(sys.modules["__main__"])
