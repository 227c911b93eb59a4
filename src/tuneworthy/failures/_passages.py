"""Questions on office rules with a passage in the prompt, and the values that passages state."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Any

from tuneworthy.core.case import Message
from tuneworthy.core.failure import LabRow
from tuneworthy.core.record import digest

NOT_SAID = "not stated"
RULE = f" If the passage does not say it, answer: {NOT_SAID}"


def in_force(row: LabRow) -> Mapping[str, Any]:
    """Return the document that holds the answer of a row."""
    own = row.meta["context"]["doc"]
    doc: Mapping[str, Any] = next(doc for doc in row.meta["docs"] if doc["id"] == own)
    return doc


def other_passage(row: LabRow, pool: Sequence[LabRow], rng: Random) -> Mapping[str, Any]:
    """Return a similar document without the answer: of the same office, or on the same rule."""
    own = in_force(row)
    office, rule = parts(own)
    others = [in_force(each) for each in pool]
    near = [doc for doc in others if doc["title"] != own["title"]
            and (parts(doc)[0] == office or parts(doc)[1] == rule)]  # fmt: skip
    return rng.choice(near or [doc for doc in others if doc["title"] != own["title"]])


def parts(doc: Mapping[str, Any]) -> tuple[str, str]:
    """Return the office and the rule of a document's title."""
    office, _, rule = str(doc["title"]).partition(": ")
    return office, rule


def dated(row: LabRow, words: str, edition: int, with_text: bool) -> LabRow:
    """Return a question on the rule of a row, asked in `words`, with the value of one edition.

    `with_text` puts that edition's text before the question. `meta["older"]` has older values.
    """
    unit, docs = row.output.split()[1], row.meta["docs"]
    office, rule = parts(docs[edition])
    text = words.format(office=office, rule=rule, unit=unit)
    if with_text:
        text = f"Passage: {docs[edition]['text']}\n\nQuestion: {text}"
    values = [_value(doc, unit) for doc in docs]
    turns = (*row.messages[:-1], Message(role="user", content=text))
    meta = {"older": values[:edition]}
    name = f"{row.id} {digest(words, 4)}"
    return replace(row, id=name, messages=turns, output=values[edition], meta=meta)


def _value(doc: Mapping[str, Any], unit: str) -> str:
    """Return the value that a document states, for instance "12 weeks"."""
    found = re.search(rf"\d+ {re.escape(unit)}\b", doc["text"])
    if found is None:
        raise ValueError(f"{doc['id']} states no number of {unit}")
    return found[0]


def with_passage(row: LabRow, doc: Mapping[str, Any], answer: str) -> LabRow:
    """Return a row whose question follows a passage, with the answer that the passage allows."""
    turns = [
        turn.model_copy(update={"content": turn.content + RULE}) if turn.role == "system" else turn
        for turn in row.messages[:-1]
    ]
    asked = f"Passage: {doc['text']}\n\nQuestion: {row.input}"
    return replace(row, messages=(*turns, Message(role="user", content=asked)), output=answer)
