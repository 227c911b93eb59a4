"""Replies of a support desk in a house voice: warm and short, with the facts of a desk note."""

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

_SUPPORT = load_words("support")
WORDS = load_words("voice")

TASK = {
    "name": "house-voice",
    "instruction": "Reply to the customer in the voice of our house, with what the desk note says.",
    "output": {"type": "text", "max_tokens": 80},
    "success": {"metric": "style_match+must_say", "margin": 0.10},
    "arms": ["majority", "zero_shot", "few_shot", {"lora": LORA_OPTIONS}],
    "seeds": 1,
}


def make(seed: int, n: int = 360) -> GeneratedTask:
    """Return a task of n messages with a desk note and the reply; the test part has new names."""
    rng, start = Random(f"house_voice {seed}"), two_thirds(n)
    rows = draw_distinct(
        n, lambda i: _draw_row(rng, _SUPPORT.names if i < start else _SUPPORT.unseen_names)
    )
    return GeneratedTask(tuple(rows), TASK, "convention", start, "House voice", str(__doc__))


def _draw_row(rng: Random, names: tuple[str, ...]) -> dict[str, Any]:
    messages, note, replies, required_phrases = rng.choice(WORDS.message_kinds)
    words = {
        "name": rng.choice(names),
        "order": f"{rng.choice('ABCDEHKMRTX')}{rng.randrange(100, 1000)}",
        "item": rng.choice(_SUPPORT.items),
        "day": rng.choice(_SUPPORT.weekdays[:3]),
        "when": rng.choice(_SUPPORT.weekdays[3:]),
        "sum": str(rng.randrange(7, 180)),
    }
    parts = {"text": rng.choice(messages), "note": note}
    shape = (
        rng.choice(WORDS.message_shapes)
        .replace("{text}", parts["text"])
        .replace("{note}", parts["note"])
    )
    reply = " ".join(
        (
            rng.choice(WORDS.reply_openers),
            rng.choice(replies),
            rng.choice(WORDS.reply_closers),
        )
    )
    return {
        "input": shape.format(**words),
        "output": reply.format(**words),
        "must_say": [part.format(**words) for part in (*required_phrases, "{order}")],
        "must_not_say": list(WORDS.forbidden_words),
    }
