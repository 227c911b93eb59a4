"""General requests, to which a model's own answers are replayed in training.

None of them is, or names the topic of, a text of the harm check (`extras/general_text.py`): a check
on texts that were trained on would show no harm. `tests/unit/training/test_replayed_rows.py` checks
that they differ.
"""

from __future__ import annotations

import random
from functools import cache

REQUESTS = (
    "What is {}? Answer in one sentence.",
    "Name two things that people need for {}.",
    "Describe {} to a child in two sentences.",
    "Give one example of {}.",
    "Why do people care about {}? Be brief.",
    "List three words that go with {}.",
    "Write one question about {}.",
    "What should one avoid with {}? One sentence.",
    "Who would know most about {}?",
    "Write a short headline about {}.",
    "Where would you find {}? Answer briefly.",
    "State one common mistake about {}.",
)
SUBJECTS = (
    "a bridge", "a post office", "cooking rice", "a thunderstorm", "a violin", "a recipe book",
    "keeping bees", "a fire drill", "a river delta", "a night bus", "painting a wall", "a volcano",
    "a school trip", "a water pump", "sewing a button", "a street lamp", "a savings account",
    "a football match", "a compass", "making soup", "a hospital ward", "a coral reef", "juggling",
    "an election", "a bakery", "first aid", "a mountain hut", "a telephone call", "a clay pot",
    "riding a horse", "a sundial", "an orchard", "a birthday card", "a ferry", "knitting",
    "an earthquake", "a desert", "a newspaper", "folding paper", "a swimming pool",
)  # fmt: skip


@cache
def general_prompts() -> tuple[str, ...]:
    """Return 480 requests, each of REQUESTS about each of SUBJECTS, in a fixed shuffled order."""
    made = [request.format(subject) for request in REQUESTS for subject in SUBJECTS]
    random.Random("general prompts").shuffle(made)
    return tuple(made)
