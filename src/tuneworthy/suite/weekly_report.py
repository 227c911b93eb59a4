"""Loose figures of a week to a report of fixed layout: six headings, all numbers in their place."""

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

WORDS = load_words("report")

SECTIONS = ("Headline", "Sales", "Costs", "Cash", "Risks", "Next week")
TASK = {
    "name": "weekly-report",
    "instruction": "Write the weekly report of the unit in our layout.",
    "output": {"type": "text", "max_tokens": 160},
    "success": {
        "metric": "outline+must_say",
        "options": {"sections": list(SECTIONS)},
        "margin": 0.10,
    },
    "arms": ["majority", "zero_shot", "few_shot", {"lora": LORA_OPTIONS}],
    "seeds": 1,
}


def make(seed: int, n: int = 360) -> GeneratedTask:
    """Return a task of n weeks of figures with their reports."""
    rng = Random(f"weekly_report {seed}")
    rows = draw_distinct(n, lambda i: _draw_row(rng))
    return GeneratedTask(tuple(rows), TASK, "format", two_thirds(n), "Weekly report", str(__doc__))


def _draw_row(rng: Random) -> dict[str, Any]:
    before = rng.randrange(120, 480)
    revenue = before + rng.choice((-1, 1)) * rng.randrange(2, 60)
    words: dict[str, Any] = {
        "unit": rng.choice(WORDS.business_units), "week": rng.randrange(1, 53), "before": before,
        "revenue": revenue, "change": abs(revenue - before),
        "way": "up" if revenue > before else "down", "orders": rng.randrange(800, 9000),
        "returns": rng.randrange(3, 90), "costs": rng.randrange(revenue // 2, revenue),
        "cash": rng.randrange(40, 900), "event": rng.choice(WORDS.events),
        "risk": rng.choice(WORDS.risks), "plan": rng.choice(WORDS.plans),
    }  # fmt: skip
    words["margin"] = revenue - words["costs"]
    return {
        "input": rng.choice(WORDS.report_shapes).format(**words),
        "output": "\n".join(_report_lines(words)),
        "must_say": [
            *(f"{words[key]}k" for key in ("revenue", "costs", "cash")),
            *(str(words[key]) for key in ("orders", "unit", "risk", "plan")),
        ],
    }


def _report_lines(words: dict[str, Any]) -> list[str]:
    texts = (
        "{unit}, week {week}: revenue {revenue}k, {way} {change}k on the week before.",
        "{orders} orders, {returns} returns. Of note: {event}.",
        "{costs}k, which leaves {margin}k.",
        "{cash}k at the end of the week.",
        "Watch: {risk}.",
        "To do: {plan}.",
    )
    return [
        line
        for title, text in zip(SECTIONS, texts, strict=True)
        for line in (f"## {title}", text.format(**words))
    ]
