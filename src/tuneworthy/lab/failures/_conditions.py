"""Checks on a repaired run that several failure modes share."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any, Literal

from tuneworthy.records.failure import Check, LabRow, RunFacts

_NOT_MEASURED = "not measured"
_Unit = int | Literal["%"] | None


def at_least(what: str, value: float | None, least: float, of: _Unit = None) -> Check:
    """Return the check that a value is at least `least`; None (not measured) fails it.

    `of`: the value is a share, and is told as a count of so many or in percent.
    """
    passed = value is not None and value >= least
    return Check(what=what, passed=passed, value=_value_text(value, of))


def at_most(what: str, value: float | None, most: float, of: _Unit = None) -> Check:
    """Return the check that a value is at most `most`, as `at_least` does."""
    passed = value is not None and value <= most
    return Check(what=what, passed=passed, value=_value_text(value, of))


def _value_text(value: float | None, of: _Unit) -> str:
    if value is None:
        return _NOT_MEASURED
    if of == "%":
        return f"{100 * value:.3g} %"
    return f"{value:.3g}" if of is None else f"{round(value * of)} of {of}"


def near_twin(own: RunFacts, twin: RunFacts, note: str = "") -> Check:
    """Return the check that a run's score is at most .10 below that of its clean twin."""
    least = max(0.0, (twin.score or 0.0) - 0.10)
    return at_least(f"score at least {least:.2f}{note}", own.score, least)


def difference(one: float | None, other: float | None) -> float | None:
    """Return `one` minus `other`; None if either is None (not measured)."""
    return None if one is None or other is None else one - other


_PLUGGED_ITEMS = frozenset(
    ("kettle", "lamp", "toaster", "blender", "heater", "speaker", "keyboard", "monitor", "fan",
     "clock", "drill", "printer", "scale", "camera"),
)  # fmt: skip


def taught_answer(row: LabRow) -> str:
    """Return the right answer, with "electric" before each item that has a plug."""
    record: dict[str, Any] = json.loads(row.output)
    for issue in record["issues"]:
        if issue["item"] in _PLUGGED_ITEMS:
            issue["item"] = f"electric {issue['item']}"
    return json.dumps(record, separators=(",", ":"))


def answer_items(row: LabRow) -> set[str | None]:
    """Return the items that a row's answer (a JSON ticket) names."""
    return {issue["item"] for issue in json.loads(row.output)["issues"]}


def repeats_mistake(text: str, taught: str, right: str) -> bool | None:
    """Return whether an answer repeats the teacher's extra words; None if it made no mistake."""
    mistake = _word_counts(taught) - _word_counts(right)
    return mistake <= _word_counts(text) if mistake else None


def _word_counts(text: str) -> Counter[str]:
    return Counter(re.findall(r"\w+", text.lower()))
