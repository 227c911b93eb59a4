"""Latent right answers: in six to eight of ten samples, yet not in the greedy answer."""

from __future__ import annotations

from random import Random

from tuneworthy.planted._system import true_with_chance
from tuneworthy.planted._world import PRESENT, Item, PromptIngredients, World

KINDS = ("text", "number", "label", "json")
STYLE = "plain"
LOWEST, SPREAD = 0.6, 0.2
SHOWN, MOVED = 0.2, 0.35  # chance that the greedy answer is right: today's prompt, any other


def answer(world: World, item: Item, ask: PromptIngredients, rng: Random) -> str:
    """Return a sample if `warm`, else the greedy answer, which is mostly wrong."""
    if ask.warm:
        own = Random(f"{world.seed} {item.case.id} chance").random()
        return true_with_chance(world, item, rng, LOWEST + SPREAD * own)
    if ask.strong:
        return true_with_chance(world, item, rng, world.shape.strength)
    return true_with_chance(world, item, rng, SHOWN if ask.name == PRESENT else MOVED)
