"""Failure by convention: an arbitrary rule that no prompt states (codes, hundredths).

Stating the rule or showing examples of it helps.
"""

from __future__ import annotations

from random import Random

from tests.planted._world import CaseContent, Item, PromptIngredients, World, plain_question

KINDS = ("label", "text", "number", "json")
STYLE = "plain"
SHOTS_FACTOR = 0.85  # examples help as often as a written rule, times this
TRAINED_CHANCE = 0.9


def pose(world: World, truth: str, rng: Random) -> CaseContent:
    """Return a question whose gold answer is the code of the true one."""
    return plain_question(world, truth, rng)._replace(gold=world.codes[truth])


def answer(world: World, item: Item, prompt: PromptIngredients, rng: Random) -> str:
    """Return the true answer's code if prompt or training give the rule, else mostly its word."""
    chance = 0.02
    if prompt.rule:
        chance = world.shape.strength
    elif prompt.shots and prompt.apt:
        chance = world.shape.strength * SHOTS_FACTOR
    elif prompt.trained and prompt.trained.sound:
        chance = TRAINED_CHANCE
    if rng.random() < chance:
        return world.in_form(item.case, world.codes[item.truth])
    if prompt.shots and not prompt.apt:  # a rule is seen, but not which code means what
        return world.in_form(item.case, rng.choice(list(world.codes.values())))
    return world.in_form(item.case, item.truth)
