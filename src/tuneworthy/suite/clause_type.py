"""Contract clauses to one of twelve labels: regular wording that a plain classifier can learn."""

from __future__ import annotations

from random import Random
from typing import Any

from tuneworthy.suite._draw import draw_distinct
from tuneworthy.suite._made import LORA, GeneratedTask, two_thirds
from tuneworthy.suite._words_clauses import CLAUSES, OPENERS, PARTIES, PLACES

LABELS = tuple(CLAUSES)
TASK = {
    "name": "clause-type",
    "instruction": "Which type of contract clause is this?",
    "output": {"type": "label", "labels": list(LABELS), "max_tokens": 8},
    "success": {"metric": "accuracy", "margin": 0.10},
    "arms": ["majority", "tfidf", "zero_shot", "few_shot", "constrained", {"lora": LORA}],
    "seeds": 1,
}


def make(seed: int, n: int = 360) -> GeneratedTask:
    """Return n clauses; labels are drawn evenly in random order, in both parts."""
    rng, start = Random(f"clause_type {seed}"), two_thirds(n)
    labels = [*_even(rng, start), *_even(rng, n - start)]
    rows = draw_distinct(n, lambda i: _row(rng, labels[i]))
    return GeneratedTask(tuple(rows), TASK, "learnable", start, "Clause types", str(__doc__))


def _even(rng: Random, n: int) -> list[str]:
    labels = [LABELS[i % len(LABELS)] for i in range(n)]
    rng.shuffle(labels)
    return labels


def _row(rng: Random, label: str) -> dict[str, Any]:
    cores, tails = CLAUSES[label]
    parts = [rng.choice(OPENERS)] if rng.random() < 0.6 else []
    parts += [rng.choice(cores), rng.choice(tails)]
    a, b = rng.choice(PARTIES)
    words = " ".join(part for part in parts if part).split("{n}")
    text = words[0] + "".join(f"{rng.randrange(2, 91)}{rest}" for rest in words[1:])
    text = text.format(a=a, b=b, place=rng.choice(PLACES))
    return {"input": f"{text[0].upper()}{text[1:]}.", "output": label}
