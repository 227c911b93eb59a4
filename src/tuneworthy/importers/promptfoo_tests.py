"""promptfoo tests: variables and assertions, from YAML, JSON or a table with `__expected`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tuneworthy.core.imported import ImportedRow, SourceRecord
from tuneworthy.importers._promptfoo import (
    asked_of,
    from_cell,
    note_kinds,
    rendered,
    right_answers,
    telling,
)
from tuneworthy.importers._values import lines

FORMAT = "promptfoo tests"
NEEDS = ("vars", "assert")
TAKES = ("`vars` (or the columns beside `__expected`)", "the values of `assert` (or `__expected`)")


def fits(record: SourceRecord) -> bool:
    """Return whether a record is a test; tests inside the results of a run are not."""
    value = record.value
    if any(str(key).startswith("__expected") for key in value):
        return True
    known = isinstance(value.get("vars"), dict) and "provider" not in value
    return known and record.at[:1] != ("config",)


def learn(sample: Sequence[SourceRecord], notes: dict[str, Any]) -> None:
    """Note which variables tell the right answer."""
    notes["told"] = telling([_test(record.value) for record in sample])


def rows(record: SourceRecord, notes: dict[str, Any]) -> Iterator[ImportedRow]:
    """Yield the row: one variable is the input, several are lines of it."""
    given, assertions = _test(record.value)
    note_kinds(assertions, notes)
    right = right_answers(
        {**one, "value": rendered(one.get("value"), given)} if isinstance(one, dict) else one
        for one in assertions
    )
    yield ImportedRow({"input": lines(asked_of(given, notes.get("told", ()))), **right})


def _test(value: dict[str, Any]) -> tuple[Mapping[str, Any], list[Any]]:
    """Return the variables and the assertions of a test."""
    if "vars" in value and "assert" in value:
        given, assertions = value["vars"], value["assert"]
    else:
        given = value.get("vars") or {k: v for k, v in value.items() if not k.startswith("__")}
        cells = [str(v) for k, v in value.items() if k.startswith("__expected") and v]
        assertions = [from_cell(cell) for cell in cells]
    kept = assertions if isinstance(assertions, list) else []
    return (given if isinstance(given, dict) else {}), kept
