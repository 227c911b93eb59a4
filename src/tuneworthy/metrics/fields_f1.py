"""F1 of the leaves (path and value) of the answer's JSON and of the right one.

A leaf is a path and its value; null and an empty object or list are leaves too. Objects ignore
key order. Lists are multisets: their order is ignored, and elements that are objects are paired
so that the most leaves agree (greedily if two lists have more than 90,000 pairs of unequal
elements). An answer that is not JSON scores 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from tuneworthy.metrics._leaves import differences, leaf_f1, parse
from tuneworthy.records.answer import Answer, Score, Unscored
from tuneworthy.records.case import Case

TYPE = "json"
_SHOWN_DIFFERENCES = 5


def score(
    case: Case,
    answer: Answer,
    options: dict[str, Any],  # noqa: ARG001 - every metric is called with it
) -> Score | Unscored:
    """Return the best leaf F1 over the right answer and the accepted ones."""
    golds = list(_valid_json_values((case.output, *case.accepted)))
    if not golds:
        return Unscored(reason="the right answer of this case is not JSON")
    try:
        said = parse(answer.text)
    except ValueError as error:
        return Score(value=0, why=str(error))
    value, at = max((leaf_f1(gold, said), -at) for at, gold in enumerate(golds))
    notes = list(islice(differences(golds[-at], said), _SHOWN_DIFFERENCES + 1)) if value < 1 else []
    why = "; ".join(notes[:_SHOWN_DIFFERENCES]) + ("; …" if len(notes) > _SHOWN_DIFFERENCES else "")
    return Score(value=value, why=why or "every field is right", extracted=answer.text.strip())


def _valid_json_values(texts: tuple[str, ...]) -> Iterator[Any]:
    for text in texts:
        try:
            yield parse(text)
        except ValueError:
            continue
