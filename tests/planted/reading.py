"""Failure by reading: the passage holds the answer behind a reference that a model must follow."""

from __future__ import annotations

from random import Random

from tests.planted._world import (
    TERMS,
    CaseContent,
    Item,
    PromptIngredients,
    World,
    draw_name,
    find_answer,
    make_document,
)

KINDS = ("text", "number", "label", "json")
STYLE = "docs"


def pose(world: World, truth: str, rng: Random) -> CaseContent:
    """Return a question whose passage states an old answer, and by a reference the true one."""
    who, plan, term = draw_name(rng), draw_name(rng), rng.choice(TERMS)
    passage = make_document(
        rng,
        f"Until last year the {term} of {who} was {world.other_answer(rng, truth)}.",
        f"It now follows plan {plan}.",
        f"Plan {plan} gives {truth}.",
    )
    return CaseContent(f"What is the {term} of {who}?", passage)


def answer(world: World, item: Item, prompt: PromptIngredients, rng: Random) -> str:
    """Return the answer read from the passage: the old one unless the model is `strong`."""
    if prompt.passage and (
        found := find_answer(world, item.content.question, prompt.passage, prompt.strong)
    ):
        return world.in_form(item.case, found)
    return world.in_form(item.case, rng.choice(world.pool))
