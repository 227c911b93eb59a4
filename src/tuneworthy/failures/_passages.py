"""Build rows that ask for a value of an office rule, with or without a passage in the prompt."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Any

from tuneworthy.core.case import Message
from tuneworthy.core.failure import LabRow
from tuneworthy.core.record import digest

REFUSAL = "not stated"
REFUSAL_INSTRUCTION = f" If the passage does not say it, answer: {REFUSAL}"


def answering_document(row: LabRow) -> Mapping[str, Any]:
    """Return the document that states a row's answer."""
    own = row.meta["context"]["doc"]
    doc: Mapping[str, Any] = next(doc for doc in row.meta["docs"] if doc["id"] == own)
    return doc


def other_passage(row: LabRow, pool: Sequence[LabRow], rng: Random) -> Mapping[str, Any]:
    """Return a random other document from `pool`, of the same office or rule if there is one."""
    own = answering_document(row)
    office, rule = office_and_rule(own)
    others = [answering_document(each) for each in pool]
    near = [doc for doc in others if doc["title"] != own["title"]
            and (office_and_rule(doc)[0] == office or office_and_rule(doc)[1] == rule)]  # fmt: skip
    return rng.choice(near or [doc for doc in others if doc["title"] != own["title"]])


def office_and_rule(doc: Mapping[str, Any]) -> tuple[str, str]:
    """Return the office and the rule that a document's title names."""
    office, _, rule = str(doc["title"]).partition(": ")
    return office, rule


def edition_row(row: LabRow, words: str, edition: int, with_text: bool) -> LabRow:
    """Return a row that asks for the row's rule in `words`; its answer is the value of one edition.

    `with_text` puts that edition's text before the question. `meta["older"]` has older values.
    """
    unit, docs = row.output.split()[1], row.meta["docs"]
    office, rule = office_and_rule(docs[edition])
    text = words.format(office=office, rule=rule, unit=unit)
    if with_text:
        text = f"Passage: {docs[edition]['text']}\n\nQuestion: {text}"
    values = [_stated_value(doc, unit) for doc in docs]
    turns = (*row.messages[:-1], Message(role="user", content=text))
    meta = {"older": values[:edition]}
    name = f"{row.id} {digest(words, 4)}"
    return replace(row, id=name, messages=turns, output=values[edition], meta=meta)


def _stated_value(doc: Mapping[str, Any], unit: str) -> str:
    """Return the value that a document states, for instance "12 weeks"."""
    found = re.search(rf"\d+ {re.escape(unit)}\b", doc["text"])
    if found is None:
        raise ValueError(f"{doc['id']} states no number of {unit}")
    return found[0]


def with_passage(row: LabRow, doc: Mapping[str, Any], answer: str) -> LabRow:
    """Return a row whose question follows a passage, with the answer that the passage allows."""
    turns = [
        turn.model_copy(update={"content": turn.content + REFUSAL_INSTRUCTION})
        if turn.role == "system"
        else turn
        for turn in row.messages[:-1]
    ]
    asked = f"Passage: {doc['text']}\n\nQuestion: {row.input}"
    return replace(row, messages=(*turns, Message(role="user", content=asked)), output=answer)
