"""Control: failures without a cause, which no remedy repairs; any pass is luck."""

from __future__ import annotations

from random import Random

from tests.planted._system import true_with_chance
from tests.planted._world import (
    CaseContent,
    Item,
    PromptIngredients,
    World,
    make_document,
    plain_question,
)

KINDS = ("label", "text", "number", "json")
STYLE = "plain"


def pose(world: World, truth: str, rng: Random) -> CaseContent:
    """Return a plain question; its passage, if it has one, does not contain the answer."""
    posed = plain_question(world, truth, rng)
    if posed.passage is None:
        return posed
    return posed._replace(passage=make_document(rng, "What holds here is settled case by case."))


def answer(world: World, item: Item, prompt: PromptIngredients, rng: Random) -> str:
    """Return a wrong answer, or with probability `luck` the true one, whatever the prompt."""
    return true_with_chance(world, item, rng, world.shape.luck)
