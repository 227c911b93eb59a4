"""A log that Inspect wrote as an `.eval` archive: its header, then one member a sample."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tuneworthy.core.imported import SourceRecord
from tuneworthy.data.raw import RowFault

FORM = "an Inspect log (.eval)"
ORDER = 0
_MOST = 64_000_000  # bytes of a sample
_FIX = "inspect log convert --to json --output-dir . FILE"


def opens(path: Path, head: bytes) -> bool:
    """Return whether a zip archive holds samples of Inspect."""
    if not head.startswith(b"PK\x03\x04"):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.startswith(("samples/", "_journal/")) for name in archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return False


def records(path: Path) -> Iterator[SourceRecord | RowFault]:
    """Yield the header at ("eval",), then the samples at ("samples",), numbered from 1."""
    number = 0
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        for name in ("_journal/start.json", "header.json"):
            if name in names and isinstance(found := _member(archive, name), dict):
                yield SourceRecord(path.name, ("eval",), found.get("eval") or {})
        for name in sorted(names):
            if name.startswith("samples/") and name.endswith(".json"):
                number += 1
                found = _member(archive, name)
                where = f"{path.name}:{number}"
                if isinstance(found, str):
                    yield RowFault(where, "a sample of the log can't be read", found, _FIX)
                else:
                    yield SourceRecord(where, ("samples",), found)


def _member(archive: zipfile.ZipFile, name: str) -> dict[str, Any] | str:
    """Return the object of a member, or why it can't be read."""
    try:
        if archive.getinfo(name).file_size > _MOST:
            return "larger than 64 MB"
        found = json.loads(archive.read(name))
    except (OSError, ValueError, RecursionError, NotImplementedError, zipfile.BadZipFile) as error:
        return str(error)[:200]
    return found if isinstance(found, dict) else "no object"
