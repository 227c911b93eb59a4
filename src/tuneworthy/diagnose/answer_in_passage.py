"""Which failed cases have their right answer word for word in their passage. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from tuneworthy.core.case import Case
from tuneworthy.core.task import Task
from tuneworthy.data.copies import plain_key
from tuneworthy.metrics._json import parse
from tuneworthy.metrics._numbers import numbers

_WORD = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+|[%$€£°]")
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")


def literal(task: Task, cases: Sequence[Case], fails: Sequence[str]) -> tuple[str, ...] | None:
    """Return the ids of failed cases whose right answer, or an accepted one, stands in `context`.

    Case, spacing and punctuation are nothing. A number must stand there as a number, every leaf
    of a JSON answer as a text. None where no failed case has a passage.
    """
    wanted = set(fails)
    led = [case for case in cases if case.id in wanted and case.context is not None]
    return tuple(sorted(case.id for case in led if _stands(task, case))) if led else None


def _stands(task: Task, case: Case) -> bool:
    passage = case.context or ""
    return any(_in(task, right, passage) for right in (case.output, *case.accepted))


def _in(task: Task, right: str, passage: str) -> bool:
    if task.output.type == "number" and (asked := numbers(right)):
        return asked[-1].value in {number.value for number in numbers(passage)}
    if task.output.type == "json":
        try:
            parts = [text for text in _leaves(parse(right)) if text]
        except ValueError:
            return False
        return bool(parts) and all(says(passage, part) for part in parts)
    return says(passage, right)


def says(passage: str, text: str) -> bool:
    """Say whether a text stands in a passage word for word; case and punctuation are nothing."""
    words = _words(text)
    return bool(words.strip()) and words in _words(passage)


def _words(text: str) -> str:
    found = _WORD.findall(plain_key(text))
    return f" {' '.join(w.replace(',', '') if _THOUSANDS.fullmatch(w) else w for w in found)} "


def _leaves(value: Any) -> Iterator[str]:
    """Yield the texts and numbers of a JSON value; true, false and null stand in no passage."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
    elif value is not None and not isinstance(value, bool):
        yield str(value)
