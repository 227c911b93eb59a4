"""Look into a file: its first bytes, one JSON object; import packages that only some forms need."""

from __future__ import annotations

import struct
import zipfile
import zlib
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from tuneworthy.records.errors import NotInstalled
from tuneworthy.records.record import plain_file
from tuneworthy.records.strict_json import strict_json

ZIP_FAULTS = (
    zipfile.BadZipFile, OSError, ValueError, RuntimeError, EOFError, struct.error, zlib.error
)  # fmt: skip
"""What zipfile raises for an archive that is damaged, or of a kind that it does not know."""

_BINARY_STARTS = (b"PAR1", b"PK\x03\x04", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")


_PACKED_BYTES, _TIMES_PACKED = 8_000_000, 100  # text packs to a twentieth or so of its size


def too_large(member: zipfile.ZipInfo, most: int) -> str:
    """Return that a member is over `most` bytes or 100 times its packed size, "" if it is not."""
    size = member.file_size
    if size > most:
        return f"{member.filename} is larger than {most // 1_000_000:,} MB"
    if size > max(_PACKED_BYTES, _TIMES_PACKED * member.compress_size):
        return f"{member.filename} unpacks {_TIMES_PACKED} times its size, to {size:,} bytes"
    return ""


def text_start(head: bytes) -> bytes:
    """Return the first bytes of a text file without byte order mark and space; b"" if no text."""
    if not head or head.startswith(_BINARY_STARTS) or 0 in head[:4096]:
        return b""
    return head.removeprefix(b"\xef\xbb\xbf").lstrip()


def optional_package(name: str, path: Path) -> ModuleType:
    """Return an optional package. Raises NotInstalled with the extra that brings it."""
    try:
        return import_module(name)
    except ImportError as error:
        raise NotInstalled(
            f"this file needs the package `{name.partition('.')[0]}`, which is not installed",
            where=path.name,
            got=str(error),
            fix='pip install "tuneworthy[tables]", or save the file as CSV',
            kept="",
        ) from error


def json_object(file: Path, most: int = 8_000_000) -> dict[str, Any] | str:
    """Return the object of a JSON file, or why it can't be read; a pipe is not waited for."""
    try:
        if file.stat().st_size > most:
            return f"larger than {most // 1_000_000} MB"
        found = strict_json(plain_file(file))
    except (OSError, ValueError) as error:
        return str(error)[:200]
    return found if isinstance(found, dict) else "no object"
