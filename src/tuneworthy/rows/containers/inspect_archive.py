"""A log that Inspect wrote as an `.eval` archive: its header, then one member a sample."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tuneworthy.records.strict_json import strict_json
from tuneworthy.rows.bad_rows import RawRow, RowFault
from tuneworthy.rows.containers._heads import ZIP_FAULTS, optional_package, too_large

FORM = "an Inspect log (.eval)"
ORDER = 0
_ZSTD_METHOD = 93
_MOST_BYTES = 64_000_000  # bytes of a sample
_CONVERT_COMMAND = "inspect log convert --to json --output-dir . FILE"


def opens(path: Path, head: bytes) -> bool:
    """Return whether a zip archive holds samples of Inspect."""
    if not head.startswith(b"PK\x03\x04"):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.startswith(("samples/", "_journal/")) for name in archive.namelist())
    except ZIP_FAULTS:
        return False


def records(path: Path) -> Iterator[RawRow | RowFault]:
    """Yield the header at ("eval",), then the samples at ("samples",), numbered from 1."""
    number = 0
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        for name in ("_journal/start.json", "header.json"):
            if name in names and isinstance(found := _read_member(archive, name), dict):
                about = found.get("eval")
                yield RawRow(path.name, about if isinstance(about, dict) else {}, ("eval",))
        for name in sorted(names):
            if name.startswith("samples/") and name.endswith(".json"):
                number += 1
                found = _read_member(archive, name)
                where = f"{path.name}:{number}"
                if isinstance(found, str):
                    yield RowFault(
                        where, "a sample of the log can't be read", found, _CONVERT_COMMAND
                    )
                else:
                    yield RawRow(where, found, ("samples",))


def _member_bytes(archive: zipfile.ZipFile, name: str) -> bytes:
    """Return the bytes of a member, also with zstd, which zipfile reads from Python 3.14 on."""
    about = archive.getinfo(name)
    if about.compress_type != _ZSTD_METHOD:
        return archive.read(name)
    arrow = optional_package("pyarrow", Path(str(archive.filename)))
    with open(str(archive.filename), "rb") as file:
        file.seek(about.header_offset)
        head = file.read(30)  # a local header; the lengths of its name and extra field end it
        file.seek(sum(struct.unpack("<HH", head[26:30])), 1)
        packed = file.read(about.compress_size)
    with arrow.CompressedInputStream(arrow.BufferReader(packed), "zstd") as stream:
        unpacked: bytes = stream.read(_MOST_BYTES)
    return unpacked


def _read_member(archive: zipfile.ZipFile, name: str) -> dict[str, Any] | str:
    """Return the object of a member, or why it can't be read."""
    try:
        if fault := too_large(archive.getinfo(name), _MOST_BYTES):
            return fault
        found = strict_json(_member_bytes(archive, name))
    except ZIP_FAULTS as error:
        return str(error)[:200]
    return found if isinstance(found, dict) else "no object"
