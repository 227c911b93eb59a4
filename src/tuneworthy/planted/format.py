"""Failure by format: right answers wrapped in talk, cut off, or illegal in their form.

A lenient parser or constrained decoding recovers them.
"""

from __future__ import annotations

from random import Random

from tuneworthy.planted._world import Item, PromptIngredients, World

KINDS = ("json", "label", "number")
STYLE = "plain"
WRAPPED = 0.75  # the rest is cut or illegal; only constrained decoding repairs it
SHOWN = 0.4  # any examples show the form, even those with another's answers


def answer(world: World, item: Item, ask: PromptIngredients, rng: Random) -> str:
    """Return the true answer in a broken form, unless something enforces the form."""
    right = world.written(item.case, item.truth)
    chance = 0.02
    if ask.legal or ask.lesson:
        chance = world.shape.strength
    elif ask.shots:
        chance = SHOWN
    elif ask.strong:
        chance = 0.5
    if rng.random() < chance:
        return right
    wrapped = Random(f"{world.seed} {item.case.id}").random() < WRAPPED
    return _wrapped(world, right, rng) if wrapped else _broken(world, right, rng)


def _wrapped(world: World, right: str, rng: Random) -> str:
    if world.kind == "json":
        return rng.choice(
            [f"Sure! Here it is:\n```json\n{right}\n```", f"The answer is {right} as you asked."]
        )
    if world.kind == "label":
        return rng.choice([f"The answer is {right}.", f"I would say: {right}, from the note."])
    return rng.choice([f"**{right}**, see the note of 12", f"{right} (checked: {right}; page 4)"])


def _broken(world: World, right: str, rng: Random) -> str:
    if world.kind == "json":
        return rng.choice([right[:-9], right.replace('"', "'"), right[:-1] + ",}"])
    other = world.other(rng, right)
    return f"{right}, although {other} could be meant as well"
