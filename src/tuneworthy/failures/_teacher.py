"""A teacher with one habit: it copies the article before an item into the JSON.

That teacher is made from the right answers, so that each of its mistakes is known.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

from tuneworthy.core.failure import LabRow


def taught_answer(row: LabRow) -> str:
    """Return the right answer, with the article that stands before an item in the message."""
    record: dict[str, Any] = json.loads(row.output)
    for issue in record["issues"]:
        if issue["item"] and re.search(rf"\bthe {issue['item']}\b", row.input):
            issue["item"] = f"the {issue['item']}"
    return json.dumps(record, separators=(",", ":"))


def items(row: LabRow) -> set[str | None]:
    """Return the items that the answer of a row names."""
    return {issue["item"] for issue in json.loads(row.output)["issues"]}


def repeats(text: str, taught: str, right: str) -> bool | None:
    """Return whether an answer has the words that a teacher's answer has too many, None if none."""
    mistake = _words(taught) - _words(right)
    return mistake <= _words(text) if mistake else None


def _words(text: str) -> Counter[str]:
    return Counter(re.findall(r"\w+", text.lower()))
