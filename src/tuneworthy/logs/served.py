"""Plain requests, as `tuneworthy serve --log` writes them: {"input", "answer", "time", ...}."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tuneworthy.core.logged import LoggedRequest
from tuneworthy.data.raw import BadRow
from tuneworthy.data.rows import as_text
from tuneworthy.logs._values import USER, count, last_text, moment, number, text, turns

EXAMPLE: dict[str, Any] = {
    "time": "2026-01-31T08:00:00+00:00", "model": "tune-1f0c", "input": "How long is exam leave?",
    "answer": "11 days", "tokens": {"in": 31, "out": 4}, "seconds": 0.2, "valid": True,
}  # fmt: skip
_READ = ("in", "prompt", "input", "prompt_tokens", "input_tokens")
_WRITTEN = ("out", "answer", "output", "completion_tokens", "output_tokens")


def reads(fields: Mapping[str, Any]) -> bool:
    """Return whether a line has this form."""
    return bool({"input", "messages", "answer"} & fields.keys()) and "attributes" not in fields


def requests(fields: Mapping[str, Any]) -> Iterator[LoggedRequest | None]:
    """Yield the request of a line."""
    given, model, group = (fields.get(key) for key in ("answer", "model", "group"))
    read, written = _tokens(fields)
    yield LoggedRequest(
        input=_input(fields),
        answer=text(given),
        output=text(fields.get("output")),
        time=moment(fields.get("time")),
        model=text(model),
        tokens_in=read,
        tokens_out=written,
        seconds=number(fields.get("seconds"), "seconds"),
        finish=text(fields.get("finish")),
        group=text(group),
        failed=fields.get("error") is not None or (given is None and "answer" in fields),
    )


def _input(fields: Mapping[str, Any]) -> str | None:
    value, key = fields.get("input"), "input"
    if value is None:
        value, key = fields.get("messages"), "messages"
    if value is None or (isinstance(value, str) and key == "input"):
        return value if value and value.strip() else None
    found = turns(value, key)
    if found is None:
        raise BadRow("the input is no text", as_text(value)[:80], "write it as text", key)
    return last_text(found, USER)


def _tokens(fields: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Return prompt and answer tokens; a bare number counts those of the answer."""
    given = fields.get("tokens")
    if not isinstance(given, Mapping):
        written = fields.get("tokens_out", given)
        return count(fields.get("tokens_in"), "tokens_in"), count(written, "tokens_out")
    read, written = (
        next((given[name] for name in names if name in given), None) for names in (_READ, _WRITTEN)
    )
    return count(read, "tokens"), count(written, "tokens")
