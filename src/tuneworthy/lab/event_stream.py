"""Send a browser the events of a run that it does not have yet.

A stream waits on the run's log only, so a browser that stops reading delays no other one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress

from tuneworthy.lab.blind_play import blind_run_id
from tuneworthy.lab.blind_runs import without_cause
from tuneworthy.lab.events import EventLog, event_line
from tuneworthy.lab.open_lab import Lab
from tuneworthy.lab.problem import Problem

_LOG_POLL_SECONDS = 0.5  # seconds between two reads of a log that another lab on this folder writes


class Stream:
    """The events of one run that one browser lacks, from a live run, an old log or a record.

    `over`: the run has ended and the browser has all events.
    """

    def __init__(self, lab: Lab, name: str, last: str) -> None:
        """`last` is the number of the last event that the browser has. Raises Problem (404)."""
        run = lab.blind_runs.find(name)
        self.key = name if run and not run.guess else None
        name = blind_run_id(lab, run) if run else name
        log = lab.log_of(name)
        self.polls = log is not None and not log.ended and lab.jobs is None
        self.log = log or _record_log(lab, name)
        self.lab = lab
        sent = int(last) if last.isdecimal() and len(last) < 10 else 0
        self.sent = sent if sent <= len(self.log.lines) else 0  # the run was begun again
        self.over = self.log.ended and self.sent == len(self.log.lines)

    def shown_line(self, line: str) -> str:
        """Return an event's line for this browser; without the cause before a blind run's guess."""
        return event_line(without_cause(json.loads(line), self.key)) if self.key else line


def _record_log(lab: Lab, name: str) -> EventLog:
    if not lab.records.has(name):
        raise Problem(404, "there is no run of this id", where="the id in the address", got=name,
                      fix="open the case and run it again")  # fmt: skip
    log = EventLog(lab.folder / "runs" / f"{name}.jsonl")
    log.lines = [event_line(event) for event in lab.records.events(name)]
    log.ended = True
    return log


async def numbered_lines(stream: Stream) -> AsyncIterator[tuple[int, str]]:
    """Yield (number, line) of each event that the browser lacks, until the run ends."""
    log, sent = stream.log, stream.sent
    while True:
        lines = log.lines
        while sent < len(lines):
            sent += 1
            yield sent, stream.shown_line(lines[sent - 1])
        if (log.ended and sent >= len(log.lines)) or log.closed or stream.lab.closing:
            return
        # Only while it waits: a generator that is dropped at a `yield` must leave nothing behind.
        with log.waiter() as changed:
            if sent >= len(log.lines) and not log.closed:
                with suppress(TimeoutError):
                    await asyncio.wait_for(
                        changed.wait(), _LOG_POLL_SECONDS if stream.polls else None
                    )
        if stream.polls:
            log.refresh()
