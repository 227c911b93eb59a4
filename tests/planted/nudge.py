"""Control for placebos: failures that any other prompt repairs as well as the right one."""

from __future__ import annotations

from random import Random

from tests.planted._system import true_with_chance
from tests.planted._world import PRESENT, Item, PromptIngredients, World

KINDS = ("text", "label", "number", "json")
STYLE = "plain"
LUCKY_CHANCE = 0.4


def answer(world: World, item: Item, prompt: PromptIngredients, rng: Random) -> str:
    """Return an answer that depends on the prompt's name, not on its ingredients."""
    own = Random(f"{world.seed} {item.case.id} {prompt.name} wording")
    lucky = own.random() < LUCKY_CHANCE and prompt.name != PRESENT
    return true_with_chance(world, item, rng, 1.0 if lucky else world.shape.luck)
