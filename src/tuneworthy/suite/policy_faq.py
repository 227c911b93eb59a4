"""Questions on office rules whose answers stand in dated documents and nowhere else."""

from __future__ import annotations

from itertools import product
from random import Random
from typing import Any

from tuneworthy.records.errors import TaskError
from tuneworthy.suite._made import GeneratedTask, draw_distinct, load_words, two_thirds

WORDS = load_words("policy")

FIRST_DAY, CHANGE_DAY, LAST_DAY = "2023-01-01", "2024-07-01", "2025-12-31"
TASK = {
    "name": "policy-faq",
    "instruction": "Answer the question on our office rules with a number and its unit only.",
    "output": {"type": "text", "max_tokens": 12},
    "success": {"metric": "token_f1", "margin": 0.10},
}


def make(seed: int, n: int = 360) -> GeneratedTask:
    """Return a task of n questions with dated documents; every rule of every office has one.

    A rule that changed has two documents; a row's `time` decides which of them is in force. Each
    rule of an office is asked in one row only, so no training row holds a test row's fact. More
    than 480 rows need more offices. Raises TaskError beyond 1,500 rows, the number of rules.
    """
    offices = (
        WORDS.offices
        if n <= len(WORDS.offices) * len(WORDS.rules)
        else (*WORDS.offices, *WORDS.more_offices)
    )
    rng, cells = Random(f"policy_faq {seed}"), list(product(offices, WORDS.rules))
    rng.shuffle(cells)
    books = [_draw_documents(rng, office, rule, i) for i, (office, rule) in enumerate(cells)]
    if n > len(cells):
        raise TaskError(
            "there are no more rules to ask for", got=str(n), fix=f"{len(cells)} rows or fewer"
        )
    rows = draw_distinct(n, lambda i: _draw_row(rng, *cells[i], books[i]))
    docs = tuple({k: v for k, v in doc.items() if k != "value"} for book in books for doc in book)
    return GeneratedTask(
        tuple(rows), TASK, "knowledge", two_thirds(n), "Office rules", str(__doc__), docs=docs
    )


def _draw_documents(
    rng: Random, office: str, rule: tuple[Any, ...], number: int
) -> list[dict[str, Any]]:
    """Return the documents of one office's rule, oldest first, with the value each one states."""
    _, term, unit, low, high = rule
    values = rng.sample(range(low, high + 1), 2 if rng.random() < 0.5 else 1)
    spans = (
        [(FIRST_DAY, CHANGE_DAY), (CHANGE_DAY, None)] if len(values) == 2 else [(FIRST_DAY, None)]
    )
    books = []
    for edition, (value, (start, end)) in enumerate(zip(values, spans, strict=True), 1):
        said = rng.choice(WORDS.rule_sentences).format(
            office=office, term=term, value=value, unit=unit
        )
        title = f"{office}: {term.removeprefix('the ')}"
        book: dict[str, Any] = {"id": f"rule-{number:03d}-{edition}", "title": title}
        book |= {"text": f"{said} {rng.choice(WORDS.second_sentences)}", "from": start, "to": end}
        books.append(book | {"value": f"{value} {unit}"})
    return books


def _draw_row(
    rng: Random, office: str, rule: tuple[Any, ...], books: list[dict[str, Any]]
) -> dict[str, Any]:
    book = rng.choice(books)
    start, end = book["from"], book["to"] or LAST_DAY
    text = rng.choice(WORDS.questions).format(office=office, topic=rule[0], unit=rule[2])
    year, month = rng.choice(_months_between(start, end))
    row = {"input": text, "output": book["value"], "time": f"{year}-{month:02d}-15"}
    return row | {"context": {"doc": book["id"]}}


def _months_between(start: str, end: str) -> list[tuple[int, int]]:
    low, high = (int(day[:4]) * 12 + int(day[5:7]) - 1 for day in (start, end))
    return [(m // 12, m % 12 + 1) for m in range(low, high)]
