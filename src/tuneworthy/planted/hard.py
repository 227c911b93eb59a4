"""Control: failures without a cause that nothing repairs; any pass is luck."""

from __future__ import annotations

from random import Random

from tuneworthy.planted._system import true_with_chance
from tuneworthy.planted._world import (
    CaseContent,
    Item,
    PromptIngredients,
    World,
    document,
    plain_pose,
)

KINDS = ("label", "text", "number", "json")
STYLE = "plain"


def pose(world: World, truth: str, rng: Random) -> CaseContent:
    """Return a question like any other; a passage, if any, does not contain the answer."""
    posed = plain_pose(world, truth, rng)
    if posed.passage is None:
        return posed
    return posed._replace(passage=document(rng, "What holds here is settled case by case."))


def answer(world: World, item: Item, ask: PromptIngredients, rng: Random) -> str:  # noqa: ARG001
    """Return a wrong answer, or the true one by a luck that no prompt changes."""
    return true_with_chance(world, item, rng, world.shape.luck)
