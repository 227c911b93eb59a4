"""Types of an unchecked row and its fault; collect, show and list a study's bad rows."""

from __future__ import annotations

import contextlib
import difflib
import json
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from tuneworthy.records.errors import DataError, refuse_environment_keys
from tuneworthy.records.escape import quoted
from tuneworthy.records.redaction import without_environment_keys

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


MOST_UNREAD = 0.01  # the largest share of a file's records that may be lost unless told otherwise

ROW_FIELDS = ("input", "output", "messages", "accepted", "must_say", "must_not_say", "id", "group",
              "time", "context", "meta")  # fmt: skip

_FIELD_OF_ALIAS = {
    "prompt": "input", "question": "input", "query": "input", "text": "input", "instruction":
    "input", "completion": "output", "response": "output", "answer": "output", "label": "output",
    "target": "output", "conversation": "messages", "conversations": "messages",
}  # fmt: skip


def likely_name(names: Iterable[str], field: str) -> str | None:
    """Return the name that probably means a field (`question` for `input`), None if none does."""
    others = [name for name in names if name not in ROW_FIELDS]
    near = [name for name in others if _FIELD_OF_ALIAS.get(name.lower()) == field]
    return next(iter(near or difflib.get_close_matches(field, others, n=1, cutoff=0.6)), None)


@dataclass(frozen=True, slots=True)
class RawRow:
    """One row with unchecked fields, and its place (`file:line` or `file:number`).

    `at` are the keys that lead to its list in a JSON document, such as ("results", "results"); ()
    if the file itself is the list. Raises SecurityError if a field holds an API key of the
    environment.
    """

    where: str
    fields: dict[str, Any]
    at: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse API keys of the environment."""
        refuse_environment_keys(self.fields, self.where)


@dataclass(frozen=True, slots=True)
class ImportedRow:
    """The fields of a row as `rows/rows.py` reads them, and the systems' answers to it.

    `answers` maps a system to {"answer", "seconds"?, "usd"?, "tokens_in"?, "tokens_out"?}.
    Records of one `key` are one row; "" is a row of its own. `part` is `train`, `test` or `dev` for
    a row of a file with such parts, "" for any other. `repeat` counts how often a system answered
    the row so far, where the file says so.
    """

    fields: dict[str, Any]
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    key: str = ""
    part: str = ""
    repeat: int = 1


@dataclass(frozen=True)
class RowFault:
    """A bad row: its place (`file:line:column`), what is wrong, what was got, a fix, field, id.

    `lost` counts the records that are lost with it, `math.inf` where the file breaks and nobody
    knows how many would have followed. `misspelt`: its label differs from a frequent one only in
    case or spaces.
    """

    where: str
    why: str
    got: str = ""
    fix: str = ""
    field: str = ""
    id: str = ""
    lost: float = 1
    misspelt: bool = False

    def __post_init__(self) -> None:
        """Remove API keys of the environment: faults are written to a file."""
        for part in ("got", "id"):
            object.__setattr__(self, part, without_environment_keys(getattr(self, part)))

    def place(self) -> str:
        """Return the place of the row, with its field and id if known."""
        name = f", field `{self.field}`" if self.field else ""
        return self.where + name + (f", id {self.id}" if self.id else "")


class ReadCount:
    """Counts the records of a file that were read, and those that were lost (see `RowFault`)."""

    def __init__(self) -> None:
        self.read, self.lost = 0, 0.0
        self.first: RowFault | None = None

    def add(self, fault: RowFault | None = None) -> None:
        """Count a record that was read, or a fault and the records that it loses."""
        if fault is None:
            self.read += 1
            return
        self.lost += fault.lost
        if self.first is None or fault.lost > self.first.lost:
            self.first = fault

    def check(self, most: float, option: str) -> None:
        """Raise DataError if more than a share `most` of the records is lost; 1: any may be.

        One record may be lost in any case, unless the file breaks there. `option` is the option
        that allows more, "" for none.
        """
        if self.first is None or most >= 1:
            return
        if self.lost == math.inf:
            need, what = 1.0, f"only {self.read:,} records could be read, and the file breaks there"
        elif self.lost > max(1, most * (whole := self.read + int(self.lost))):
            need = min(1.0, self.lost / whole + 0.005)
            what = f"{self.lost:,.0f} of {whole:,} records can't be read"
        else:
            return
        raise DataError(
            f"{what}: {self.first.why}",
            where=self.first.place(), got=self.first.got, kept="your files",
            fix=f"{self.first.fix or 'correct the file'} (what is lost may tell another story)"
            + f", or use what can be read: {option} {need:.0%}" * bool(option),
        )  # fmt: skip


class BadRow(Exception):
    """Raised while a row is parsed; its arguments are why, got, fix, field."""
