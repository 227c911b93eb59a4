"""Kiln task runs: a repaired, human or well-rated output is right, a model's is its answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tuneworthy.core.imported import ImportedRow, SourceRecord
from tuneworthy.importers._values import answer, asked, inner

FORMAT = "Kiln task runs"
NEEDS = ("input", "output.output")
TAKES = ("`input`", "`repaired_output`, else an `output` that people wrote or rated well")
_GOOD = {"five_star": 4.0, "pass_fail": 1.0, "pass_fail_critical": 1.0}


def fits(record: SourceRecord) -> bool:
    """Return whether a record is a run of a task."""
    return isinstance(inner(record.value, "output", "output"), str) and "input" in record.value


def rows(record: SourceRecord, notes: dict[str, Any]) -> Iterator[ImportedRow]:
    """Yield the row of a run; an output that nobody rated, repaired or wrote is no right answer."""
    value = record.value
    fields = {**(asked(value["input"]) or {}), "id": value.get("id")}
    output, source = value["output"], inner(value, "output", "source") or {}
    model = inner(source, "properties", "model_name")
    if isinstance(repaired := inner(value, "repaired_output", "output"), str):
        fields["output"] = repaired
    elif inner(source, "type") in {"human", "file_import"} or _good(output.get("rating")):
        fields["output"] = output["output"]
    found = answer(
        output["output"],
        usd=inner(value, "usage", "cost"),
        tokens_in=inner(value, "usage", "input_tokens"),
        tokens_out=inner(value, "usage", "output_tokens"),
    )
    yield ImportedRow(fields, {str(model): found} if model and found else {})


def _good(rating: Any) -> bool:
    """Return whether a rating is one that Kiln itself takes as an example."""
    value, kind = inner(rating, "value"), inner(rating, "type") or "five_star"
    return isinstance(value, int | float) and value >= _GOOD.get(kind, float("inf"))
