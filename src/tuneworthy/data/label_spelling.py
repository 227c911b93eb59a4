"""Find labels that are spelt almost like another; write those that differ only in case alike."""

from __future__ import annotations

import difflib
import json
import os
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from tuneworthy.core.counting import with_verb
from tuneworthy.core.errors import DataError
from tuneworthy.core.escape import quoted
from tuneworthy.data.infer import ONLY_CASE, label_key, usual_spelling

# A misspelt label has at most this share of the rows of the right one.
_RARE_SHARE = 0.1
_ALIKE = 0.8  # similarity of two labels from which one may be the other with a wrong letter
_SHORTEST = 5  # shorter labels differ by a letter because they are different ones
_MOST_LABELS = 300


def near_labels(counts: Mapping[str, int]) -> dict[str, str]:
    """Return rare labels that are spelt almost like a far more frequent one, with that one.

    Labels that differ in a digit (`tier 1`, `tier 2`) or in what stands behind a mark are not.
    """
    if len(counts) > _MOST_LABELS:
        return {}
    found = {}
    for label, n in counts.items():
        often = [other for other, m in counts.items() if n <= _RARE_SHARE * m
                 and len(other) >= _SHORTEST and _digits(label) == _digits(other)]  # fmt: skip
        near = difflib.get_close_matches(label_key(label), map(label_key, often), 1, _ALIKE)
        if near:
            found[label] = next(other for other in often if label_key(other) == near[0])
    return found


def _digits(label: str) -> list[str]:
    return re.findall(r"\d+|[^\w\s]", label)


def is_spelling(error: DataError) -> bool:
    """Return whether labels that differ only in case or spaces are what is wrong with rows."""
    return error.what.startswith(ONLY_CASE)


def write_usual_spelling(files: Sequence[Path]) -> str:
    """Replace rare spellings of labels in files of rows; return a sentence on them, or "".

    Only texts under `output` are changed. Each file is replaced whole.
    """
    rows_of = {path: [json.loads(line) for line in path.read_text("utf-8").splitlines()]
               for path in files}  # fmt: skip
    made = [row for rows in rows_of.values() for row in rows]
    counts = Counter(row["output"] for row in made if isinstance(row.get("output"), str))
    spellings: dict[str, Counter[str]] = defaultdict(Counter)
    for label, n in counts.items():
        spellings[label_key(label)][label] += n
    usual = {label: best for found in spellings.values() for best in (usual_spelling(found),)
             for label in found if label != best}  # fmt: skip
    changed = [row for row in made if row.get("output") in usual]
    if not changed:
        return ""
    first = changed[0]["output"]
    said = (
        f"{with_verb(len(changed), 'label', 'differ')} from a more frequent one only in case or"
        f' spaces: written as that one ("{quoted(first, 40)}" as "{quoted(usual[first], 40)}")'
    )
    for row in changed:
        row["output"] = usual[row["output"]]
    for path, rows in rows_of.items():
        part = path.with_name(f"{path.name}.part")
        part.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows),
                        "utf-8", "backslashreplace")  # fmt: skip
        os.replace(part, path)
    return said
