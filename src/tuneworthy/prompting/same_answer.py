"""Normalise answers so that equal ones can be counted as votes. Knows no right answer."""

from __future__ import annotations

import json
import unicodedata

from tuneworthy.core.record import canonical
from tuneworthy.core.task import OutputType
from tuneworthy.metrics._json import composed
from tuneworthy.metrics._numbers import numbers


def normal_form(text: str, kind: OutputType | None) -> str:
    """Return an answer's normal form, equal for answers that differ only in format.

    json: its value with sorted keys; number: the last number; otherwise, or if it can't be parsed,
    its words in lower case with single spaces. The Unicode form (NFC or NFD) is ignored.
    """
    text = unicodedata.normalize("NFC", text)
    if kind == "json":
        try:
            return canonical(composed(json.loads(text)))
        except (ValueError, RecursionError):
            pass  # not JSON: compare it as text
    if kind == "number" and (values := numbers(text)):
        return str(values[-1].value)
    return " ".join(text.split()).casefold()
