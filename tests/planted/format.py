"""Failure by format: right answers wrapped in other text, cut off, or of an illegal form.

A lenient parser or constrained decoding recovers them.
"""

from __future__ import annotations

from random import Random

from tests.planted._world import Item, PromptIngredients, World

KINDS = ("json", "label", "number")
STYLE = "plain"
WRAPPED_SHARE = (
    0.75  # share wrapped; the rest is cut or illegal, which a lenient parser can't repair
)
SHOTS_CHANCE = 0.4  # chance of the right form with examples, also those with shuffled answers


def answer(world: World, item: Item, prompt: PromptIngredients, rng: Random) -> str:
    """Return the true answer, mostly in a broken form unless the prompt or training prevents it."""
    right = world.in_form(item.case, item.truth)
    chance = 0.02
    if prompt.legal or prompt.trained:
        chance = world.shape.strength
    elif prompt.shots:
        chance = SHOTS_CHANCE
    elif prompt.strong:
        chance = 0.5
    if rng.random() < chance:
        return right
    wrapped = Random(f"{world.seed} {item.case.id}").random() < WRAPPED_SHARE
    return _wrap_in_text(world, right, rng) if wrapped else _break_form(world, right, rng)


def _wrap_in_text(world: World, right: str, rng: Random) -> str:
    if world.kind == "json":
        return rng.choice(
            [f"Sure! Here it is:\n```json\n{right}\n```", f"The answer is {right} as you asked."]
        )
    if world.kind == "label":
        return rng.choice([f"The answer is {right}.", f"I would say: {right}, from the note."])
    return rng.choice([f"**{right}**, see the note of 12", f"{right} (checked: {right}; page 4)"])


def _break_form(world: World, right: str, rng: Random) -> str:
    if world.kind == "json":
        return rng.choice([right[:-9], right.replace('"', "'"), right[:-1] + ",}"])
    other = world.other_answer(rng, right)
    return f"{right}, although {other} could be meant as well"
