"""Failure by label: the gold is wrong, the system is right, and similar cases agree with it."""

from __future__ import annotations

from random import Random

from tests.planted._world import CaseContent, Item, PromptIngredients, World, plain_question

KINDS = ("label", "text")
STYLE = "like"


def pose(world: World, truth: str, rng: Random) -> CaseContent:
    """Return a question whose gold answer is wrong; similar questions have the right one."""
    return plain_question(world, truth, rng)._replace(gold=world.other_answer(rng, truth))


def answer(world: World, item: Item, prompt: PromptIngredients, rng: Random) -> str:
    """Return the true answer, whatever the prompt."""
    return world.in_form(item.case, item.truth)
