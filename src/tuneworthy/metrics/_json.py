"""Parse JSON strictly, for metrics: one value, unique keys, exact numbers, bounded depth.

Knows no metric. Numbers are Decimals, so 1, 1.0 and 1e0 are equal and 0.1 is exactly 0.1. Texts
are in Unicode NFC, so that two forms of one text are equal.
"""

from __future__ import annotations

import json
import unicodedata
from decimal import Decimal
from typing import Any, NoReturn

from tuneworthy.core.strict_json import deeper_than

DEPTH = 64  # the most levels of nesting


def parse(text: str, *, exact: bool = True) -> Any:
    """Return the value of a JSON text. Raises ValueError with a reason for the user.

    `exact`: every number is a Decimal, else an int or float as a JSON schema expects.
    """
    if not text.strip():
        raise ValueError("the answer is empty")
    number: dict[str, Any] = {"parse_float": Decimal, "parse_int": Decimal} if exact else {}
    try:
        value = json.loads(text, parse_constant=_refuse_constant,
                           object_pairs_hook=_object_with_unique_keys, **number)  # fmt: skip
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg.lower()} at character {error.pos + 1}") from None
    except (RecursionError, ArithmeticError):
        raise ValueError("not JSON we can read: nested too deep or a number too large") from None
    if deeper_than(value, DEPTH):
        raise ValueError(f"not JSON we can read: nested deeper than {DEPTH} levels")
    return value if text.isascii() and "\\u" not in text else composed(value)


def composed(value: Any) -> Any:
    """Return a JSON value with its keys and texts in Unicode NFC; ValueError for equal keys."""
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value)
    if isinstance(value, list):
        return [composed(one) for one in value]
    if isinstance(value, dict):
        return _object_with_unique_keys([(composed(k), composed(v)) for k, v in value.items()])
    return value


def scalar_key(value: Any) -> tuple[bool, Any]:
    """Return a scalar's key for comparing: true is not 1, 1 equals 1.0, 1 is not "1"."""
    return isinstance(value, bool), value


def json_equal(one: Any, other: Any) -> bool:
    """Return whether two JSON values are equal; list order counts, key order does not."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(json_equal(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(json_equal, one, other))
    return scalar_key(one) == scalar_key(other)


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"not JSON: {constant} is no JSON number")


def _object_with_unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):  # parsers disagree on which duplicate wins
        raise ValueError("not JSON we can read: a key stands twice in one object")
    return members
