"""Failure by capability: a small model errs in multi-step questions; a larger one does not.

The small model always makes the same error.
"""

from __future__ import annotations

from random import Random

from tests.planted._world import CaseContent, Item, PromptIngredients, World, plain_question

KINDS = ("number", "text", "label", "json")
STYLE = "plain"
STEP_COUNT = 4


def pose(world: World, truth: str, rng: Random) -> CaseContent:
    """Return a question that walks four steps through the list of answers to the true one."""
    steps = [rng.randrange(1, 90) for _ in range(STEP_COUNT)]
    start = (world.pool.index(truth) - sum(steps)) % len(world.pool)
    path = ", then ".join(f"{step} on" for step in steps)
    posed = plain_question(world, truth, rng)
    question = f"{posed.question} Start at {world.pool[start]}, go {path}, round and round."
    return posed._replace(question=question, facts={"start": start, "steps": steps})


def answer(world: World, item: Item, prompt: PromptIngredients, rng: Random) -> str:
    """Return the answer at which the walk ends; a small model mostly errs at the list's end."""
    place, size = item.content.facts["start"], len(world.pool)
    able = prompt.strong and rng.random() < world.shape.strength
    for step in item.content.facts["steps"]:
        place += step
        if place >= size and not able:
            place = size - 1 - place % 2  # it stays near the end of the list
        place %= size
    if not able and rng.random() < 0.05:
        return world.in_form(item.case, rng.choice(world.pool))
    return world.in_form(item.case, world.pool[place])
