"""1 if the answer equals the right one in every character, or as a JSON value; else 0.

Surrounding space and the Unicode form (NFC or NFD) are ignored. In JSON, key order is ignored and
1 equals 1.0; the order of lists counts.
"""

from __future__ import annotations

from typing import Any

from tuneworthy.metrics._leaves import json_equal, parse
from tuneworthy.metrics._writing import spelling
from tuneworthy.records.answer import Answer, Score, Unscored
from tuneworthy.records.case import Case
from tuneworthy.records.escape import quoted

BINARY = True


def score(case: Case, answer: Answer, options: dict[str, Any]) -> Score | Unscored:
    """Return 1 if the answer equals the right answer or an accepted one, else 0."""
    said = spelling(answer.text)
    if not said:
        return Score(value=0, why="the answer is empty")
    if options.get("type") == "json":
        return _score_json(case, said)
    for right in (case.output, *case.accepted):
        if said == spelling(right):
            return Score(value=1, why="equal to the right answer", extracted=said)
    why = f"“{quoted(said, 80)}” is not “{quoted(case.output.strip(), 80)}”"
    return Score(value=0, why=why, extracted=said)


def _score_json(case: Case, said: str) -> Score | Unscored:
    try:
        value = parse(said)
    except ValueError as error:
        return Score(value=0, why=str(error))
    readable = 0
    for right in (case.output, *case.accepted):
        try:
            gold = parse(right)
        except ValueError:
            continue
        readable += 1
        if json_equal(gold, value):
            return Score(value=1, why="equal to the right answer", extracted=said)
    if not readable:
        return Unscored(reason="the right answer of this case is not JSON")
    return Score(value=0, why="another JSON value than the right answer", extracted=said)
