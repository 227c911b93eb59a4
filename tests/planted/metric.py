"""Failure by metric: right answers in another spelling that only a tolerant metric accepts."""

from __future__ import annotations

import json
from random import Random

from tests.planted._world import Item, PromptIngredients, World

KINDS = ("text", "label", "json")
STYLE = "plain"
TRAINED_CHANCE = 0.9  # chance that a trained model spells like the gold answer


def answer(world: World, item: Item, prompt: PromptIngredients, rng: Random) -> str:
    """Return the true answer, mostly in another spelling unless training corrects it."""
    right = world.in_form(item.case, item.truth)
    spelt = (
        TRAINED_CHANCE if prompt.trained else 1 - world.shape.strength if prompt.strong else 0.03
    )
    if rng.random() < spelt:
        return right
    if world.kind != "json":
        return other_spelling(item.truth, rng)
    fields = json.loads(right)
    return json.dumps(fields | {"answer": other_spelling(item.truth, rng)})


def other_spelling(text: str, rng: Random) -> str:
    """Return the text with other case, punctuation or spacing, never unchanged."""
    return rng.choice(
        [
            text.replace(" ", "_"),
            text.title().replace(" ", "-"),
            f'"{text}"',
            f"{text.capitalize()}.",
            text.replace(" ", "  ") + " .",
        ]
    )
