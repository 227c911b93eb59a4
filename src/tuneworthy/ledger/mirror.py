"""Paid replies, once more as plain text: the last resort if the store is lost.

Knows no SQL. A line is on the disk before the store has the reply, so a kill between the two
loses nothing either: what the store lacks is read back when it is opened next.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuneworthy.ledger.head import REPLIES

if TYPE_CHECKING:
    from tuneworthy.ledger.paid import PaidRequests

_TAIL = 4_000_000  # bytes at the end that are read for times


def note(path: Path, line: dict[str, Any]) -> None:
    """Append one reply (key, reply, study, usd, tokens) as a JSON line and sync it."""
    fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        size = os.fstat(fd).st_size
        torn = size > 0 and os.pread(fd, 1, size - 1) != b"\n"
        os.write(fd, (b"\n" if torn else b"") + json.dumps(line).encode() + b"\n")
        os.fsync(fd)
    finally:
        os.close(fd)


def timed(home: Path, most: int = 500) -> list[float]:
    """Return the seconds of the last replies that were paid for in a store, none where there are
    none: what the next request may take."""
    try:
        with (home / REPLIES).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
            found = [_parsed(line) for line in file.read().splitlines()[-most:]]
    except OSError:
        return []
    seconds = [
        one["reply"].get("seconds") for one in found if one and isinstance(one["reply"], dict)
    ]
    return [float(s) for s in seconds if isinstance(s, int | float) and s > 0]


def read_back(ledger: PaidRequests) -> int:
    """Store the replies that the mirror has and the ledger lacks, with their cost; return how many.

    An attempt that was left open by the same request is settled by it. Calling again adds nothing.
    """
    path, count = ledger.home / REPLIES, 0
    if not path.is_file():
        return 0
    settled = {row.name for row in ledger.journal.rows("outcome")}
    waiting = {
        (row.study, row.content["key"]): row.seq
        for row in ledger.journal.rows("attempt")
        if str(row.seq) not in settled
    }
    with path.open("rb") as lines:
        for line in lines:
            found = _parsed(line)
            if found is None or ledger.get(found["key"]) is not None:
                continue
            key, study = found["key"], found["study"]
            cost = {"usd": found["usd"], "tokens": found["tokens"]}
            number = waiting.pop((study, key), None) or ledger.attempt(key, cost, study)
            ledger.outcome(number, cost, study, (key, found["reply"]), mirror=False)
            count += 1
    return count


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
        whole = isinstance(found, dict) and {"key", "reply", "study", "usd", "tokens"} <= set(found)
    except ValueError:
        return None  # a line that was being written when the power went
    return found if whole else None
