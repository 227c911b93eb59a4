"""Failure by label: the gold is wrong, the system is right, and similar cases agree with it."""

from __future__ import annotations

from random import Random

from tuneworthy.planted._world import CaseContent, Item, PromptIngredients, World, plain_pose

KINDS = ("label", "text")
STYLE = "like"


def pose(world: World, truth: str, rng: Random) -> CaseContent:
    """Return a generated question whose gold label is wrong; others like it have the right one."""
    return plain_pose(world, truth, rng)._replace(gold=world.other(rng, truth))


def answer(world: World, item: Item, ask: PromptIngredients, rng: Random) -> str:  # noqa: ARG001
    """Return the true answer, whatever the prompt."""
    return world.written(item.case, item.truth)
