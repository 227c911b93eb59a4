"""Plain requests, as `tuneworthy serve --log` writes them: {"input", "answer", "time", ...}."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tuneworthy.records.case import LoggedRequest
from tuneworthy.rows.bad_rows import BadRow
from tuneworthy.rows.logs._values import (
    USER,
    iso_time,
    last_text,
    number_from_zero,
    parse_turns,
    token_count,
    value_text,
)
from tuneworthy.rows.measures import measured_columns, measured_values
from tuneworthy.rows.rows import as_text
from tuneworthy.rows.table_columns import columns_of

EXAMPLE: dict[str, Any] = {
    "time": "2026-01-31T08:00:00+00:00", "model": "tune-1f0c", "input": "How long is exam leave?",
    "answer": "11 days", "tokens": {"in": 31, "out": 4}, "seconds": 0.2, "valid": True,
}  # fmt: skip
_PROMPT_TOKEN_NAMES = ("in", "prompt", "input", "prompt_tokens", "input_tokens")
_ANSWER_TOKEN_NAMES = ("out", "answer", "output", "completion_tokens", "output_tokens")


def reads(fields: Mapping[str, Any]) -> bool:
    """Return whether a line has this form."""
    return bool({"input", "messages", "answer"} & fields.keys()) and "attributes" not in fields


def requests(fields: Mapping[str, Any]) -> Iterator[LoggedRequest | None]:
    """Yield the request of a line; measured values may have the usual names of logs."""
    fields = {**measured_values(fields, measured_columns(columns_of([fields]))), **fields}
    given, model, group = (fields.get(key) for key in ("answer", "model", "group"))
    read, written = _token_counts(fields)
    yield LoggedRequest(
        input=_input_text(fields),
        answer=value_text(given),
        output=value_text(fields.get("output")),
        time=iso_time(fields.get("time")),
        model=value_text(model),
        tokens_in=read,
        tokens_out=written,
        seconds=number_from_zero(fields.get("seconds"), "seconds"),
        finish=value_text(fields.get("finish")),
        group=value_text(group),
        failed=fields.get("error") is not None or (given is None and "answer" in fields),
    )


def _input_text(fields: Mapping[str, Any]) -> str | None:
    value, key = fields.get("input"), "input"
    if value is None:
        value, key = fields.get("messages"), "messages"
    if value is None or (isinstance(value, str) and key == "input"):
        return value if value and value.strip() else None
    found = parse_turns(value, key)
    if found is None:
        raise BadRow("the input is no text", as_text(value)[:80], "write it as text", key)
    return last_text(found, USER)


def _token_counts(fields: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Return (prompt tokens, answer tokens); a bare number is the answer tokens."""
    given = fields.get("tokens")
    if not isinstance(given, Mapping):
        written = fields.get("tokens_out", given)
        return token_count(fields.get("tokens_in"), "tokens_in"), token_count(written, "tokens_out")
    read, written = (
        next((given[name] for name in names if name in given), None)
        for names in (_PROMPT_TOKEN_NAMES, _ANSWER_TOKEN_NAMES)
    )
    return token_count(read, "tokens"), token_count(written, "tokens")
