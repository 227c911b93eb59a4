"""OpenTelemetry in OTLP JSON, one export a line, as the collector's file exporter writes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from tuneworthy.records.case import LoggedRequest
from tuneworthy.rows.bad_rows import BadRow
from tuneworthy.rows.logs._gen_ai import Event, request_of
from tuneworthy.rows.rows import as_text

EXAMPLE: dict[str, Any] = {"resourceSpans": [{"scopeSpans": [{"spans": [{
    "spanId": "1a2b", "name": "chat tune-1f0c", "startTimeUnixNano": "1769846400000000000",
    "endTimeUnixNano": "1769846400200000000",
    "attributes": [
        {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
        {"key": "gen_ai.request.model", "value": {"stringValue": "tune-1f0c"}},
        {"key": "gen_ai.usage.input_tokens", "value": {"intValue": "31"}},
        {"key": "gen_ai.input.messages", "value": {"stringValue":
            '[{"role": "user", "content": "How long is exam leave?"}]'}},
        {"key": "gen_ai.output.messages", "value": {"stringValue":
            '[{"role": "assistant", "content": "11 days"}]'}},
    ],
}]}]}]}  # fmt: skip
_SPANS, _LOGS = ("resourceSpans", "resource_spans"), ("resourceLogs", "resource_logs")
_OTHER_SIGNALS = ("resourceMetrics", "resource_metrics", "resourceProfiles", "resource_profiles")
_NANOSECONDS = 1e9


def reads(fields: Mapping[str, Any]) -> bool:
    """Return whether a line has this form."""
    return any(key in fields for key in (*_SPANS, *_LOGS, *_OTHER_SIGNALS))


def requests(fields: Mapping[str, Any]) -> Iterator[LoggedRequest | None]:
    """Yield the request of each span and of each GenAI log record; None for each other one."""
    if any(key in fields for key in _OTHER_SIGNALS):
        yield None
    for span in _nested_objects(fields, _SPANS, ("scopeSpans", "scope_spans"), ("spans",)):
        start, end = (_nanoseconds(_time_field(span, name)) for name in ("startTime", "endTime"))
        events = [
            Event(str(one.get("name", "")), _attributes(one))
            for one in _object_list(span, "events")
        ]
        yield request_of(
            _attributes(span),
            events,
            time=_iso_time(start),
            seconds=(end - start) / _NANOSECONDS if start and end and end >= start else None,
            span=_span_id(span),
        )
    for record in _nested_objects(
        fields, _LOGS, ("scopeLogs", "scope_logs"), ("logRecords", "log_records")
    ):
        attributes, body = _attributes(record), _plain_value(record.get("body"))
        name = record.get("eventName") or record.get("event_name") or attributes.get("event.name")
        event = Event(str(name or ""), body if isinstance(body, Mapping) else {})
        at = _nanoseconds(_time_field(record, "time")) or _nanoseconds(
            _time_field(record, "observedTime")
        )
        yield request_of(
            attributes, [event], time=_iso_time(at), seconds=None, span=_span_id(record)
        )


def _nested_objects(
    fields: Mapping[str, Any], *levels: tuple[str, ...]
) -> Iterator[Mapping[str, Any]]:
    """Yield the objects of nested lists; each level is the spellings of one list's name."""
    (first, *rest) = levels
    for name in first:
        for one in _object_list(fields, name):
            if rest:
                yield from _nested_objects(one, *rest)
            else:
                yield one


def _object_list(fields: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    value = fields.get(name) or []
    if not isinstance(value, list) or not all(isinstance(one, Mapping) for one in value):
        raise BadRow(f"`{name}` is no list of objects", as_text(value)[:80],
                     "export it as OTLP JSON, one export a line", name)  # fmt: skip
    return value


def _attributes(fields: Mapping[str, Any]) -> dict[str, Any]:
    given = _object_list(fields, "attributes")
    return {str(one.get("key", "")): _plain_value(one.get("value")) for one in given}


def _plain_value(given: Any) -> Any:
    """Return an OTLP value as plain data; any other value as it is."""
    if not isinstance(given, Mapping) or len(given) != 1:
        return given
    ((kind, value),) = given.items()
    kind = kind.replace("_value", "Value")
    if kind == "arrayValue" and isinstance(value, Mapping):
        return [_plain_value(one) for one in value.get("values") or []]
    if kind == "kvlistValue" and isinstance(value, Mapping):
        pairs = [one for one in value.get("values") or [] if isinstance(one, Mapping)]
        return {str(one.get("key", "")): _plain_value(one.get("value")) for one in pairs}
    return value if kind.endswith("Value") else given


def _time_field(fields: Mapping[str, Any], name: str) -> Any:
    """Return a time field by its name, in either spelling."""
    spelled = {"startTime": "start_time", "endTime": "end_time", "observedTime": "observed_time"}
    return fields.get(f"{name}UnixNano", fields.get(f"{spelled.get(name, name)}_unix_nano"))


def _nanoseconds(value: Any) -> int | None:
    try:
        found = 0 if value is None or isinstance(value, bool) else int(value)
    except (TypeError, ValueError, OverflowError):
        found = -1
    if not 0 <= found < 2**63:
        fix = "write nanoseconds since 1970, as OTLP does"
        raise BadRow("a time can't be read", as_text(value)[:80], fix, "timeUnixNano")
    return found or None


def _iso_time(nanoseconds: int | None) -> str | None:
    if nanoseconds is None:
        return None
    return datetime.fromtimestamp(nanoseconds / _NANOSECONDS, UTC).isoformat()


def _span_id(fields: Mapping[str, Any]) -> str:
    trace, found = (fields.get(f"{name}Id") or fields.get(f"{name}_id")
                    for name in ("trace", "span"))  # fmt: skip
    return f"{trace or ''} {found}" if isinstance(found, str) else ""
