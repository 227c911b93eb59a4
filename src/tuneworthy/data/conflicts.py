"""Find contradictions: rows with the same input and different answers."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable

from tuneworthy.core.case import Case
from tuneworthy.core.record import canonical
from tuneworthy.data.copies import full_text, normalised_text
from tuneworthy.data.load import Loaded

_MIN_ANSWER_OVERLAP = 0.3  # two free texts contradict each other below this word overlap (F1)


def contradictory_ids(loaded: Loaded) -> list[list[str]]:
    """Return the ids of rows that contradict each other, one list per input.

    Two rows agree if one's answer is the other's or is among its accepted ones. Free texts can be
    worded in many ways: they contradict each other only if they share hardly a word.
    """
    text = loaded.task.output.type == "text"
    return [[case.id for case in same] for same in contradictory_cases(loaded.everyone, text)]


def contradictory_cases(cases: Iterable[Case], text: bool) -> list[list[Case]]:
    """Return the cases that contradict each other, one list per input; `text`: free texts."""
    rows: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        rows[normalised_text(full_text(case))].append(case)
    return [
        same
        for same in rows.values()
        if len(same) > 1 and any(contradicts(same[0], other, text) for other in same[1:])
    ]


def contradicts(one: Case, other: Case, text: bool) -> bool:
    """Return whether two cases of one input contradict each other; `text`: free answers."""
    mine, theirs = ({_normal_form(t) for t in (c.output, *c.accepted)} for c in (one, other))
    if _normal_form(one.output) in theirs or _normal_form(other.output) in mine:
        return False
    return not text or _word_f1(one.output, other.output) < _MIN_ANSWER_OVERLAP


def _normal_form(text: str) -> str:
    """Return an answer in normal form: JSON with sorted keys, else without case and space."""
    if text.lstrip()[:1] in {"{", "["}:
        try:
            return canonical(json.loads(text))
        except (ValueError, RecursionError):
            pass
    return normalised_text(text)


def _word_f1(one: str, other: str) -> float:
    a, b = set(normalised_text(one).split()), set(normalised_text(other).split())
    return 2 * len(a & b) / (len(a) + len(b)) if a or b else 1.0
