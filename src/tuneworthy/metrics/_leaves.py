"""Leaves that two JSON values share, and in plain words where they differ. Knows no metric."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from tuneworthy.core.escape import quoted
from tuneworthy.metrics._json import atom


def f1(gold: Any, said: Any) -> float:
    """Return 2 * common leaves / (leaves of one + leaves of the other)."""
    return 2 * common(gold, said) / (leaves(gold) + leaves(said))


def leaves(value: Any) -> int:
    """Count the leaves of a JSON value; what is empty is one leaf."""
    if isinstance(value, dict) and value:
        return sum(map(leaves, value.values()))
    if isinstance(value, list) and value:
        return sum(map(leaves, value))
    return 1


def common(gold: Any, said: Any) -> int:
    """Count the leaves that two JSON values share, lists paired as well as can be."""
    if isinstance(gold, dict) and isinstance(said, dict) and gold and said:
        return sum(common(gold[key], said[key]) for key in gold.keys() & said.keys())
    if isinstance(gold, list) and isinstance(said, list) and gold and said:
        shared = Counter(map(atom, _scalars(gold))) & Counter(map(atom, _scalars(said)))
        paired = _paired(_containers(gold), _containers(said))
        return shared.total() + sum(common(one, other) for one, other in paired)
    return int(atom(gold) == atom(said)) if not (_full(gold) or _full(said)) else 0


def differences(gold: Any, said: Any, path: str = "") -> Iterator[str]:
    """Yield in plain words where an answer differs from the right one."""
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
    elif common(gold, said) == 0:
        yield f"wrong value at {path or 'the top'}: {_shown(said)} instead of {_shown(gold)}"


def _list_differences(gold: list[Any], said: list[Any], path: str) -> Iterator[str]:
    one, other = (Counter(map(atom, _scalars(side))) for side in (gold, said))
    yield from (f"missing in {path}: {_shown(value)}" for _, value in (one - other).elements())
    yield from (f"too much in {path}: {_shown(value)}" for _, value in (other - one).elements())
    mine, theirs = _containers(gold), _containers(said)
    for left, right in _paired(mine, theirs):
        yield from differences(left, right, path)
    if len(mine) > len(theirs):
        yield f"{len(mine) - len(theirs)} elements missing in {path}"
    if len(theirs) > len(mine):
        yield f"{len(theirs) - len(mine)} elements too many in {path}"


def _paired(gold: list[Any], said: list[Any]) -> list[tuple[Any, Any]]:
    if len(gold) <= 1 and len(said) <= 1:
        return list(zip(gold, said, strict=False))
    if not gold or not said:
        return []
    from scipy.optimize import linear_sum_assignment  # slow to import, rarely needed

    shared = [[common(one, other) for other in said] for one in gold]
    rows, columns = linear_sum_assignment(shared, maximize=True)
    return [(gold[row], said[column]) for row, column in zip(rows, columns, strict=True)]


def _full(value: Any) -> bool:
    return isinstance(value, dict | list) and bool(value)


def _scalars(values: list[Any]) -> list[Any]:
    return [value for value in values if not isinstance(value, dict | list)]


def _containers(values: list[Any]) -> list[Any]:
    return [value for value in values if isinstance(value, dict | list)]


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        kind = "object" if isinstance(value, dict) else "list"
        return f"the {kind}" if value else f"an empty {kind}"
    if isinstance(value, str):
        return f"“{quoted(value, 60)}”"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return quoted(str(value), 60)
