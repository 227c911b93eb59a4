"""OpenTelemetry GenAI exports: spans of model requests, as OTLP JSON or one span a line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tuneworthy.rows.bad_rows import BadRow, ImportedRow, RawRow
from tuneworthy.rows.importers._values import answer_fields
from tuneworthy.rows.logs import otlp, spans

FORMAT = "an OpenTelemetry GenAI export"
NEEDS = ("resourceSpans",)
TAKES = ("the last user turn, behind the system prompt", "nothing: traces hold what models said")
_OF_OTHERS = {"op_name", "evaluator_failures"}  # of Weave and pydantic-evals: attributes too
_LISTS = {"resourceSpans", "resource_spans", "resourceLogs", "resource_logs"}


def fits(record: RawRow) -> bool:
    """Return whether a record is an export, a part of one, or a span."""
    return _as_export(record) is not None


def rows(record: RawRow, notes: dict[str, Any]) -> Iterator[ImportedRow]:
    """Yield a row per model request: system prompt, last user turn, the model's answer."""
    value = _as_export(record) or {}
    found = list((otlp if otlp.reads(value) else spans).requests(value))
    requests = [one for one in found if one is not None]
    if not requests:
        raise BadRow("a span that asked no model", "", "")
    if not any(one.input for one in requests):
        fix = "switch on the capture of message content in the instrumentation"
        raise BadRow("a span without its messages", "", fix)
    for one in requests:
        said = answer_fields(None if one.failed else one.answer, seconds=one.seconds,
                      tokens_in=one.tokens_in, tokens_out=one.tokens_out)  # fmt: skip
        if one.input:
            asked: dict[str, Any] = {"input": one.input}
            if one.system:
                turns = (("system", one.system), ("user", one.input))
                asked = {"messages": [{"role": role, "content": text} for role, text in turns]}
            fields = {**asked, "group": one.group}
            yield ImportedRow(fields, {one.model or "model": said} if said else {})


def _as_export(record: RawRow) -> dict[str, Any] | None:
    if record.at and record.at[-1] in _LISTS:
        return {record.at[-1]: [record.fields]}
    if _OF_OTHERS & record.fields.keys():
        return None
    if otlp.reads(record.fields) or spans.reads(record.fields):
        return record.fields
    return None
