"""The deployed system: its answer to a case, given the case's lack and the prompt's content."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from random import Random

from tuneworthy.core import plugins
from tuneworthy.planted._world import PRESENT, Item, PromptIngredients, World, read

SCRAMBLED = 0.8  # after training on shuffled answers, the share of answers drawn at random
VOTES = 8


def system_answer(world: World, item: Item, ask: PromptIngredients) -> str:
    """Return the system's answer as text.

    Any prompt other than today's spoils some right answers, whatever it adds, and no fewer than
    today's own slips; otherwise any prompt would be a remedy. The file of a cause defines the
    answer to a case that lacks something.
    """
    rng = Random(f"{world.seed} {item.case.id} {ask.name} {ask.sample}")
    if ask.lesson and not ask.lesson.sound and rng.random() < SCRAMBLED:
        return world.written(item.case, rng.choice(world.pool))
    shape = world.shape
    spoilt = shape.slip if ask.name == PRESENT else max(shape.slip, shape.churn)
    if rng.random() < spoilt:
        return world.written(item.case, world.other(rng, item.truth))
    if not item.lack:
        return world.written(item.case, item.truth)
    text: str = plugins.load("planted", item.lack).answer(world, item, ask, rng)
    return text


def vote(world: World, item: Item, on: PromptIngredients = PromptIngredients()) -> str:
    """Return the most frequent of eight samples of a prompt; ties go to the first one."""
    asks = [replace(on, name="vote", sample=n, warm=True) for n in range(VOTES)]
    said = [system_answer(world, item, ask) for ask in asks]
    return Counter(said).most_common(1)[0][0]


def answer_from_passage(world: World, item: Item, ask: PromptIngredients, rng: Random) -> str:
    """Return the answer from the passage with probability `strength`; otherwise a guess."""
    if ask.passage and rng.random() < world.shape.strength:
        found = read(world, item.posed.question, ask.passage, ask.strong)
        if found is not None:
            return world.written(item.case, found)
    return guess(world, item, rng)


def guess(world: World, item: Item, rng: Random) -> str:
    """Return a guess: any answer of the pool."""
    return world.written(item.case, rng.choice(world.pool))


def true_with_chance(world: World, item: Item, rng: Random, chance: float) -> str:
    """Return the true answer with probability `chance`, else another one."""
    right = rng.random() < chance
    return world.written(item.case, item.truth if right else world.other(rng, item.truth))
