"""Find the answer inside a text, whatever surrounds it.

It shows how many failures are failures of form. It never counts as a score and never makes an
answer valid.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from typing import NoReturn

from tuneworthy.metrics._leaves import composed
from tuneworthy.metrics._numbers import numbers
from tuneworthy.records.record import canonical
from tuneworthy.records.task import OutputType

_MOST_CHARACTERS, _MOST_TRIES = 200_000, 100


def lenient(text: str, output_type: OutputType, labels: Sequence[str] = ()) -> str | None:
    """Return the answer of this type that a text contains; None if it has none or several.

    json: the first JSON object in prose or fences (else the first list); label: the only label that
    occurs in it; number: its only number; text: the text without surrounding space.
    """
    text = text[:_MOST_CHARACTERS]
    if output_type == "json":
        return _first_json(text, "{") or _first_json(text, "[")
    if output_type == "label":
        return _only_label(text, labels)
    if output_type == "number":
        found = numbers(text)
        return found[-1].text if found and len({n.value for n in found}) == 1 else None
    return text.strip() or None


def _first_json(text: str, bracket: str) -> str | None:
    """Return the text of the first JSON value that opens with `bracket`; None if there is none.

    After a failure the search continues where parsing stopped, so that a part of a broken object is
    never taken for the answer.
    """
    decoder = json.JSONDecoder(parse_constant=_refuse_constant)
    at = text.find(bracket)
    for _ in range(_MOST_TRIES):
        if at < 0:
            return None
        try:
            return text[at : decoder.raw_decode(text, at)[1]]
        except json.JSONDecodeError as error:
            if error.pos >= len(text.rstrip()) or "Unterminated" in error.msg:
                return None  # truncated: any later bracket is inside the value
            at = text.find(bracket, max(error.pos, at + 1))
        except (ValueError, RecursionError):
            return None
    return None


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(constant)


def _only_label(text: str, labels: Sequence[str]) -> str | None:
    longest = sorted((label for label in labels if label.strip()), key=len, reverse=True)
    found: set[str] = set()
    text = unicodedata.normalize("NFC", text)
    for label in longest:  # a match of a longer label does not count for a shorter one
        parts = re.split(r"[\s_-]+", unicodedata.normalize("NFC", label).strip())
        spaced = r"[\s_-]+".join(map(re.escape, parts))
        text, count = re.subn(rf"(?<!\w){spaced}(?!\w)", "\0", text, flags=re.IGNORECASE)
        if count:
            found.add(label)
    return found.pop() if len(found) == 1 else None


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
