"""Failure of a latent answer: right in six to eight of ten samples, mostly wrong when greedy."""

from __future__ import annotations

from random import Random

from tests.planted._system import true_with_chance
from tests.planted._world import PRESENT, Item, PromptIngredients, World

KINDS = ("text", "number", "label", "json")
STYLE = "plain"
LEAST_CHANCE, CHANCE_SPREAD = 0.6, 0.2
TODAY_CHANCE, OTHER_CHANCE = (
    0.2,
    0.35,
)  # chance of a right greedy answer: with today's prompt, with another


def answer(world: World, item: Item, prompt: PromptIngredients, rng: Random) -> str:
    """Return a mostly right sample if `warm`, else the greedy answer, mostly wrong."""
    if prompt.warm:
        own = Random(f"{world.seed} {item.case.id} chance").random()
        return true_with_chance(world, item, rng, LEAST_CHANCE + CHANCE_SPREAD * own)
    if prompt.strong:
        return true_with_chance(world, item, rng, world.shape.strength)
    return true_with_chance(
        world, item, rng, TODAY_CHANCE if prompt.name == PRESENT else OTHER_CHANCE
    )
