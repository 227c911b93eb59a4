"""Find the failed cases whose right answer is in their passage word for word. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from tuneworthy.metrics._leaves import parse
from tuneworthy.metrics._numbers import numbers
from tuneworthy.records.case import Case
from tuneworthy.records.task import Task
from tuneworthy.rows.copies import normalised_text

_WORD = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+|[%$€£°]")


_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")


def cases_with_answer_in_passage(
    task: Task, cases: Sequence[Case], fails: Sequence[str]
) -> tuple[str, ...] | None:
    """Return ids of failed cases with a right answer in their `context`; None if none has one.

    Case, spacing and punctuation are ignored. A number must occur as a number, and every leaf of a
    JSON answer as text. None: no failed case has a passage.
    """
    failed = set(fails)
    with_passage = [case for case in cases if case.id in failed and case.context is not None]
    return (
        tuple(sorted(case.id for case in with_passage if _context_has_answer(task, case)))
        if with_passage
        else None
    )


def _context_has_answer(task: Task, case: Case) -> bool:
    passage = case.context or ""
    return any(_passage_has_answer(task, right, passage) for right in (case.output, *case.accepted))


def _passage_has_answer(task: Task, right: str, passage: str) -> bool:
    if task.output.type == "number" and (values := numbers(right)):
        return values[-1].value in {number.value for number in numbers(passage)}
    if task.output.type == "json":
        try:
            parts = [text for text in _json_leaves(parse(right)) if text]
        except ValueError:
            return False
        return bool(parts) and all(contains_text(passage, part) for part in parts)
    return contains_text(passage, right)


def contains_text(passage: str, text: str) -> bool:
    """Return whether a passage contains a text word for word, ignoring case and punctuation."""
    words = _padded_words(text)
    return bool(words.strip()) and words in _padded_words(passage)


def _padded_words(text: str) -> str:
    """Return the normalised words of a text, one space before and after each."""
    tokens = _WORD.findall(normalised_text(text))
    return f" {' '.join(w.replace(',', '') if _THOUSANDS.fullmatch(w) else w for w in tokens)} "


def _json_leaves(value: Any) -> Iterator[str]:
    """Yield the texts and numbers of a JSON value; true, false and null are skipped."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _json_leaves(inner)
    elif value is not None and not isinstance(value, bool):
        yield str(value)
