"""OpenTelemetry spans with plain attributes, as console and file exporters write them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from tuneworthy.records.case import LoggedRequest
from tuneworthy.rows.logs._gen_ai import PREFIX, Event, request_of
from tuneworthy.rows.logs._values import iso_time

EXAMPLE: dict[str, Any] = {
    "name": "chat tune-1f0c",
    "context": {"trace_id": "0x5b8e", "span_id": "0x1a2b"},
    "start_time": "2026-01-31T08:00:00.000000Z",
    "end_time": "2026-01-31T08:00:00.200000Z",
    "attributes": {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "tune-1f0c",
        "gen_ai.usage.input_tokens": 31,
        "gen_ai.usage.output_tokens": 4,
        "gen_ai.input.messages": '[{"role": "user", "parts":'
        ' [{"type": "text", "content": "How long is exam leave?"}]}]',
        "gen_ai.output.messages": '[{"role": "assistant", "parts":'
        ' [{"type": "text", "content": "11 days"}], "finish_reason": "stop"}]',
    },
}


def reads(fields: Mapping[str, Any]) -> bool:
    """Return whether a line has this form: a span's object of attributes, or attributes alone."""
    found = fields.get("attributes")
    own = isinstance(found, Mapping) and (
        any(key.startswith(PREFIX) for key in found) or bool(_SPAN_KEYS & fields.keys())
    )
    return own or any(key.startswith(PREFIX) for key in fields)


def requests(fields: Mapping[str, Any]) -> Iterator[LoggedRequest | None]:
    """Yield the request of a span or an event; None if it asked no model."""
    attributes = fields.get("attributes")
    attributes = attributes if isinstance(attributes, Mapping) else fields
    start = iso_time(next((fields[key] for key in _STARTS if fields.get(key)), None), "start_time")
    end = iso_time(next((fields[key] for key in _ENDS if fields.get(key)), None), "end_time")
    context = fields.get("context")
    ids = context if isinstance(context, Mapping) else fields
    span = ids.get("span_id")
    span = f"{ids.get('trace_id') or ''} {span}" if isinstance(span, str) else ""
    yield request_of(
        attributes,
        list(_span_events(fields)),
        time=start or end,
        seconds=_seconds_between(start, end),
        span=span,
    )


_SPAN_KEYS = {"name", "context", "span_id", "spanId", "trace_id", "traceId", "start_time",
             "startTime", "timestamp", "kind", "event_name", "eventName"}  # fmt: skip
_STARTS, _ENDS = ("start_time", "startTime", "timestamp"), ("end_time", "endTime")


def _seconds_between(start: str | None, end: str | None) -> float | None:
    if start is None or end is None:
        return None
    took = (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
    return took if took >= 0 else None


def _span_events(fields: Mapping[str, Any]) -> Iterator[Event]:
    given = fields.get("events")
    for event in given if isinstance(given, list) else ():
        if isinstance(event, Mapping):
            inner = event.get("attributes")
            yield Event(str(event.get("name", "")), inner if isinstance(inner, Mapping) else {})
    name, body = fields.get("event_name") or fields.get("name"), fields.get("body")
    if isinstance(name, str) and isinstance(body, Mapping):
        yield Event(name, body)
