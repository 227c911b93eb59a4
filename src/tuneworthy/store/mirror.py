"""The mirror replies.jsonl: a plain-text copy of paid replies, should the store be lost.

Knows no SQL. A line is on the disk before the store has the reply, so a kill between the two loses
nothing: the next opening reads back what the store lacks.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuneworthy.store.database import REPLIES_FILE

if TYPE_CHECKING:
    from tuneworthy.store.purse import PaidRequests

_TAIL_BYTES = 4_000_000  # read from the end of the file for times
_TIMED_REPLIES = 500  # the last replies whose seconds are read


def append_replies(path: Path, lines: Sequence[dict[str, Any]]) -> None:
    """Append replies (key, reply, study, usd, tokens) as JSON lines and sync them together."""
    fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        size = os.fstat(fd).st_size
        torn = size > 0 and os.pread(fd, 1, size - 1) != b"\n"
        text = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        _write_all(fd, (b"\n" if torn else b"") + text)
        os.fsync(fd)
    finally:
        os.close(fd)


def _write_all(fd: int, text: bytes) -> None:
    """Write all of a text: a single `os.write` may write only a part of it."""
    while text:
        text = text[os.write(fd, text) :]


def reply_seconds(home: Path) -> list[float]:
    """Return a list of the seconds that a store's last paid replies took; [] if there are none.
    They serve to estimate the next request.
    """
    try:
        with (home / REPLIES_FILE).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
            replies = [_parse_reply(line) for line in file.read().splitlines()[-_TIMED_REPLIES:]]
    except OSError:
        return []
    seconds = [
        reply["reply"].get("seconds")
        for reply in replies
        if reply and isinstance(reply["reply"], dict)
    ]
    return [float(s) for s in seconds if isinstance(s, int | float) and s > 0]


def restore_replies(ledger: PaidRequests) -> int:
    """Store the mirror's replies that the ledger lacks, with their cost; return how many.

    Each settles an open attempt of the same request. A second call adds nothing.
    """
    path, count = ledger.home / REPLIES_FILE, 0
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
            entry = _parse_reply(line)
            if entry is None or ledger.get(entry["key"]) is not None:
                continue
            key, study = entry["key"], entry["study"]
            cost = {"usd": entry["usd"], "tokens": entry["tokens"]}
            number = waiting.pop((study, key), None) or ledger.attempt(key, cost, study)
            ledger.outcome(number, cost, study, (key, entry["reply"]), mirror=False)
            count += 1
    return count


def _parse_reply(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
        whole = isinstance(entry, dict) and {"key", "reply", "study", "usd", "tokens"} <= set(entry)
    except ValueError:
        return None  # a line torn by a power loss
    return entry if whole else None
