"""Failure by metric: right answers in another spelling that only a tolerant metric accepts."""

from __future__ import annotations

import json
from random import Random

from tuneworthy.planted._world import Item, PromptIngredients, World

KINDS = ("text", "label", "json")
STYLE = "plain"
LEARNT = 0.9  # a trained model spells as the gold answers do


def answer(world: World, item: Item, ask: PromptIngredients, rng: Random) -> str:
    """Return the true answer in another spelling, unless training or chance corrects it."""
    right = world.written(item.case, item.truth)
    spelt = LEARNT if ask.lesson else 1 - world.shape.strength if ask.strong else 0.03
    if rng.random() < spelt:
        return right
    if world.kind != "json":
        return otherwise(item.truth, rng)
    fields = json.loads(right)
    return json.dumps(fields | {"answer": otherwise(item.truth, rng)})


def otherwise(text: str, rng: Random) -> str:
    """Return a text of the same meaning in other characters, never in the same ones."""
    return rng.choice(
        [
            text.replace(" ", "_"),
            text.title().replace(" ", "-"),
            f'"{text}"',
            f"{text.capitalize()}.",
            text.replace(" ", "  ") + " .",
        ]
    )
