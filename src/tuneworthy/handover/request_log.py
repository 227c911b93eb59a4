"""Read a log of served requests; bad lines are counted, listed and bounded."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from tuneworthy.records.artefact import artefact_name
from tuneworthy.records.case import LoggedRequest
from tuneworthy.records.errors import DataError, TaskError
from tuneworthy.records.plugins import catalogue, load
from tuneworthy.rows.bad_rows import MOST_UNREAD, BadRow, RawRow, ReadCount, RowFault
from tuneworthy.rows.lines import read_jsonl

MOST_KEPT = 50_000  # the latest requests, to bound memory
_MOST_FAULTS = 20  # the most bad lines that are described
_CAPTURE_INPUT_FIX = (
    "give each request its `input`; in OpenTelemetry the capture of content is off by default:"
    " OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=true"
)


@dataclass(frozen=True)
class RequestLog:
    """The requests of a log, in its order: at most the latest MOST_KEPT of `total`.

    `bad` counts the lines that can't be read, `faults` describes the first of them; `other_spans`
    counts spans that asked no model (of tools, of databases).
    """

    name: str
    requests: tuple[LoggedRequest, ...]
    total: int
    bad: int
    faults: tuple[RowFault, ...]
    other_spans: int


class _LatestRequests:
    """Collects the latest requests; several lines about one span become one request."""

    def __init__(self) -> None:
        self.requests: OrderedDict[str | int, LoggedRequest] = OrderedDict()
        self.total = 0

    def add(self, request: LoggedRequest) -> None:
        key: str | int = request.span or self.total
        if (before := self.requests.get(key)) is not None:
            self.requests[key] = _merge_requests(before, request)
            return
        self.requests[key] = request
        self.total += 1
        if len(self.requests) > MOST_KEPT:
            self.requests.popitem(last=False)


def read_log(path: Path, most_unread: float = MOST_UNREAD) -> RequestLog:
    """Return the requests of a log; each line may have any known form.

    Raises TaskError if there is no such file, and DataError if nothing in it can be used (it is
    empty, compressed or not UTF-8, no line is a request, no request has its input), or if more than
    `most_unread` of its lines, and more than one, can't be read.
    """
    shown, kept, faults = path.name, _LatestRequests(), []
    others, lines = 0, ReadCount()
    for found in _read_lines(path, shown):
        # each line stands alone: one that is still being written is one line
        fault = replace(found, lost=1) if isinstance(found, RowFault) else None
        lines.add(fault)
        if fault is not None:
            faults += [fault] if lines.lost <= _MOST_FAULTS else []
        elif found is None:
            others += 1
        elif not isinstance(found, RowFault):
            kept.add(found)
    log = RequestLog(shown, tuple(kept.requests.values()), kept.total, int(lines.lost),
                     tuple(faults), others)  # fmt: skip
    _refuse_useless(log)
    lines.check(most_unread, "--max-bad")
    return log


def _read_lines(path: Path, shown: str) -> Iterator[LoggedRequest | RowFault | None]:
    forms = [load("logs", name) for name in catalogue("logs")]
    if not path.exists():
        raise TaskError(
            "there is no such log",
            where="--live",
            got=str(path),
            fix="name the file that `tuneworthy serve --log` or your server writes",
        )
    for raw in read_jsonl(path, shown):
        if isinstance(raw, RowFault):
            yield raw
        else:
            yield from _requests_of_line(raw, forms)


def _requests_of_line(raw: RawRow, forms: list[Any]) -> list[LoggedRequest | RowFault | None]:
    """Return the requests in a line (None for a span of no model), or one fault for the line."""
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


def _merge_requests(before: LoggedRequest, after: LoggedRequest) -> LoggedRequest:
    """Return one request made of two lines about one span; the later line's values win."""
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
            got=first.got if first else f"{log.other_spans:,} other spans",
            fix=(first.fix if first else "") or "name the log of the requests themselves",
        )
    if all(request.input is None for request in log.requests):
        raise DataError(
            "no request of the log has its input",
            where=log.name,
            got=f"{log.total:,} requests without an input",
            fix=_CAPTURE_INPUT_FIX,
        )


_BUILD_ID = "-[0-9a-f]{12}"  # what `serve` puts after an artefact's name


def requests_to_builds(log: RequestLog, task: str, arm: str) -> RequestLog:
    """Return the log with only the requests to builds of an arm; the whole log if it names none.

    `tuneworthy serve --log` logs every name that it serves: bare models, bases, builds of other
    arms and tasks. The names that other servers write say nothing about the arm. Raises DataError
    for a log of builds, none of which is of this arm.
    """
    name = artefact_name(task, arm)
    built = re.compile(f"{re.escape(name)}({_BUILD_ID})?")
    own = tuple(one for one in log.requests if one.model and built.fullmatch(one.model))
    if own:
        return replace(log, requests=own)
    served = sorted({one.model for one in log.requests if one.model
                     and re.fullmatch(f".+{_BUILD_ID}(:raw)?", one.model)})  # fmt: skip
    if served:
        raise DataError(
            "no request of the log is to a build of this arm", where=log.name,
            got=", ".join(served[:5]), fix=f"name a log of `{name}`, or another arm: --arm",
        )  # fmt: skip
    return log
