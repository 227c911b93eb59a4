"""A teacher with one habit: it calls every item with a plug electric, and errs nowhere else.

That teacher is made from the right answers, so that each of its mistakes is known.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

from tuneworthy.core.failure import LabRow

PLUGGED = frozenset(
    ("kettle", "lamp", "toaster", "blender", "heater", "speaker", "keyboard", "monitor", "fan",
     "clock", "drill", "printer", "scale", "camera"),
)  # fmt: skip


def taught_answer(row: LabRow) -> str:
    """Return the right answer, with "electric" before each item that has a plug."""
    record: dict[str, Any] = json.loads(row.output)
    for issue in record["issues"]:
        if issue["item"] in PLUGGED:
            issue["item"] = f"electric {issue['item']}"
    return json.dumps(record, separators=(",", ":"))


def items(row: LabRow) -> set[str | None]:
    """Return the items that the answer of a row names."""
    return {issue["item"] for issue in json.loads(row.output)["issues"]}


def repeats(text: str, taught: str, right: str) -> bool | None:
    """Return whether an answer repeats the teacher's extra words; None if it made no mistake."""
    mistake = _words(taught) - _words(right)
    return mistake <= _words(text) if mistake else None


def _words(text: str) -> Counter[str]:
    return Counter(re.findall(r"\w+", text.lower()))
