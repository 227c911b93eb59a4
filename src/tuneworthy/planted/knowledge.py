"""Invented facts that stand in documents only: the passage helps, and so does finding it."""

from __future__ import annotations

from random import Random

from tuneworthy.planted._system import followed
from tuneworthy.planted._world import Ask, Item, World

KINDS = ("text", "number", "label", "json")
STYLE = "docs"


def answer(world: World, item: Item, ask: Ask, rng: Random) -> str:
    """Return what the passage says, as far as it is followed; without one a guess."""
    return followed(world, item, ask, rng)
