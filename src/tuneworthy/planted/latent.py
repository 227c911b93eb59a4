"""The right answer comes in six to eight of ten samples, yet not in the one that is shown."""

from __future__ import annotations

from random import Random

from tuneworthy.planted._system import told
from tuneworthy.planted._world import PRESENT, Ask, Item, World

KINDS = ("text", "number", "label", "json")
STYLE = "plain"
LOWEST, SPREAD = 0.6, 0.2
SHOWN, MOVED = 0.2, 0.35  # chance of the likeliest answer, under today's and any other prompt


def answer(world: World, item: Item, ask: Ask, rng: Random) -> str:
    """Return one sample where it is warm, else the likeliest answer, which is mostly wrong."""
    if ask.warm:
        own = Random(f"{world.seed} {item.case.id} chance").random()
        return told(world, item, rng, LOWEST + SPREAD * own)
    if ask.strong:
        return told(world, item, rng, world.shape.strength)
    return told(world, item, rng, SHOWN if ask.name == PRESENT else MOVED)
