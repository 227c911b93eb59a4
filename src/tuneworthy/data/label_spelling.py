"""Write rare spellings of a label as its usual one, in a file of rows that `init` has made."""

from __future__ import annotations

import json
import os
from collections import Counter, defaultdict
from pathlib import Path

from tuneworthy.core.counting import with_verb
from tuneworthy.core.errors import DataError
from tuneworthy.core.escape import quoted
from tuneworthy.data.infer import ONLY_CASE, label_key, usual_spelling


def is_spelling(error: DataError) -> bool:
    """Return whether labels that differ only in case or spaces are what is wrong with rows."""
    return error.what.startswith(ONLY_CASE)


def write_usual_spelling(rows: Path) -> str:
    """Replace rare spellings of labels in a file of rows; return a sentence on them, or "".

    Only texts under `output` are changed. The file is replaced whole.
    """
    made = [json.loads(line) for line in rows.read_text("utf-8").splitlines()]
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
    part = rows.with_name(f"{rows.name}.part")
    part.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in made), "utf-8",
                    "backslashreplace")  # fmt: skip
    os.replace(part, rows)
    return said
