"""Failure by convention: an arbitrary rule that no prompt states (codes, hundredths).

Stating the rule or showing examples of it helps.
"""

from __future__ import annotations

from random import Random

from tuneworthy.planted._world import CaseContent, Item, PromptIngredients, World, plain_pose

KINDS = ("label", "text", "number", "json")
STYLE = "plain"
SHOWN = 0.85  # examples show the rule a little less well than a written rule does
LEARNT = 0.9


def pose(world: World, truth: str, rng: Random) -> CaseContent:
    """Return a question whose right answer is the code of the true one."""
    return plain_pose(world, truth, rng)._replace(gold=world.codes[truth])


def answer(world: World, item: Item, ask: PromptIngredients, rng: Random) -> str:
    """Return the true answer, as a code only if the rule is known; else as the plain word."""
    chance = 0.02
    if ask.rule:
        chance = world.shape.strength
    elif ask.shots and ask.apt:
        chance = world.shape.strength * SHOWN
    elif ask.lesson and ask.lesson.sound:
        chance = LEARNT
    if rng.random() < chance:
        return world.written(item.case, world.codes[item.truth])
    if ask.shots and not ask.apt:  # a rule is seen, but not which code means what
        return world.written(item.case, rng.choice(list(world.codes.values())))
    return world.written(item.case, item.truth)
