"""Failure by a learnable table: too large for a prompt, but 100 training rows teach it."""

from __future__ import annotations

from random import Random

from tests.planted._world import CaseContent, Item, PromptIngredients, World

KINDS = ("label", "text", "json", "number")
STYLE = "plain"


def pose(world: World, truth: str, rng: Random) -> CaseContent:
    """Return a question on a key of the table; its gold answer is the key's entry."""
    key = rng.choice(list(world.table))
    question = f"Which answer goes with {key} in note {rng.randrange(10**6)}?"
    return CaseContent(question, facts={"key": key}, gold=world.table[key])


def answer(world: World, item: Item, prompt: PromptIngredients, rng: Random) -> str:
    """Return the key's answer from examples or training, else mostly a guess fixed per key."""
    key = item.content.facts["key"]
    known = {**dict(prompt.shots), **(prompt.trained.table if prompt.trained else {})}
    if key in known and rng.random() < world.shape.strength:
        return world.in_form(item.case, known[key])
    fixed = Random(f"{world.seed} {key} {prompt.strong}").choice(world.pool)
    return world.in_form(item.case, fixed if rng.random() < 0.9 else rng.choice(world.pool))
