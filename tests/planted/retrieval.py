"""Failure by retrieval: the right document shares no word with the question; decoys do."""

from __future__ import annotations

from random import Random

from tests.planted._system import answer_from_passage
from tests.planted._world import (
    TERMS,
    CaseContent,
    Item,
    PromptIngredients,
    World,
    draw_name,
    make_document,
)

KINDS = ("text", "number", "label", "json")
STYLE = "docs"
DECOY_COUNT = 3
UNFINDABLE_SHARE = 0.9  # share of questions whose document a search can't find


def pose(world: World, truth: str, rng: Random) -> CaseContent:
    """Return a question whose words mostly occur in decoys and not in its own document."""
    who, alias, term = draw_name(rng), draw_name(rng), rng.choice(TERMS)
    passage = make_document(rng, f"{who} stands at {truth}.")
    question = f"What does {alias} say on the {term}?"
    if rng.random() >= UNFINDABLE_SHARE:
        return CaseContent(question, make_document(rng, f"{alias} on the {term}: {truth}."))
    decoys = tuple(
        make_document(
            rng,
            f"What {alias} and the {term} say on {draw_name(rng)}:"
            f" {world.other_answer(rng, truth)}.",
        )
        for _ in range(DECOY_COUNT)
    )
    return CaseContent(question, passage, decoys)


def answer(world: World, item: Item, prompt: PromptIngredients, rng: Random) -> str:
    """Return the answer from the prompt's passage with probability `strength`; else a guess."""
    return answer_from_passage(world, item, prompt, rng)
