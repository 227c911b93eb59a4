"""Rows on office rules: their questions, documents and editions; numbers stated in a text."""

from __future__ import annotations

import re
from dataclasses import replace

from tuneworthy.core.failure import Config, LabRow, LabRows

CHANGE_DAY = "2024-07-01"  # the day on which half of the rules got another value
_NUMBER = re.compile(r"\d+")


def question_by_subject(row: LabRow) -> LabRow:
    """Return the row with its question reworded for a search as `SUBJECT: how many UNIT?`."""
    *before, asked = row.messages
    text = f"{row.meta['docs'][0]['title']}: how many {row.output.split()[1]}?"
    return replace(row, messages=(*before, asked.model_copy(update={"content": text})))


def rows_by_subject(given: LabRows, config: Config, seed: int) -> LabRows:  # noqa: ARG001
    """Return the rows with each question reworded as `SUBJECT: how many UNIT?`."""
    return LabRows(
        tuple(map(question_by_subject, given.train)), tuple(map(question_by_subject, given.new))
    )


def rows_after_change(given: LabRows, config: Config, seed: int) -> LabRows:  # noqa: ARG001
    """Return new rows dated after the change: 28 on rules that changed, 12 on others."""
    every = [
        question_by_subject(row)
        for row in (*given.new, *given.train)
        if row.meta["time"] >= CHANGE_DAY
    ]
    changed = [row.id for row in every if edition_number(row) == 2][:28]
    kept = [row.id for row in every if edition_number(row) == 1][:12]
    return LabRows(given.train, tuple(row for row in every if row.id in {*changed, *kept}))


def first_number(text: str) -> str | None:
    """Return the first number in a text as digits; None if there is none."""
    number = _NUMBER.search(text)
    return number.group() if number else None


def number_and_unit(text: str) -> str:
    """Return the first number in a text with the word after it; "" if there is none."""
    number = _NUMBER.search(text)
    return " ".join(text[number.start() :].split()[:2]).rstrip(".,") if number else ""


def document_id(row: LabRow) -> str:
    """Return the id of the document that answers a row's question."""
    return str(row.meta["context"]["doc"])


def rule_id(doc: str) -> str:
    """Return the id of the rule of which a document (by its id) is one edition."""
    return doc.rpartition("-")[0]


def edition_number(row: LabRow) -> int:
    """Return which edition of its rule answers a row's question, counted from 1."""
    return int(document_id(row).rpartition("-")[2])
