"""Questions on data sheets that come in editions: of several values only the newest counts."""

from __future__ import annotations

from itertools import islice, product
from random import Random
from typing import Any

from tuneworthy.records.errors import TaskError
from tuneworthy.suite._made import GeneratedTask, draw_distinct, load_words, two_thirds

WORDS = load_words("sheets")

_EDITIONS = ("2023-03-01", "2024-02-01", "2025-06-01")
_CHANGE_CHANCE = 0.6  # the chance that a new edition of a sheet changes a value
TASK = {
    "name": "changing-facts",
    "instruction": "Answer the question on our products with a number and its unit only."
    " The newest data sheet counts.",
    "output": {"type": "text", "max_tokens": 12},
    "success": {"metric": "token_f1", "margin": 0.10},
}


def make(seed: int, n: int = 360) -> GeneratedTask:
    """Return n questions with the data sheets of all products they ask about.

    Each value of a product is asked for in one row only, so no training row holds a test row's
    fact. Raises TaskError beyond 1,800 rows, the number of values.
    """
    rng = Random(f"changing_facts {seed}")
    names = [first + last for first, last in product(WORDS.first_parts, WORDS.last_parts)]
    if n > (most := len(names) * len(WORDS.attributes)):
        raise TaskError("there are no more facts", got=str(n), fix=f"{most} rows or fewer")
    rng.shuffle(names)
    names = names[: -(-n // len(WORDS.attributes))]
    sheets = {name: _draw_sheets(rng, name) for name in names}
    asked = list(product(names, WORDS.attributes))
    rng.shuffle(asked)
    asked = list(islice(asked, n))
    rows = draw_distinct(n, lambda i: _draw_row(rng, *asked[i], sheets[asked[i][0]]))
    docs = tuple(
        {key: value for key, value in sheet.items() if key != "values"}
        for each in sheets.values()
        for sheet in each
    )
    return GeneratedTask(
        tuple(rows), TASK, "knowledge", two_thirds(n), "Changing facts", str(__doc__), docs=docs
    )


def _draw_sheets(rng: Random, name: str) -> list[dict[str, Any]]:
    """Return the data sheets of a product, the oldest first, each with the values it states."""
    days = _EDITIONS[rng.randrange(len(_EDITIONS)) :]
    values = {key: rng.randint(low, high) for key, (_, low, high, *_) in WORDS.attributes.items()}
    sheets = []
    for edition, (day, end) in enumerate(zip(days, (*days[1:], None), strict=True), 1):
        if edition > 1:
            values = {key: _draw_next_value(rng, key, value) for key, value in values.items()}
        said = [WORDS.attributes[key][3].format(v=value) for key, value in values.items()]
        rng.shuffle(said)
        head = rng.choice(WORDS.sheet_openings).format(p=name, e=edition, day=day)
        sheet = {"id": f"{name.lower()}-{edition}", "title": f"{name}, edition {edition}"}
        dated = {"from": day, "to": end, "values": values}
        sheets.append({**sheet, "text": " ".join([head, *said]), **dated})
    return sheets


def _draw_next_value(rng: Random, key: str, value: int) -> int:
    """Return a value in the next edition: another one with probability .6, else the same."""
    _, low, high, *_ = WORDS.attributes[key]
    new = rng.randint(low, high - 1)
    return new + (new >= value) if rng.random() < _CHANGE_CHANCE else value


def _draw_row(rng: Random, name: str, key: str, sheets: list[dict[str, Any]]) -> dict[str, Any]:
    unit, newest = WORDS.attributes[key][0], sheets[-1]
    text = rng.choice(WORDS.question_openings) + rng.choice(WORDS.attributes[key][4]).format(p=name)
    answer = f"{newest['values'][key]} {unit}"
    return {"input": text, "output": answer, "context": {"doc": newest["id"]}}
