"""Kiln task runs: a repaired, human or well-rated output is right, others are answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tuneworthy.rows.bad_rows import ImportedRow, RawRow
from tuneworthy.rows.importers._values import answer_fields, input_fields, nested_value

FORMAT = "Kiln task runs"
NEEDS = ("v", "input", "output.output")
TAKES = ("`input`", "`repaired_output`, else an `output` that people wrote or rated well")
_LEAST_GOOD_RATING = {"five_star": 4.0, "pass_fail": 1.0, "pass_fail_critical": 1.0}


def fits(record: RawRow) -> bool:
    """Return whether a record is a run of a task."""
    return (
        isinstance(nested_value(record.fields, "output", "output"), str)
        and {"input", "v"} <= record.fields.keys()
    )


def rows(record: RawRow, notes: dict[str, Any]) -> Iterator[ImportedRow]:
    """Yield the row of a run; an output that no person rated, repaired or wrote is not right."""
    value = record.fields
    fields = {**(input_fields(value["input"]) or {}), "id": value.get("id")}
    output, source = value["output"], nested_value(value, "output", "source") or {}
    model = nested_value(source, "properties", "model_name")
    if isinstance(repaired := nested_value(value, "repaired_output", "output"), str):
        fields["output"] = repaired
    elif nested_value(source, "type") in ("human", "file_import") or _is_good_rating(
        output.get("rating")
    ):
        fields["output"] = output["output"]
    found = answer_fields(
        output["output"],
        usd=nested_value(value, "usage", "cost"),
        tokens_in=nested_value(value, "usage", "input_tokens"),
        tokens_out=nested_value(value, "usage", "output_tokens"),
    )
    yield ImportedRow(fields, {str(model): found} if model and found else {})


def _is_good_rating(rating: Any) -> bool:
    """Return whether a rating is high enough for Kiln itself to use the run as an example."""
    value, kind = nested_value(rating, "value"), nested_value(rating, "type") or "five_star"
    least = _LEAST_GOOD_RATING.get(kind) if isinstance(kind, str) else None
    return isinstance(value, int | float) and least is not None and value >= least
