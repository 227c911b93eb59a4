"""Write the rows of paid requests: a reservation before each, its outcome and reply after.

Threads that wait while another one writes share the next transaction (group commit), so many
requests in flight cost few syncs. A caller returns once its own row is durable, as without it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from tuneworthy.records.errors import StoreError
from tuneworthy.store.database import REPLIES_FILE
from tuneworthy.store.mirror import append_replies
from tuneworthy.store.trouble import store_errors

if TYPE_CHECKING:
    from tuneworthy.store.journal import Entry, Journal

Value = TypeVar("Value")


@dataclass
class _Waiting(Generic[Value]):
    value: Value
    done: bool = False
    result: Any = None
    error: BaseException | None = None


class GroupCommit(Generic[Value]):
    """Calls `write` with all values that arrived during its previous call, one call at a time.

    `write` returns a result for each value. An error is raised in every thread of its group.
    """

    def __init__(self, write: Callable[[Sequence[Value]], Sequence[Any]]) -> None:
        self._write, self._changed = write, threading.Condition()
        self._queue: list[_Waiting[Value]] = []
        self._busy = False

    def __call__(self, value: Value) -> Any:
        """Write a value, maybe in one call with those of other threads; return its result."""
        mine = _Waiting(value)
        with self._changed:
            self._queue.append(mine)
            while self._busy and not mine.done:
                self._changed.wait()
            if not mine.done:
                self._busy, group = True, self._queue
                self._queue = []
        if not mine.done:
            self._write_group(group)
        if mine.error is not None:
            raise mine.error
        return mine.result

    def _write_group(self, group: Sequence[_Waiting[Value]]) -> None:
        error: BaseException | None = None
        results: Sequence[Any] = [None] * len(group)
        try:
            results = self._write([waiting.value for waiting in group])
        except BaseException as raised:
            error = raised
        with self._changed:
            for waiting, result in zip(group, results, strict=True):
                waiting.done, waiting.result, waiting.error = True, result, error
            self._busy = False
            self._changed.notify_all()


@dataclass(frozen=True)
class _Outcome:
    """A settled attempt; `line` has the mirror's fields besides the reply, None to write none."""

    entry: Entry
    reply: tuple[str, Any] | None
    study: str
    line: dict[str, Any] | None = field(default=None)


class Bookings:
    """The part of a ledger that writes paid requests; the rest of it is in `store.py`."""

    home: Path
    journal: Journal

    def __init__(self) -> None:
        self._attempts: GroupCommit[Entry] = GroupCommit(
            lambda entries: [row.seq for row in self.journal.append("attempt", *entries)]
        )
        self._outcomes: GroupCommit[_Outcome] = GroupCommit(self._write_outcomes)

    def _check_writable(self) -> None:
        raise NotImplementedError

    def _entry(self, sort: str, name: str | None, kind: str, study: str, value: Any) -> Entry:
        raise NotImplementedError

    def attempt(self, key: str, worst: dict[str, Any], study: str = "") -> int:
        """Record that a paid request is about to be sent, at its worst-case cost; return its id."""
        self._check_writable()
        entry = self._entry("attempt", None, "", study, {"key": key, **worst})
        return int(self._attempts(entry))

    def outcome(
        self,
        attempt: int,
        cost: dict[str, Any],
        study: str = "",
        reply: tuple[str, Any] | None = None,
        *,
        mirror: bool = True,
    ) -> None:
        """Record the cost of an attempt and, in the same transaction, the reply (key, value).

        `cost` has usd (text) and tokens; None if unknown. A reply is also noted in replies.jsonl,
        unless it was read from there.
        """
        self._check_writable()
        entry = self._entry("outcome", str(attempt), "", study, cost)
        line = {"study": study, **cost} if mirror else None
        self._outcomes(_Outcome(entry, reply, study, line))

    def _write_outcomes(self, group: Sequence[_Outcome]) -> Sequence[None]:
        """Mirror the replies that the store lacks; write them and the outcomes at once."""
        with self.journal.lock:
            new = self._new_replies(group)
            entries = []
            for outcome in group:
                entries.append(outcome.entry)
                if outcome.reply and any(outcome is one for one in new):
                    key, value = outcome.reply
                    entries.append(self._entry("unit", key, "reply", outcome.study, value))
            self.journal.append("outcome", *entries)
        return [None] * len(group)

    def _new_replies(self, group: Sequence[_Outcome]) -> list[_Outcome]:
        """Mirror the replies that the store lacks; return their outcomes, each key once."""
        first = {outcome.reply[0]: outcome for outcome in reversed(group) if outcome.reply}
        new = list(first.values())
        try:
            new = [
                outcome for key, outcome in first.items() if self.journal.find("unit", key) is None
            ]
        except StoreError:  # a lost server, say: the mirror alone has what was paid for
            self.journal.failed = True
            raise
        finally:
            lines = [
                {"key": outcome.reply[0], "reply": outcome.reply[1], **outcome.line}
                for outcome in new
                if outcome.reply and outcome.line is not None
            ]
            if lines:
                with store_errors(self.home / REPLIES_FILE):
                    append_replies(self.home / REPLIES_FILE, lines)
        return new
