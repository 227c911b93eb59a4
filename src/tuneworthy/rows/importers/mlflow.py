"""MLflow traces, and the rows of an evaluation, which hold their trace."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tuneworthy.records.strict_json import strict_json
from tuneworthy.rows.bad_rows import BadRow, ImportedRow, RawRow
from tuneworthy.rows.chat import parse_json_text
from tuneworthy.rows.importers._values import (
    answer_fields,
    answer_text,
    input_fields,
    nested_value,
    parted_example,
    right_answer_fields,
    unwrapped,
)

FORMAT = "MLflow traces"
NEEDS = ("info.trace_id", "data.spans")
TAKES = ("the inputs of the first span", "`expected_response` or alike among the assessments")


def fits(record: RawRow) -> bool:
    """Return whether a record is a trace, or has one under `trace`."""
    return _trace(record) is not None


def rows(record: RawRow, notes: dict[str, Any]) -> Iterator[ImportedRow]:
    """Yield the row of a trace: what its first span was given and returned.

    The system has the name of the file.
    """
    trace = _trace(record) or {}
    info = trace["info"]
    spans = nested_value(trace, "data", "spans") or []
    root = next((one for one in spans if not nested_value(one, "parent_span_id")), None)
    if root is None:
        raise BadRow("a trace without its first span", "", "")
    given = _value(nested_value(root, "attributes", "mlflow.spanInputs"))
    said = _value(nested_value(root, "attributes", "mlflow.spanOutputs"))
    usage = _value(nested_value(info, "trace_metadata", "mlflow.trace.tokenUsage"))
    milliseconds = info.get("execution_duration_ms")
    found = answer_fields(
        answer_text(unwrapped(said)),
        seconds=milliseconds / 1000 if isinstance(milliseconds, int | float) else None,
        tokens_in=nested_value(usage, "input_tokens"),
        tokens_out=nested_value(usage, "output_tokens"),
    )
    if info.get("state") == "ERROR":
        found = found or {"answer": None}
    assessments = info.get("assessments")
    expected = {
        str(one.get("assessment_name")): nested_value(one, "expectation", "value")
        for one in (assessments if isinstance(assessments, list) else ())
        if isinstance(one, dict) and "expectation" in one
    }
    fields = {**(input_fields(given) or {}), **right_answer_fields(parted_example(expected)[1])}
    yield ImportedRow(fields, {notes["path"].stem: found} if found else {})


def _value(text: Any) -> Any:
    """Return the value of an attribute, which MLflow writes as JSON text."""
    try:
        return strict_json(text) if isinstance(text, str) else text
    except ValueError:
        return text


def _trace(record: RawRow) -> dict[str, Any] | None:
    """Return the trace of a record, which may be JSON text in a table of traces."""
    value = parse_json_text(record.fields.get("trace", record.fields))
    known = isinstance(nested_value(value, "info", "trace_id"), str)
    return value if known and nested_value(value, "data", "spans") is not None else None
