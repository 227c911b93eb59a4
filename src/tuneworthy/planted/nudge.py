"""Control for placebos: failures that any other prompt repairs as well as the right one."""

from __future__ import annotations

from random import Random

from tuneworthy.planted._system import true_with_chance
from tuneworthy.planted._world import PRESENT, Item, PromptIngredients, World

KINDS = ("text", "label", "number", "json")
STYLE = "plain"
SOON = 0.4


def answer(world: World, item: Item, ask: PromptIngredients, rng: Random) -> str:
    """Return an answer that depends on the prompt's wording, not on its content."""
    own = Random(f"{world.seed} {item.case.id} {ask.name} wording")
    lucky = own.random() < SOON and ask.name != PRESENT
    return true_with_chance(world, item, rng, 1.0 if lucky else world.shape.luck)
