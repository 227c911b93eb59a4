"""The deployed system: what it says to a case, from what it lacks and what the prompt gives it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from random import Random

from tuneworthy.core import plugins
from tuneworthy.planted._world import PRESENT, Ask, Item, World, read

SCRAMBLED = 0.8  # answers that a model trained on shuffled answers draws from what it saw
VOTES = 8


def say(world: World, item: Item, ask: Ask) -> str:
    """Return the system's answer, as text.

    Every other prompt than today's spoils some right answers, whatever it adds: no fewer than
    today's own slips, else any prompt would be a remedy. What the system
    says where it lacks something is in the file of that cause.
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


def vote(world: World, item: Item, on: Ask = Ask()) -> str:
    """Return the commonest of eight samples of a prompt; ties go to the first seen."""
    asks = [replace(on, name="vote", sample=n, warm=True) for n in range(VOTES)]
    said = [say(world, item, ask) for ask in asks]
    return Counter(said).most_common(1)[0][0]


def followed(world: World, item: Item, ask: Ask, rng: Random) -> str:
    """Return what the passage says, as far as it is followed; without one a guess."""
    if ask.passage and rng.random() < world.shape.strength:
        found = read(world, item.posed.question, ask.passage, ask.strong)
        if found is not None:
            return world.written(item.case, found)
    return guess(world, item, rng)


def guess(world: World, item: Item, rng: Random) -> str:
    """Return an answer of a system that does not know: any there is."""
    return world.written(item.case, rng.choice(world.pool))


def told(world: World, item: Item, rng: Random, chance: float) -> str:
    """Return the true answer with some chance, else another."""
    right = rng.random() < chance
    return world.written(item.case, item.truth if right else world.other(rng, item.truth))
