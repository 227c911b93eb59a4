"""The one strict way to parse JSON from outside: content on which parsers disagree is refused.

A duplicate key, NaN, infinity, a number beyond every float, half of a character pair and deep
nesting are refused: some parsers take another value than others, or can't write what they read.
"""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

MAX_DEPTH = 64


class RefusedJson(ValueError):
    """A JSON text that is refused: what is wrong, what was got, how to mend it."""

    def __init__(self, what: str, got: str, fix: str) -> None:
        super().__init__(what)
        self.what, self.got, self.fix = what, got, fix


def strict_json(raw: str | bytes, mend: bool = False) -> Any:
    """Return the value of a JSON text, in UTF-8 without a byte order mark.

    `mend` writes a question mark for half of a character pair, which is refused otherwise.
    Raises ValueError: JSONDecodeError for no JSON, UnicodeDecodeError for no UTF-8, RefusedJson.
    """
    text = raw.decode("utf-8") if isinstance(raw, bytes) else raw
    try:
        value = DECODER.decode(text)
        return checked_value(_mended(value) if mend else value, text)
    except RecursionError:
        raise _too_deep() from None


def checked_value(value: Any, text: str) -> Any:
    """Return `value`, parsed from `text`; RefusedJson if nested too deep or half a character."""
    if text.count("[") + text.count("{") > MAX_DEPTH and deeper_than(value, MAX_DEPTH):
        raise _too_deep()
    if "\\u" in text:
        try:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError as error:
            got = f"\\u{ord(error.object[error.start]):04x}"
            fix = "remove it: half of a character pair is no text"
            raise RefusedJson("lone surrogate escape", got, fix) from None
    return value


def _mended(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, list):
        return [_mended(one) for one in value]
    if isinstance(value, dict):
        return {_mended(key): _mended(one) for key, one in value.items()}
    return value


def _too_deep() -> RefusedJson:
    return RefusedJson("nested too deep", "", f"nest {MAX_DEPTH} deep at most")


def deeper_than(value: Any, most: int) -> bool:
    """Return whether a JSON value is nested deeper than `most` levels."""
    level = [value]
    for _ in range(most + 1):
        level = [one for each in level if isinstance(each, dict | list)
                 for one in (each.values() if isinstance(each, dict) else each)]  # fmt: skip
        if not level:
            return False
    return True


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise RefusedJson("duplicate key in an object", twice, "keep one of the two")
    return out


def _refuse_constant(text: str) -> NoReturn:
    raise RefusedJson(f"{text} is no JSON", text, "write null, or leave the row out")


def _finite_number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise RefusedJson("number beyond every float", text, "write the number as text")
    return value


DECODER = json.JSONDecoder(
    object_pairs_hook=_unique_keys, parse_constant=_refuse_constant, parse_float=_finite_number
)
