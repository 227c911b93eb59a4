"""Read a log of served requests; a bad line is counted and named, never fatal."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from tuneworthy.core.errors import DataError, TaskError
from tuneworthy.core.logged import LoggedRequest
from tuneworthy.core.plugins import catalogue, load
from tuneworthy.data.jsonl import read_jsonl
from tuneworthy.data.lines import check_text_file
from tuneworthy.data.raw import BadRow, RawRow, RowFault

MOST_KEPT = 50_000  # the latest requests that are kept, to bound memory
SHOWN = 20
NO_CAPTURE = (
    "give each request its `input`; in OpenTelemetry the capture of content is off by default:"
    " OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=true"
)


@dataclass(frozen=True)
class RequestLog:
    """The requests of a log, in its order, at most the latest 50,000 of `total`.

    `bad` lines can't be read, the first 20 are `faults`; `others` are things that asked no model
    (spans of tools, of databases).
    """

    name: str
    requests: tuple[LoggedRequest, ...]
    total: int
    bad: int
    faults: tuple[RowFault, ...]
    others: int


class _Kept:
    """The latest requests; lines about one span are one request."""

    def __init__(self) -> None:
        self.requests: OrderedDict[str | int, LoggedRequest] = OrderedDict()
        self.total = 0

    def add(self, request: LoggedRequest) -> None:
        key: str | int = request.span or self.total
        if (before := self.requests.get(key)) is not None:
            self.requests[key] = _merged(before, request)
            return
        self.requests[key] = request
        self.total += 1
        if len(self.requests) > MOST_KEPT:
            self.requests.popitem(last=False)


def read_log(path: Path) -> RequestLog:
    """Return the requests of a log in any known form; lines may differ in form.

    Raises TaskError if there is no such file, and DataError if nothing in it can be used: it is
    empty, compressed or not UTF-8, no line is a request, or no request has its input.
    """
    shown, kept, faults = path.name, _Kept(), []
    bad = others = 0
    for found in _lines(path, shown):
        if isinstance(found, RowFault):
            bad += 1
            faults += [found] if bad <= SHOWN else []
        elif found is None:
            others += 1
        else:
            kept.add(found)
    log = RequestLog(shown, tuple(kept.requests.values()), kept.total, bad, tuple(faults), others)
    _refuse_useless(log)
    return log


def _lines(path: Path, shown: str) -> Iterator[LoggedRequest | RowFault | None]:
    forms = [load("logs", name) for name in catalogue("logs")]
    for raw in read_jsonl(path, shown, _checked(path, shown)):
        if isinstance(raw, RowFault):
            yield raw
        else:
            yield from _requests(raw, forms)


def _checked(path: Path, shown: str) -> int:
    """Return the length of a byte order mark; raise TaskError or DataError for no text file."""
    if not path.exists():
        raise TaskError(
            "there is no such log",
            where="--live",
            got=str(path),
            fix="name the file that `tuneworthy serve --log` or your server writes",
        )
    return check_text_file(path, shown)


def _requests(raw: RawRow, forms: list[Any]) -> list[LoggedRequest | RowFault | None]:
    """Return what a line holds, or its fault: a line is read whole or not at all."""
    form = next((one for one in forms if one.reads(raw.fields)), None)
    if form is None:
        got = f"fields: {', '.join(raw.fields)}"
        fix = 'write {"input": ..., "answer": ...}, or OpenTelemetry GenAI spans'
        return [RowFault(raw.where, "no known form of a log line", got, fix)]
    line = int(raw.where.rpartition(":")[2])
    try:
        found = list(form.requests(raw.fields))
    except BadRow as error:
        why, got, fix, field = (*error.args, "")[:4]
        return [RowFault(raw.where, why, got, fix, field)]
    except RecursionError:  # JSON inside a text value, which the reader of lines does not see
        return [RowFault(raw.where, "a value is nested too deep")]
    return [one and replace(one, line=line) for one in found]


def _merged(before: LoggedRequest, after: LoggedRequest) -> LoggedRequest:
    """Return one request from two lines about one span; the later line's values come first."""
    values = {one.name: getattr(after, one.name) for one in fields(after)}
    told = {name: value for name, value in values.items() if value is not None and name != "line"}
    return replace(before, **told | {"failed": before.failed or after.failed})


def _refuse_useless(log: RequestLog) -> None:
    if not log.total:
        first = log.faults[0] if log.faults else None
        what = "no line of the log can be read" if first else "the log holds no request to a model"
        raise DataError(
            f"{what}: {first.why}" if first else what,
            where=[fault.place() for fault in log.faults] or log.name,
            got=first.got if first else f"{log.others:,} other spans",
            fix=(first.fix if first else "") or "name the log of the requests themselves",
        )
    if all(request.input is None for request in log.requests):
        raise DataError(
            "no request of the log has its input",
            where=log.name,
            got=f"{log.total:,} requests without an input",
            fix=NO_CAPTURE,
        )
