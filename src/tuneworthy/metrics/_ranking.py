"""Read a ranked list of ids from an answer, for metrics of retrieval."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tuneworthy.records.answer import Answer, Score, Unscored
from tuneworthy.records.case import Case
from tuneworthy.records.strict_json import strict_json


def _ids_in(text: str) -> list[str]:
    """Return the ids of a list, best first, each once: a JSON array, or one id a line or comma."""
    text = text.strip()
    if text.startswith("["):
        try:
            found: Any = strict_json(text)
        except ValueError:
            found = []
        named = [json.dumps(one) if isinstance(one, dict | list) else str(one) for one in found]
    else:
        named = [one.strip() for line in text.splitlines() for one in line.split(",")]
    return [one for one in dict.fromkeys(named) if one]


def best_list_score(
    case: Case,
    answer: Answer,
    options: dict[str, Any],
    value: Callable[[set[str], list[str], int], tuple[float, str]],
) -> Score | Unscored:
    """Return the best score of an answer's list over the right list and the accepted ones.

    `value(relevant ids, said ids, k)` returns a score in [0, 1] and its reason. `k` is how many of
    the first ids count: the option, 10 where it is not set. Raises ValueError for another `k` than
    a whole number above 0.
    """
    k = options.get("k", 10)
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise ValueError(f"k must be a whole number above 0, not {k!r}")
    rights = [found for text in (case.output, *case.accepted) if (found := set(_ids_in(text)))]
    if not rights:
        return Unscored(reason="the right answer of this case lists no id")
    said = _ids_in(answer.text)
    best, why = max(value(right, said, k) for right in rights)
    return Score(value=best, why=why)
