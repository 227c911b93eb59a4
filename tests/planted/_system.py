"""The deployed system: its answer to a case, given the case's cause and the prompt's content."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from random import Random

from tests.planted._world import PRESENT, Item, PromptIngredients, World, find_answer, load

RANDOM_SHARE = 0.8  # share of answers drawn at random after training on shuffled answers
SAMPLES_PER_VOTE = 8


def system_answer(world: World, item: Item, prompt: PromptIngredients) -> str:
    """Return the system's answer to a case under a prompt, as text.

    Every prompt spoils some right answers, and no other prompt spoils fewer than today's; otherwise
    any prompt would be a remedy. The file of a cause defines the answer to a case with that cause.
    """
    rng = Random(f"{world.seed} {item.case.id} {prompt.name} {prompt.sample}")
    if prompt.trained and not prompt.trained.sound and rng.random() < RANDOM_SHARE:
        return world.in_form(item.case, rng.choice(world.pool))
    shape = world.shape
    spoilt = shape.slip if prompt.name == PRESENT else max(shape.slip, shape.churn)
    if rng.random() < spoilt:
        return world.in_form(item.case, world.other_answer(rng, item.truth))
    if not item.cause:
        return world.in_form(item.case, item.truth)
    text: str = load(item.cause).answer(world, item, prompt, rng)
    return text


def majority_answer(world: World, item: Item, on: PromptIngredients = PromptIngredients()) -> str:
    """Return the most frequent of eight sampled answers to a case; ties go to the first."""
    prompts = [replace(on, name="vote", sample=n, warm=True) for n in range(SAMPLES_PER_VOTE)]
    said = [system_answer(world, item, prompt) for prompt in prompts]
    return Counter(said).most_common(1)[0][0]


def answer_from_passage(world: World, item: Item, prompt: PromptIngredients, rng: Random) -> str:
    """Return the answer found in the passage with probability `strength`; else a guess."""
    if prompt.passage and rng.random() < world.shape.strength:
        found = find_answer(world, item.content.question, prompt.passage, prompt.strong)
        if found is not None:
            return world.in_form(item.case, found)
    return random_answer(world, item, rng)


def random_answer(world: World, item: Item, rng: Random) -> str:
    """Return a random possible answer (which may be right) in the task's output form."""
    return world.in_form(item.case, rng.choice(world.pool))


def true_with_chance(world: World, item: Item, rng: Random, chance: float) -> str:
    """Return the true answer with probability `chance`, else a wrong one."""
    right = rng.random() < chance
    return world.in_form(item.case, item.truth if right else world.other_answer(rng, item.truth))
