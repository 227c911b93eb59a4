"""Failures without a cause, for controls: nothing repairs them, whatever passes does so by luck."""

from __future__ import annotations

from random import Random

from tuneworthy.planted._system import told
from tuneworthy.planted._world import Ask, Item, Posed, World, document, plain_pose

KINDS = ("label", "text", "number", "json")
STYLE = "plain"


def pose(world: World, truth: str, rng: Random) -> Posed:
    """Return a question like any other; where it has a passage, the answer does not stand in it."""
    posed = plain_pose(world, truth, rng)
    if posed.passage is None:
        return posed
    return posed._replace(passage=document(rng, "What holds here is settled case by case."))


def answer(world: World, item: Item, ask: Ask, rng: Random) -> str:  # noqa: ARG001
    """Return a wrong answer, but for luck that no ingredient changes."""
    return told(world, item, rng, world.shape.luck)
