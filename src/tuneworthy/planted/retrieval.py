"""Failure by retrieval: the fact's document shares no word with the question, decoys do."""

from __future__ import annotations

from random import Random

from tuneworthy.planted._system import answer_from_passage
from tuneworthy.planted._world import (
    TERMS,
    CaseContent,
    Item,
    PromptIngredients,
    World,
    document,
    name,
)

KINDS = ("text", "number", "label", "json")
STYLE = "docs"
DECOYS = 3
BLIND = 0.9  # share of such questions; the rest can be found


def pose(world: World, truth: str, rng: Random) -> CaseContent:
    """Return a question whose words occur not in its document but in decoys."""
    who, alias, term = name(rng), name(rng), rng.choice(TERMS)
    passage = document(rng, f"{who} stands at {truth}.")
    question = f"What does {alias} say on the {term}?"
    if rng.random() >= BLIND:
        return CaseContent(question, document(rng, f"{alias} on the {term}: {truth}."))
    decoys = tuple(
        document(rng, f"What {alias} and the {term} say on {name(rng)}: {world.other(rng, truth)}.")
        for _ in range(DECOYS)
    )
    return CaseContent(question, passage, decoys)


def answer(world: World, item: Item, ask: PromptIngredients, rng: Random) -> str:
    """Return the answer from the passage, if it is followed; otherwise a guess."""
    return answer_from_passage(world, item, ask, rng)
