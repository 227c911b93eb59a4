"""Read the JSON of a request strictly: content on which parsers disagree is refused."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from tuneworthy.lab.problem import Problem

MOST_LEVELS, MOST_KEYS = 64, 1000


def strict_json(body: bytes) -> Any:
    """Return the JSON value of a body. Raises Problem (400) that names the fault.

    Faults: no UTF-8, NaN and infinity, numbers beyond a float, duplicate keys, lone surrogates,
    more than 64 levels or 1,000 keys.
    """
    keys = 0

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal keys
        keys += len(found)
        value = dict(found)
        if len(value) < len(found):
            raise _invalid_json("a key stands twice in one object")
        if keys > MOST_KEYS:
            raise _invalid_json(f"more than {MOST_KEYS} keys")
        return value

    try:
        text = body.decode("utf-8")
        value = json.loads(text, object_pairs_hook=pairs, parse_constant=_refuse_constant,
                           parse_float=_finite_number)  # fmt: skip
        if _nesting_depth(value) > MOST_LEVELS:
            raise _invalid_json(f"more than {MOST_LEVELS} levels")
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # a lone surrogate cannot be written
    except RecursionError:
        raise _invalid_json(f"more than {MOST_LEVELS} levels") from None
    except UnicodeError:
        raise _invalid_json("text that is no UTF-8") from None
    except ValueError as error:
        where = getattr(error, "colno", None)
        raise _invalid_json(f"no JSON at character {where}" if where else "no JSON") from None
    return value


def _invalid_json(got: str) -> Problem:
    return Problem(400, "the body is not valid JSON", where="body", got=got,
                   fix="send one JSON object in UTF-8")  # fmt: skip


def _refuse_constant(name: str) -> NoReturn:
    raise _invalid_json(f"{name}, which is no JSON number")


def _finite_number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise _invalid_json("a number beyond every float")
    return value


def _nesting_depth(value: Any) -> int:
    """Return the nesting depth of a value, computed without recursion."""
    deepest, todo = 0, [(value, 1)]
    while todo:
        one, depth = todo.pop()
        if isinstance(one, dict | list):
            deepest = max(deepest, depth)
            inner = one.values() if isinstance(one, dict) else one
            todo += [(each, depth + 1) for each in inner]
    return deepest
