"""promptfoo tests: variables and assertions, from YAML, JSON or a table with `__expected`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tuneworthy.rows.bad_rows import ImportedRow, RawRow
from tuneworthy.rows.importers._promptfoo import (
    assertion_of_cell,
    note_assertion_types,
    render_variables,
    revealing_variables,
    right_answers,
    without_revealing,
)
from tuneworthy.rows.importers._values import text_lines

FORMAT = "promptfoo tests"
NEEDS = ("vars", "assert")
TAKES = ("`vars` (or the columns beside `__expected`)", "the values of `assert` (or `__expected`)")


def fits(record: RawRow) -> bool:
    """Return whether a record is a test; tests inside the results of a run are not."""
    value = record.fields
    if any(str(key).startswith("__expected") for key in value):
        return True
    known = isinstance(value.get("vars"), dict) and "provider" not in value
    return known and record.at[:1] != ("config",)


def learn(sample: Sequence[RawRow], notes: dict[str, Any]) -> None:
    """Write to `notes` the variables that reveal the right answer."""
    notes["told"] = revealing_variables(
        [_variables_and_assertions(record.fields) for record in sample]
    )


def rows(record: RawRow, notes: dict[str, Any]) -> Iterator[ImportedRow]:
    """Yield the row of a test: one variable is the input, several are its lines."""
    given, assertions = _variables_and_assertions(record.fields)
    note_assertion_types(assertions, notes)
    right = right_answers(
        {**one, "value": render_variables(one.get("value"), given)}
        if isinstance(one, dict)
        else one
        for one in assertions
    )
    yield ImportedRow(
        {"input": text_lines(without_revealing(given, notes.get("told", ()))), **right}
    )


def _variables_and_assertions(value: dict[str, Any]) -> tuple[Mapping[str, Any], list[Any]]:
    """Return the variables and the assertions of a test."""
    if "vars" in value and "assert" in value:
        given, assertions = value["vars"], value["assert"]
    else:
        given = value.get("vars") or {k: v for k, v in value.items() if not k.startswith("__")}
        cells = [str(v) for k, v in value.items() if k.startswith("__expected") and v]
        assertions = [assertion_of_cell(cell) for cell in cells]
    kept = assertions if isinstance(assertions, list) else []
    return (given if isinstance(given, dict) else {}), kept
