"""Contract clauses to one of twelve labels: regular wording that a plain classifier can learn."""

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

WORDS = load_words("clauses")

LABELS = tuple(WORDS.clause_wordings)
TASK = {
    "name": "clause-type",
    "instruction": "Which type of contract clause is this?",
    "output": {"type": "label", "labels": list(LABELS), "max_tokens": 8},
    "success": {"metric": "accuracy", "margin": 0.10},
    "arms": ["majority", "tfidf", "zero_shot", "few_shot", "constrained", {"lora": LORA_OPTIONS}],
    "seeds": 1,
}


def make(seed: int, n: int = 360) -> GeneratedTask:
    """Return a task of n clauses; training and test part each hold every label equally often."""
    rng, start = Random(f"clause_type {seed}"), two_thirds(n)
    labels = [*_draw_even_labels(rng, start), *_draw_even_labels(rng, n - start)]
    rows = draw_distinct(n, lambda i: _draw_row(rng, labels[i]))
    return GeneratedTask(tuple(rows), TASK, "learnable", start, "Clause types", str(__doc__))


def _draw_even_labels(rng: Random, n: int) -> list[str]:
    labels = [LABELS[i % len(LABELS)] for i in range(n)]
    rng.shuffle(labels)
    return labels


def _draw_row(rng: Random, label: str) -> dict[str, Any]:
    cores, tails = WORDS.clause_wordings[label]
    parts = [rng.choice(WORDS.clause_openers)] if rng.random() < 0.6 else []
    parts += [rng.choice(cores), rng.choice(tails)]
    a, b = rng.choice(WORDS.parties)
    words = " ".join(part for part in parts if part).split("{n}")
    text = words[0] + "".join(f"{rng.randrange(2, 91)}{rest}" for rest in words[1:])
    text = text.format(a=a, b=b, place=rng.choice(WORDS.places))
    return {"input": f"{text[0].upper()}{text[1:]}.", "output": label}
