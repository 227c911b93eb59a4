"""DSPy examples: demos of a saved program, and examples that keep DSPy's own fields."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tuneworthy.rows.bad_rows import BadRow, ImportedRow, RawRow
from tuneworthy.rows.importers._values import answer_text, text_lines

FORMAT = "DSPy examples"
NEEDS = ("demos",)
TAKES = ("the fields before the last", "the last field")
_DSPY_FIELDS = {"augmented", "dspy_uuid", "dspy_split", "reasoning", "rationale"}


def fits(record: RawRow) -> bool:
    """Return whether a record is a demo of a program or carries a mark of DSPy."""
    demo = bool(record.at) and record.at[-1] == "demos"
    return (demo and len(record.fields) > 1) or bool(
        {"dspy_uuid", "augmented"} & set(record.fields)
    )


def rows(record: RawRow, notes: dict[str, Any]) -> Iterator[ImportedRow]:
    """Yield the row: the last field is the right answer, those before it are the input."""
    fields = {key: value for key, value in record.fields.items() if key not in _DSPY_FIELDS}
    if len(fields) < 2:
        raise BadRow("an example with one field", ", ".join(fields), "keep its input and output")
    *asked, right = fields
    given = {key: fields[key] for key in asked}
    yield ImportedRow({"input": text_lines(given), "output": answer_text(fields[right])})
