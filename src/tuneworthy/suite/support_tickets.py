"""Support messages to a fixed JSON record: who, which order, one or two issues of six kinds."""

from __future__ import annotations

import json
import re
from random import Random
from typing import Any

from tuneworthy.suite._made import (
    LORA_OPTIONS,
    GeneratedTask,
    add_typo,
    draw_distinct,
    load_words,
    two_thirds,
)

WORDS = load_words("support")

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": ["string", "null"], "maxLength": 20},
        "order": {"type": ["string", "null"], "maxLength": 8},
        "issues": {
            "type": "array",
            "minItems": 1,
            "maxItems": 2,
            "items": {
                "type": "object",
                "properties": {
                    "kind": {"enum": list(WORDS.issue_kinds)},
                    "item": {"type": ["string", "null"], "maxLength": 20},
                },
                "required": ["kind", "item"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["name", "order", "issues"],
    "additionalProperties": False,
}
TASK = {
    "name": "support-tickets",
    "instruction": "Read the message and answer with a JSON object that follows the schema."
    " Use null for what the message does not say.",
    "output": {"type": "json", "schema": "schema.json", "max_tokens": 44},
    "success": {"metric": "fields_f1", "margin": 0.10},
    "arms": [
        "majority",
        "zero_shot",
        "few_shot",
        {"optimised_prompt": {"budget": 4}},
        "constrained",
        {"lora": LORA_OPTIONS},
    ],
    "seeds": 1,
}


def make(seed: int, n: int = 360) -> GeneratedTask:
    """Return a task of n messages with their records; the test part has new names."""
    rng, start = Random(f"support_tickets {seed}"), two_thirds(n)
    rows = draw_distinct(
        n, lambda i: _draw_row(rng, WORDS.names if i < start else WORDS.unseen_names)
    )
    return GeneratedTask(
        tuple(rows), TASK, "format", start, "Support tickets", str(__doc__), schema=SCHEMA
    )


def _draw_row(rng: Random, names: tuple[str, ...]) -> dict[str, Any]:
    name = rng.choice(names) if rng.random() < 0.7 else None
    order = f"{rng.choice('ABCDEHKMRTX')}{rng.randrange(10, 1000)}" if rng.random() < 0.7 else None
    issues, said = [], []
    for kind in rng.sample(WORDS.issue_kinds, 2 if rng.random() < 0.3 else 1):
        item = rng.choice(WORDS.items) if kind in WORDS.kinds_with_item else None
        issues.append({"kind": kind, "item": item})
        said.append(_fill_words(rng, rng.choice(WORDS.complaints[kind]), item=item))
    shape = rng.choice(WORDS.message_shapes)
    text = _fill_words(
        rng, _fill_shape(shape, name, order), a=rng.choice(WORDS.conjunctions).join(said)
    )
    if rng.random() < 0.3:
        text = add_typo(rng, text, frozenset({*WORDS.items, *names}))
    record = {"name": name, "order": order, "issues": issues}
    return {"input": text, "output": json.dumps(record, separators=(",", ":"))}


def _fill_shape(shape: str, name: str | None, order: str | None) -> str:
    """Return the shape with name and order filled in, without bracketed parts of absent fields."""
    fields = {"name": name, "order": order}

    def part(match: re.Match[str]) -> str:
        inner = match.group(1)
        absent = any(value is None and f"{{{key}}}" in inner for key, value in fields.items())
        return "" if absent else inner

    text = re.sub(r"\[([^\]]*)\]", part, shape)
    return text.replace("{name}", name or "").replace("{order}", order or "").strip(" ,.-/")


def _fill_words(rng: Random, text: str, **more: str | None) -> str:
    return text.format(
        days=rng.randrange(3, 30),
        weekday=rng.choice(WORDS.weekdays),
        other=rng.choice(WORDS.names),
        **more,
    )
