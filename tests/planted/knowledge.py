"""Failure by knowledge: invented facts that only documents contain.

Showing the passage helps, and so does retrieving it.
"""

from __future__ import annotations

from random import Random

from tests.planted._system import answer_from_passage
from tests.planted._world import Item, PromptIngredients, World

KINDS = ("text", "number", "label", "json")
STYLE = "docs"


def answer(world: World, item: Item, prompt: PromptIngredients, rng: Random) -> str:
    """Return the answer from the prompt's passage with probability `strength`; else a guess."""
    return answer_from_passage(world, item, prompt, rng)
