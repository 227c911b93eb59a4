"""Find labels spelt almost like another; unify labels that differ only in case or spaces."""

from __future__ import annotations

import difflib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from tuneworthy.core.counting import with_verb
from tuneworthy.core.escape import quoted
from tuneworthy.core.own_files import write_atomic
from tuneworthy.data.infer import label_key, usual_spelling

# A misspelt label has at most this share of the rows of the right one.
_RARE_SHARE = 0.1
_LEAST_SIMILARITY = 0.8  # similarity of two labels from which one may be a misspelling of the other
_SHORTEST_LABEL = 5  # shorter labels differ by a letter because they are different ones
_MOST_LABELS = 300


def near_labels(counts: Mapping[str, int]) -> dict[str, str]:
    """Return {rare label: far more frequent label with almost the same spelling}.

    Labels that differ in digits (`tier 1`, `tier 2`) or in punctuation marks don't count.
    """
    if len(counts) > _MOST_LABELS:
        return {}
    found = {}
    for label, n in counts.items():
        often = [
            other
            for other, m in counts.items()
            if n <= _RARE_SHARE * m
            and len(other) >= _SHORTEST_LABEL
            and _digits_and_marks(label) == _digits_and_marks(other)
        ]
        near = difflib.get_close_matches(
            label_key(label), map(label_key, often), 1, _LEAST_SIMILARITY
        )
        if near:
            found[label] = next(other for other in often if label_key(other) == near[0])
    return found


def _digits_and_marks(label: str) -> list[str]:
    return re.findall(r"\d+|[^\w\s]", label)


def write_usual_spelling(files: Sequence[Path]) -> str:
    """Replace rare spellings of labels in files of rows; return a sentence on it, "" if none.

    Only texts under `output` are changed. Each file is replaced whole.
    """
    rows_of = {path: [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]
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
        write_atomic(path, (json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return said
