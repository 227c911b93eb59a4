"""Count the leaves that two JSON values share, and describe their differences."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NoReturn

from tuneworthy.records.escape import quoted
from tuneworthy.records.strict_json import deeper_than

MOST_PAIRS = 90_000  # most element pairs of two lists for optimal matching; beyond: greedy

COMMON_LEAF = 50  # greedy matching skips a leaf that more than so many elements have


def leaf_f1(gold: Any, said: Any) -> float:
    """Return the F1 of two JSON values' leaves: 2 * common / (leaves of one + of the other)."""
    return 2 * common_leaves(gold, said) / (_count_leaves(gold) + _count_leaves(said))


def _count_leaves(value: Any) -> int:
    """Return the number of leaves of a JSON value; an empty container is one leaf."""
    if isinstance(value, dict) and value:
        return sum(map(_count_leaves, value.values()))
    if isinstance(value, list) and value:
        return sum(map(_count_leaves, value))
    return 1


def common_leaves(gold: Any, said: Any) -> int:
    """Return the number of leaves that two JSON values share, list elements paired as best."""
    if isinstance(gold, dict) and isinstance(said, dict) and gold and said:
        return sum(common_leaves(gold[key], said[key]) for key in gold.keys() & said.keys())
    if isinstance(gold, list) and isinstance(said, list) and gold and said:
        shared = Counter(map(_scalar_key, _scalars(gold))) & Counter(
            map(_scalar_key, _scalars(said))
        )
        paired = _pair_elements(_containers(gold), _containers(said))
        return shared.total() + sum(common_leaves(one, other) for one, other in paired)
    return (
        int(_scalar_key(gold) == _scalar_key(said))
        if not (_is_filled(gold) or _is_filled(said))
        else 0
    )


def differences(gold: Any, said: Any, path: str = "") -> Iterator[str]:
    """Yield a text on each difference of an answer's JSON value from the right one."""
    if isinstance(gold, dict) and isinstance(said, dict):
        for key, value in gold.items():
            here = f"{path}.{quoted(key, 40)}" if path else quoted(key, 40)
            if key in said:
                yield from differences(value, said[key], here)
            else:
                yield f"missing field {here}"
        yield from (
            f"unknown field {path and path + '.'}{quoted(k, 40)}" for k in said if k not in gold
        )
    elif isinstance(gold, list) and isinstance(said, list):
        yield from _list_differences(gold, said, f"{path}[]")
    elif common_leaves(gold, said) == 0:
        wrong = f"{_value_text(said)} instead of {_value_text(gold)}"
        yield f"wrong value at {path or 'the top'}: {wrong}"


def _list_differences(gold: list[Any], said: list[Any], path: str) -> Iterator[str]:
    one, other = (Counter(map(_scalar_key, _scalars(side))) for side in (gold, said))
    yield from (f"missing in {path}: {_value_text(value)}" for _, value in (one - other).elements())
    yield from (
        f"too much in {path}: {_value_text(value)}" for _, value in (other - one).elements()
    )
    mine, theirs = _containers(gold), _containers(said)
    for left, right in _pair_elements(mine, theirs):
        yield from differences(left, right, path)
    if len(mine) > len(theirs):
        yield f"{len(mine) - len(theirs)} elements missing in {path}"
    if len(theirs) > len(mine):
        yield f"{len(theirs) - len(mine)} elements too many in {path}"


def _pair_elements(gold: list[Any], said: list[Any]) -> list[tuple[Any, Any]]:
    """Return pairs of the elements of two lists, chosen so that the most leaves agree.

    Equal elements are paired first. This loses nothing: the leaves that two equal elements share
    with a third are the same. The rest is paired greedily if there are more than MOST_PAIRS pairs.
    """
    if len(gold) <= 1 and len(said) <= 1:
        return list(zip(gold, said, strict=False))
    equal, gold, said = _pair_equal(gold, said)
    return equal + _pair_unequal(gold, said)


def _pair_equal(
    gold: list[Any], said: list[Any]
) -> tuple[list[tuple[Any, Any]], list[Any], list[Any]]:
    """Return (pairs of equal elements, rest of `gold`, rest of `said`)."""
    positions: dict[str, list[int]] = {}
    for at, other in enumerate(said):
        positions.setdefault(_canonical_text(other), []).append(at)
    pairs, rest, taken = list[tuple[Any, Any]](), list[Any](), set[int]()
    for one in gold:
        if places := positions.get(_canonical_text(one)):
            taken.add(at := places.pop(0))
            pairs.append((one, said[at]))
        else:
            rest.append(one)
    return pairs, rest, [other for at, other in enumerate(said) if at not in taken]


def _canonical_text(value: Any) -> str:
    """Return a text that is equal for JSON values that differ only in the order of elements."""
    if isinstance(value, dict):
        return "{" + ",".join(sorted(f"{k!r}:{_canonical_text(v)}" for k, v in value.items())) + "}"
    if isinstance(value, list):
        return "[" + ",".join(sorted(map(_canonical_text, value))) + "]"
    return _scalar_text(value)


def _scalar_text(value: Any) -> str:
    """Return a scalar's text: the same for 1 and 1.0, another one for true."""
    whole = isinstance(value, float) and value.is_integer()
    return repr(int(value) if whole else value)


def _pair_greedily(gold: list[Any], said: list[Any]) -> list[tuple[Any, Any]]:
    """Return pairs of elements, those with the most common leaves first, the rest in order.

    A leaf that more than COMMON_LEAF elements have says little and is skipped.
    """
    where: dict[str, list[int]] = {}
    for at, other in enumerate(said):
        for leaf in set(_leaf_texts(other, "")):
            where.setdefault(leaf, []).append(at)
    shared: Counter[tuple[int, int]] = Counter()
    for at, one in enumerate(gold):
        for leaf in set(_leaf_texts(one, "")):
            places = where.get(leaf, ())
            shared.update((at, other) for other in places if len(places) <= COMMON_LEAF)
    pairs, mine, theirs = list[tuple[Any, Any]](), set[int](), set[int]()
    for (at, other), _ in sorted(shared.items(), key=lambda item: (-item[1], item[0])):
        if at not in mine and other not in theirs:
            mine.add(at)
            theirs.add(other)
            pairs.append((gold[at], said[other]))
    left = ([v for i, v in enumerate(gold) if i not in mine],
            [v for i, v in enumerate(said) if i not in theirs])  # fmt: skip
    return pairs + list(zip(*left, strict=False))


def _leaf_texts(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaf_texts(inner, f"{path}.{key!r}")
    elif isinstance(value, list) and value:
        for inner in value:
            yield from _leaf_texts(inner, f"{path}[]")
    else:
        yield f"{path}={_scalar_text(value)}"


def _pair_unequal(gold: list[Any], said: list[Any]) -> list[tuple[Any, Any]]:
    if len(gold) * len(said) <= 1:
        return list(zip(gold, said, strict=False))
    if len(gold) * len(said) > MOST_PAIRS:
        return _pair_greedily(gold, said)
    from scipy.optimize import linear_sum_assignment  # slow to import, rarely needed

    shared = [[common_leaves(one, other) for other in said] for one in gold]
    rows, columns = linear_sum_assignment(shared, maximize=True)
    return [(gold[row], said[column]) for row, column in zip(rows, columns, strict=True)]


def _is_filled(value: Any) -> bool:
    return isinstance(value, dict | list) and bool(value)


def _scalars(values: list[Any]) -> list[Any]:
    return [value for value in values if not isinstance(value, dict | list)]


def _containers(values: list[Any]) -> list[Any]:
    return [value for value in values if isinstance(value, dict | list)]


def _value_text(value: Any) -> str:
    if isinstance(value, dict | list):
        kind = "object" if isinstance(value, dict) else "list"
        return f"the {kind}" if value else f"an empty {kind}"
    if isinstance(value, str):
        return f"“{quoted(value, 60)}”"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return quoted(str(value), 60)


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


def _scalar_key(value: Any) -> tuple[bool, Any]:
    """Return a key to compare scalars by: true is not 1, 1 equals 1.0, 1 is not "1"."""
    return isinstance(value, bool), value


def json_equal(one: Any, other: Any) -> bool:
    """Return whether two JSON values are equal; list order counts, key order does not."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(json_equal(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(json_equal, one, other))
    return _scalar_key(one) == _scalar_key(other)


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"not JSON: {constant} is no JSON number")


def _object_with_unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):  # parsers disagree on which duplicate wins
        raise ValueError("not JSON we can read: a key stands twice in one object")
    return members
