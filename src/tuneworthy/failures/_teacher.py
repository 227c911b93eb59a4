"""A teacher with one habit: it calls every item with a plug electric, and errs nowhere else.

The code derives its answers from the right ones, so each of its mistakes is known.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

from tuneworthy.core.failure import LabRow

PLUGGED_ITEMS = frozenset(
    ("kettle", "lamp", "toaster", "blender", "heater", "speaker", "keyboard", "monitor", "fan",
     "clock", "drill", "printer", "scale", "camera"),
)  # fmt: skip


def taught_answer(row: LabRow) -> str:
    """Return the right answer, with "electric" before each item that has a plug."""
    record: dict[str, Any] = json.loads(row.output)
    for issue in record["issues"]:
        if issue["item"] in PLUGGED_ITEMS:
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
