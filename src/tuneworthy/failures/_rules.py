"""Read rules: the number of a passage, the document of a question, the rule that it belongs to."""

from __future__ import annotations

import re
from dataclasses import replace

from tuneworthy.core.failure import Config, LabRow, LabRows

CHANGE = "2024-07-01"  # the day on which half of the rules got another value
_NUMBER = re.compile(r"\d+")


def about(row: LabRow) -> LabRow:
    """Return the row with its question under the subject of its rule, which a search finds."""
    *before, asked = row.messages
    text = f"{row.meta['docs'][0]['title']}: how many {row.output.split()[1]}?"
    return replace(row, messages=(*before, asked.model_copy(update={"content": text})))


def by_subject(given: LabRows, config: Config, seed: int) -> LabRows:  # noqa: ARG001
    """Return the rows with each question under the subject of its rule."""
    return LabRows(tuple(map(about, given.train)), tuple(map(about, given.new)))


def after_change(given: LabRows, config: Config, seed: int) -> LabRows:  # noqa: ARG001
    """Return questions of a day after the change: 28 on rules that changed, 12 on others."""
    every = [about(row) for row in (*given.new, *given.train) if row.meta["time"] >= CHANGE]
    changed = [row.id for row in every if edition(row) == 2][:28]
    kept = [row.id for row in every if edition(row) == 1][:12]
    return LabRows(given.train, tuple(row for row in every if row.id in {*changed, *kept}))


def first_number(text: str) -> str | None:
    """Return the first number in a text."""
    number = _NUMBER.search(text)
    return number.group() if number else None


def number_and_unit(text: str) -> str:
    """Return the first number in a text with the word behind it, "" if there is none."""
    number = _NUMBER.search(text)
    return " ".join(text[number.start() :].split()[:2]).rstrip(".,") if number else ""


def document(row: LabRow) -> str:
    """Return the document that answers the row's question."""
    return str(row.meta["context"]["doc"])


def rule(doc: str) -> str:
    """Return the rule of a document, of which it is one edition."""
    return doc.rpartition("-")[0]


def edition(row: LabRow) -> int:
    """Return which edition of its rule answers the row's question, 1 for the first."""
    return int(document(row).rpartition("-")[2])
