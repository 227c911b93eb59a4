"""When two answers say the same: what votes are counted by. Knows no right answer."""

from __future__ import annotations

import json

from tuneworthy.core.record import canonical
from tuneworthy.core.task import OutputType
from tuneworthy.metrics._numbers import numbers


def said(text: str, kind: OutputType | None) -> str:
    """Return what an answer says, without what its form leaves free.

    json: its value, keys in order; number: the last number; else, and where it can't be read, its
    words in lower case with single spaces.
    """
    if kind == "json":
        try:
            return canonical(json.loads(text))
        except (ValueError, RecursionError):
            pass  # no JSON: it says what it says
    if kind == "number" and (found := numbers(text)):
        return str(found[-1].value)
    return " ".join(text.split()).casefold()
