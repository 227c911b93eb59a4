"""Failure by reading: the passage holds the answer behind a reference that is not followed."""

from __future__ import annotations

from random import Random

from tuneworthy.planted._world import (
    TERMS,
    CaseContent,
    Item,
    PromptIngredients,
    World,
    document,
    name,
    read,
)

KINDS = ("text", "number", "label", "json")
STYLE = "docs"


def pose(world: World, truth: str, rng: Random) -> CaseContent:
    """Return a question whose passage states an old answer, and the true one by a reference."""
    who, plan, term = name(rng), name(rng), rng.choice(TERMS)
    passage = document(
        rng,
        f"Until last year the {term} of {who} was {world.other(rng, truth)}.",
        f"It now follows plan {plan}.",
        f"Plan {plan} gives {truth}.",
    )
    return CaseContent(f"What is the {term} of {who}?", passage)


def answer(world: World, item: Item, ask: PromptIngredients, rng: Random) -> str:
    """Return the answer that the system reads: the old one unless it is a strong reader."""
    if ask.passage and (found := read(world, item.posed.question, ask.passage, ask.strong)):
        return world.written(item.case, found)
    return world.written(item.case, rng.choice(world.pool))
