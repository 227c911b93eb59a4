"""Sums told in words: two to four steps of arithmetic or logic, and one number as the answer."""

from __future__ import annotations

from random import Random
from typing import Any

from tuneworthy.suite._made import (
    LORA_OPTIONS,
    GeneratedTask,
    draw_distinct,
    load_words,
    two_thirds,
)

WORDS = load_words("sums")

_LARGEST_SUM = 2000  # the most that a product may be
_PUT_ASIDE = 10  # the number that the step `if_more` subtracts
TASK = {
    "name": "word-sums",
    "instruction": "Work out the sum. End with the answer as one number.",
    "output": {"type": "number", "max_tokens": 96},
    "success": {"metric": "number", "margin": 0.10},
    "arms": ["majority", "zero_shot", "few_shot", {"lora": LORA_OPTIONS}],
    "seeds": 1,
}


def make(seed: int, n: int = 360) -> GeneratedTask:
    """Return a task of n sums; a row's `meta.steps` counts its steps from the first sentence on."""
    rng = Random(f"word_sums {seed}")
    rows = draw_distinct(n, lambda i: _draw_row(rng))
    return GeneratedTask(tuple(rows), TASK, "capability", two_thirds(n), "Word sums", str(__doc__))


def _draw_row(rng: Random) -> dict[str, Any]:
    place = rng.choice(WORDS.places)
    said = {"who": rng.choice(WORDS.people), "things": rng.choice(WORDS.things), "place": place}
    said |= {"Place": f"{place[0].upper()}{place[1:]}"}
    steps = rng.randrange(2, 5)
    if rng.random() < 0.4:
        a, b = rng.randrange(3, 15), rng.randrange(4, 25)
        value, parts, done = (
            a * b,
            [rng.choice(WORDS.product_sentences).format(a=a, b=b, **said)],
            1,
        )
    else:
        value = rng.randrange(20, 240)
        parts, done = [rng.choice(WORDS.start_sentences).format(a=value, **said)], 0
    for _ in range(steps - done):
        name, k, value = _draw_step(rng, value)
        parts.append(rng.choice(WORDS.step_sentences[name]).format(k=k))
    parts.append(rng.choice(WORDS.closing_questions).format(**said))
    return {"input": " ".join(parts), "output": str(value), "meta": {"steps": steps}}


def _draw_step(rng: Random, value: int) -> tuple[str, int, int]:
    """Return a step that is possible at `value`: its name, its number, and the value after it."""
    name = rng.choice(list(WORDS.step_sentences))
    if name == "share":
        parts = [k for k in range(2, 10) if value % k == 0 and value > k]
        if parts:
            k = rng.choice(parts)
            return name, k, value // k
    elif name == "times" and value * 2 <= _LARGEST_SUM:
        k = rng.randrange(2, min(5, _LARGEST_SUM // value) + 1)
        return name, k, value * k
    elif name == "if_more" and value > _PUT_ASIDE + 1:
        k = max(_PUT_ASIDE, value + rng.choice((-1, 1)) * rng.randrange(1, 30))
        return name, k, value - _PUT_ASIDE if value > k else value
    elif name == "take" and value > 3:
        k = rng.randrange(1, value - 1)
        return name, k, value - k
    k = rng.randrange(3, 90)
    return "add", k, value + k
