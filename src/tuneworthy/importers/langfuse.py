"""Langfuse exports: data-set items with their expected output, traces and observations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tuneworthy.data.raw import BadRow, ImportedRow, RawRow
from tuneworthy.importers._values import answer_fields, answer_text, input_fields, nested_value

FORMAT = "a Langfuse export"
NEEDS = ("input", "expectedOutput")
TAKES = ("`input`", "`expectedOutput`")
_EXPECTED_KEYS = ("expectedOutput", "expected_output")
_ITEM_KEYS = {"datasetId", "dataset_id", "datasetName", "dataset_name", "sourceTraceId",
         "source_trace_id", "sourceObservationId"}  # fmt: skip
_TRACE_KEYS = {"traceId", "trace_id", "sessionId", "session_id", "htmlPath", "observations"}


def fits(record: RawRow) -> bool:
    """Return whether a record is an item of a data set, an observation or a trace."""
    keys = record.fields.keys()
    if "input" not in keys:
        return False
    item = any(key in keys for key in _EXPECTED_KEYS) and bool(_ITEM_KEYS & keys)
    return item or ("output" in keys and bool(_TRACE_KEYS & keys))


def rows(record: RawRow, notes: dict[str, Any]) -> Iterator[ImportedRow]:
    """Yield the row of an item, or the input and the model's answer of a trace or generation."""
    value = record.fields
    if value.get("status") == "ARCHIVED":
        raise BadRow("an archived item", "", "")
    kind = value.get("type")
    if kind is not None and str(kind).upper() not in {"GENERATION", "TRACE"}:
        raise BadRow("an observation that asks no model", str(kind), "")
    fields = input_fields(value["input"])
    if fields is None:
        raise BadRow("empty input", "", "", "input")
    right = next((text for key in _EXPECTED_KEYS if (text := answer_text(value.get(key)))), None)
    if right is not None:
        fields["output"] = right
    usage = value.get("usage_details") or value.get("usageDetails") or value.get("usage") or {}
    cost = value.get("total_cost", value.get("totalCost", value.get("calculatedTotalCost")))
    found = answer_fields(
        answer_text(value.get("output")),
        seconds=value.get("latency"),
        usd=cost,
        tokens_in=nested_value(usage, "input"),
        tokens_out=nested_value(usage, "output"),
    )
    named = ("provided_model_name", "providedModelName", "model", "name")
    name = next((str(value[key]) for key in named if value.get(key)), "trace")
    yield ImportedRow({**fields, "id": value.get("id")}, {name: found} if found else {})
