"""Records by id: the shipped ones and those of the user's own runs."""

from __future__ import annotations

import gzip
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from tuneworthy.core.failure import RunFacts
from tuneworthy.lab.events import RECORDED_KINDS, Event, read_record, write_record
from tuneworthy.lab.lab_folder import is_id, read_file
from tuneworthy.lab.problem import Problem

PACKAGE_RECORDS = Path(__file__).parent / "records"
MOST_RECORD_BYTES = 4 << 20


class RecordStore:
    """The records of some folders. It checks each id: one without 16 hex digits has no record."""

    def __init__(self, *folders: Path) -> None:
        """Read a record from the first of these folders that has it; write to the last one."""
        self._folders = folders

    def has(self, name: str) -> bool:
        """Return whether there is a record of this id."""
        return self._path(name) is not None

    def events(self, name: str) -> list[Event]:
        """Return the events of a record. Raises Problem: 404 if there is none, 500 if damaged."""
        path = self._path(name)
        if path is None:
            raise Problem(
                404, "there is no record of this id", where="the id in the address", got=name,
                fix="open the case and run it again",
            )  # fmt: skip
        try:
            return read_record(read_file(path, MOST_RECORD_BYTES))
        except (OSError, ValueError, RecursionError) as error:
            raise Problem(
                500, "a record is damaged", where=f"{path.parent.name}/{path.name}",
                got=type(error).__name__, fix="remove this file, then run the case again",
            ) from None  # fmt: skip

    def facts(self, name: str) -> RunFacts | None:
        """Return the facts of a recorded run; None if there is no such record, or a damaged one."""
        try:
            return RunFacts(**self.events(name)[-1]["facts"])
        except (Problem, ValueError, TypeError, LookupError):
            return None

    def seconds(self, name: str) -> float | None:
        """Return how many seconds a recorded run took, None if it is not recorded."""
        try:
            return float(self.events(name)[-1]["seconds"])
        except (Problem, ValueError, TypeError, LookupError):
            return None

    def write(self, name: str, events: list[Event]) -> None:
        """Write the record of a finished run. Raises OSError, and then keeps the old record."""
        kept = [event for event in events if event["kind"] in RECORDED_KINDS]
        write_record(kept, self._folders[-1] / f"{name}.json.gz").chmod(0o600)

    def _path(self, name: str) -> Path | None:
        if not is_id(name):
            return None
        paths = [folder / f"{name}.json.gz" for folder in self._folders]
        return next((path for path in paths if path.exists()), None)


SHIPPED_RECORDS = RecordStore(PACKAGE_RECORDS)


@lru_cache(maxsize=128)
def shipped_bytes(name: str) -> bytes | None:
    """Return the bytes of a shipped record (a JSON list of events), or None if there is none."""
    path = PACKAGE_RECORDS / f"{name}.json.gz"
    return gzip.decompress(path.read_bytes()) if path.is_file() else None


def shipped_record(name: str, rest: str) -> dict[str, Any] | None:
    """Return the first entry of the record `play` or `strength`, the others as its field `rest`."""
    content = shipped_bytes(name)
    if content is None:
        return None
    first, *others = json.loads(content)
    return {**first, rest: others}
