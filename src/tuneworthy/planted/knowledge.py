"""Invented facts that stand in documents only: the passage helps, and so does finding it."""

from __future__ import annotations

from random import Random

from tuneworthy.planted._system import guess
from tuneworthy.planted._world import Ask, Item, World, read

KINDS = ("text", "number", "label", "json")
STYLE = "docs"


def answer(world: World, item: Item, ask: Ask, rng: Random) -> str:
    """Return what the passage says, as far as it is followed; without one a guess."""
    if ask.passage and rng.random() < world.shape.strength:
        found = read(world, item.posed.question, ask.passage, ask.strong)
        if found is not None:
            return world.written(item.case, found)
    return guess(world, item, rng)
