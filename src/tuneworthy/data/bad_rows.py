"""Collect a study's bad rows: show twenty, list all in `.tuneworthy/bad_rows.jsonl`."""

from __future__ import annotations

import contextlib
import json
import math
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import IO

from tuneworthy.core.errors import DataError
from tuneworthy.core.escape import quoted
from tuneworthy.data.raw import RowFault

MAX_SHOWN = 20
_SHOWN_PLACES = 3  # places of one reason in the message
_BAD_ROWS_FILE = ".tuneworthy/bad_rows.jsonl"


class BadRows:
    """Collects bad rows in bounded memory and decides whether they stop the study.

    `listed`: write all of them to a file; not for a study that has no task file yet.
    """

    def __init__(self, folder: Path, listed: bool = True) -> None:
        self._listed = listed
        self.path = folder / _BAD_ROWS_FILE
        self.first: list[RowFault] = []
        self.reasons: Counter[str] = Counter()
        self.lost = 0.0  # records, `math.inf` where a file breaks
        self.places: dict[str, list[str]] = {}
        self._file: IO[str] | None = None

    def add(self, fault: RowFault) -> None:
        """Add one bad row."""
        self.reasons[fault.why] += 1
        self.lost += fault.lost
        if len(self.first) < MAX_SHOWN:
            self.first.append(fault)
        places = self.places.setdefault(fault.why, [])
        if len(places) < MAX_SHOWN:
            places.append(fault.id or fault.where)
        self._write(fault)

    def _write(self, fault: RowFault) -> None:
        if not self._listed:
            return
        with contextlib.suppress(OSError):  # in a read-only folder only the list is lost
            if self._file is None:
                self.path.parent.mkdir(exist_ok=True)
                self.path.unlink(missing_ok=True)  # never write through a link or a pipe
                self._file = self.path.open("w", encoding="utf-8", errors="backslashreplace")
            self._file.write(json.dumps(asdict(fault)) + "\n")

    def close(self) -> None:
        """Close the file of bad rows; without bad rows, remove an old one."""
        if self._file is not None:
            self._file.close()
            self._file = None
        elif self._listed and not self.reasons:
            with contextlib.suppress(OSError):
                self.path.unlink()

    @property
    def count(self) -> int:
        """Return the number of bad rows."""
        return self.reasons.total()

    def raise_if_too_many(self, rows: int, policy: str, max_bad: float) -> None:
        """Raise DataError if bad rows stop the study: any by default, else more than `max_bad`.

        A place where the file breaks counts as all of its rows.
        """
        allowed = max_bad >= 1 or self.lost <= max_bad * rows
        if not self.count or (policy == "exclude" and allowed):
            return
        first = max(self.first, key=lambda fault: fault.lost)
        what = first.why
        if self.count > 1:
            what += f" ({self.count:,} bad rows of {rows:,} in all)"
        if policy == "exclude":
            what = f"more bad rows than --max-bad allows ({max_bad:.1%}): {what}"
        if first.lost > 1 and policy == "exclude":
            many = "nobody knows how many" if first.lost == math.inf else f"{first.lost:,.0f}"
            what += f"; {many} rows are lost there"
        error = DataError(
            what, where=self._where(first.why), got=first.got, fix=self._fix(first, policy)
        )
        error.misspelt = first.misspelt
        raise error

    def _where(self, headline: str) -> list[str]:
        """Return a line for each reason of the first bad rows; the last line counts other rows."""
        lines = []
        listed = list(dict.fromkeys(fault.why for fault in self.first))
        for why in listed:
            alike = [fault.place() for fault in self.first if fault.why == why]
            places = ", ".join(alike[:_SHOWN_PLACES])
            if (more := self.reasons[why] - len(alike[:_SHOWN_PLACES])) > 0:
                places += f" and {more:,} more"
            lines.append(quoted(places if why == headline else f"{places}: {why}"))
        if more := sum(n for why, n in self.reasons.items() if why not in listed):
            lines.append(f"and {more:,} more")
        return lines

    def _fix(self, first: RowFault, policy: str) -> str:
        listed = f" (listed in {_BAD_ROWS_FILE})" if self._listed and self.path.exists() else ""
        way = "or leave bad rows out: --bad-rows=exclude"
        if policy == "exclude":
            way = "or raise --max-bad"
        elif policy == "draft":
            way = (
                "or leave a few bad rows out: write `data: {file: ...}` into task.yaml yourself,"
                " then `tuneworthy check --bad-rows=exclude`"
            )
        return f"{first.fix or 'correct the row'}{listed}; {way}"
