"""Read JSON of a request strictly: what parsers read in different ways is refused."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from tuneworthy.lab.problem import Problem

DEPTH, KEYS = 64, 1000


def strict_json(body: bytes) -> Any:
    """Return the value of a body. Raises Problem (400) with what is wrong in it.

    Refused: no UTF-8, NaN and infinity, numbers beyond a float, duplicate keys, lone surrogates,
    more than 64 levels or 1,000 keys.
    """
    keys = 0

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal keys
        keys += len(found)
        value = dict(found)
        if len(value) < len(found):
            raise _bad("a key stands twice in one object")
        if keys > KEYS:
            raise _bad(f"more than {KEYS} keys")
        return value

    try:
        text = body.decode("utf-8")
        value = json.loads(text, object_pairs_hook=pairs, parse_constant=_constant,
                           parse_float=_number)  # fmt: skip
        if _depth(value) > DEPTH:
            raise _bad(f"more than {DEPTH} levels")
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # a lone surrogate cannot be written
    except RecursionError:
        raise _bad(f"more than {DEPTH} levels") from None
    except UnicodeError:
        raise _bad("text that is no UTF-8") from None
    except ValueError as error:
        where = getattr(error, "colno", None)
        raise _bad(f"no JSON at character {where}" if where else "no JSON") from None
    return value


def _bad(got: str) -> Problem:
    return Problem(400, "the body is not valid JSON", where="body", got=got,
                   fix="send one JSON object in UTF-8")  # fmt: skip


def _constant(name: str) -> NoReturn:
    raise _bad(f"{name}, which is no JSON number")


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise _bad("a number beyond every float")
    return value


def _depth(value: Any) -> int:
    """Return the levels of a value, without recursion."""
    deepest, todo = 0, [(value, 1)]
    while todo:
        one, depth = todo.pop()
        if isinstance(one, dict | list):
            deepest = max(deepest, depth)
            inner = one.values() if isinstance(one, dict) else one
            todo += [(each, depth + 1) for each in inner]
    return deepest
