"""Failure by knowledge: invented facts that only documents contain.

Showing the passage helps, and so does retrieving it.
"""

from __future__ import annotations

from random import Random

from tuneworthy.planted._system import followed
from tuneworthy.planted._world import Ask, Item, World

KINDS = ("text", "number", "label", "json")
STYLE = "docs"


def answer(world: World, item: Item, ask: Ask, rng: Random) -> str:
    """Return the answer from the passage, if it is followed; otherwise a guess."""
    return followed(world, item, ask, rng)
