"""Read a text file line by line, with a length limit and any line ending; JSON Lines strictly."""

from __future__ import annotations

import codecs
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from tuneworthy.records.errors import DataError
from tuneworthy.records.strict_json import RefusedJson, strict_json
from tuneworthy.rows.bad_rows import RawRow, RowFault

MAX_LINE = 8_000_000
WINDOWS_ENCODING = "cp1252"
"""The encoding of Western European files that Windows programs write by default."""
_CHUNK_BYTES = 1 << 20
_FORMATS_BY_MAGIC = {
    b"\x1f\x8b": ("a gzip file", "gunzip -k {name}"),
    b"BZh": ("a bzip2 file", "bunzip2 -k {name}"),
    b"\xfd7zXZ": ("an xz file", "unxz -k {name}"),
    b"\x28\xb5\x2f\xfd": ("a zstd file", "unzstd {name}"),
    b"PK\x03\x04": ("a zip archive or spreadsheet", "unzip {name}, or save it as CSV (UTF-8)"),
    b"PAR1": (
        "a Parquet file",
        "python -c \"import pandas; pandas.read_parquet('{name}')"
        ".to_json('rows.jsonl', orient='records', lines=True)\"",
    ),
}
_EXCEL_FORMAT = (
    "an Excel file",
    "save it as CSV (UTF-8); `tuneworthy init {name}` reads Excel as it is",
)
_UTF8_LETTER = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"
)  # a letter of UTF-8 beyond ASCII
_HIGH_BYTE = re.compile(rb"[\x80-\xff]")
_UTF16_MARKS = {b"\xff\xfe\x00\x00": "UTF-32", b"\x00\x00\xfe\xff": "UTF-32", b"\xff\xfe": "UTF-16",
          b"\xfe\xff": "UTF-16"}  # fmt: skip


@dataclass(frozen=True)
class _RawLine:
    """One line without its line ending: number from 1, bytes (None: over the limit), length.

    `ended` is False for a last line without a line ending.
    """

    number: int
    raw: bytes | None
    length: int
    ended: bool = True


def check_text_file(path: Path, shown: str) -> int:
    """Check that a file is readable text; return the length of its byte order mark.

    Raises DataError if it is missing, no regular file, empty, compressed or not UTF-8.
    """
    try:
        if path.is_dir():
            raise DataError("a folder stands where a file of rows is needed", where=shown,
                            got="a folder", fix="name the file inside it, or its files by their"
                            " split (train-*.parquet, test-*.parquet)")  # fmt: skip
        if path.exists() and not path.is_file():
            raise DataError("this is no plain file", where=shown, got="a device or pipe",
                            fix="write the rows to a file first")  # fmt: skip
        with path.open("rb") as file:
            head = file.read(4096)
    except FileNotFoundError:
        raise DataError(
            "there is no such file", where=shown, got=f"looked in {path.parent}",
            fix="correct the path in the task file; it starts at the folder of that file",
        ) from None  # fmt: skip
    except OSError as error:
        raise DataError(
            "the file can't be opened", where=shown, got=error.strerror or "",
            fix="make it readable for this user",
        ) from None  # fmt: skip
    return _check_head(head, path, shown)


def _check_head(head: bytes, path: Path, shown: str) -> int:
    if not head:
        raise DataError("the file is empty", where=shown, got="0 bytes", fix="write rows into it")
    for magic, (what, command) in _FORMATS_BY_MAGIC.items():
        if head.startswith(magic):
            if path.suffix.lower() == ".xlsx":
                what, command = _EXCEL_FORMAT
            raise DataError(
                f"this is {what}, not text", where=shown, got=f"bytes {magic.hex()} at its start",
                fix=f"convert it first: {command.format(name=path.name)}",
            )  # fmt: skip
    name = next((name for mark, name in _UTF16_MARKS.items() if head.startswith(mark)), None)
    if name is None and len(head) > 3 and head[:200].count(0) > len(head[:200]) // 4:
        name = "UTF-16"
    if name:
        raise DataError(
            f"the file is {name}, not UTF-8", where=f"{shown}:1", got=f"bytes {head[:8].hex()}",
            fix=f"convert it: iconv -f {name} -t UTF-8 {path.name} > {path.stem}-utf8{path.suffix}",
        )  # fmt: skip
    return 3 if head.startswith(b"\xef\xbb\xbf") else 0


def text_encoding(path: Path) -> str:
    """Return `utf-8`, or `cp1252` (Windows-1252) where most letters beyond ASCII are no UTF-8.

    A UTF-8 file with a few damaged letters stays UTF-8: its damaged lines are faults.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        try:
            while chunk := file.read(_CHUNK_BYTES):
                decoder.decode(chunk)
            decoder.decode(b"", True)
        except UnicodeDecodeError:
            file.seek(0)
            return _likelier_encoding(iter(lambda: file.read(_CHUNK_BYTES), b""))
    return "utf-8"


def _likelier_encoding(chunks: Iterator[bytes]) -> str:
    """Return the likelier encoding of a text, `cp1252` or `utf-8`; `utf-8` for binary data."""
    letters, stray = 0, 0
    for chunk in chunks:
        if 0 in chunk:
            return "utf-8"
        found = _UTF8_LETTER.findall(chunk)
        letters += len(found)
        stray += len(_HIGH_BYTE.findall(chunk)) - sum(map(len, found))
    return WINDOWS_ENCODING if stray > letters else "utf-8"


def read_lines(path: Path, skip: int = 0) -> Iterator[_RawLine]:
    """Yield the lines of a file, ended by LF, CRLF or CR; `raw` is None over MAX_LINE bytes."""
    number, parts, length = 0, [], 0
    with path.open("rb") as file:
        file.seek(skip)
        for piece in _line_pieces(file):
            ended = piece.endswith((b"\n", b"\r"))
            body = piece.rstrip(b"\r\n") if ended else piece
            length += len(body)
            if length <= MAX_LINE:
                parts.append(body)
            else:
                parts.clear()
            if ended:
                number += 1
                yield _RawLine(number, b"".join(parts) if length <= MAX_LINE else None, length)
                parts, length = [], 0
    if length:
        yield _RawLine(number + 1, b"".join(parts) if length <= MAX_LINE else None, length, False)


def decoded_line(line: _RawLine, shown: str, encoding: str) -> str | RowFault:
    """Return the text of a line, or its fault: too long, a NUL byte, another encoding."""
    where = f"{shown}:{line.number}"
    if line.raw is None:
        fix = f"a row may have {MAX_LINE:,} bytes; cut it or leave it out"
        return RowFault(where, "line too long", f"{line.length:,} bytes", fix)
    if 0 in line.raw:
        place = f"{where}:{line.raw.index(0) + 1}"
        return RowFault(place, "NUL byte in a row", "\\x00", "remove the NUL bytes")
    try:
        return line.raw.decode(encoding)
    except UnicodeDecodeError as error:
        byte = line.raw[error.start : error.start + 1].hex()
        fix = (
            "save the file as UTF-8 (iconv -f WINDOWS-1252 -t UTF-8), or let `tuneworthy init` read"
            " it"
        )
        return RowFault(f"{where}:{error.start + 1}", "not UTF-8", f"byte 0x{byte}", fix)


def _line_pieces(file: object) -> Iterator[bytes]:
    """Yield lines with their endings, or parts of long lines; a CRLF is never split."""
    held = b""
    while chunk := file.read(_CHUNK_BYTES):  # type: ignore[attr-defined]
        chunk = held + chunk
        held = b""
        if chunk.endswith(b"\r"):
            chunk, held = chunk[:-1], b"\r"
        yield from chunk.splitlines(keepends=True)
    if held:
        yield held


def read_jsonl(path: Path, shown: str, strict: bool = True) -> Iterator[RawRow | RowFault]:
    """Yield a RawRow per JSON object and a RowFault per other line; blank lines are skipped.

    The file is UTF-8; unless `strict`, it may be Windows-1252. Raises DataError if the whole file
    has another format: a JSON array, a pretty-printed object.
    """
    skip, first = check_text_file(path, shown), True
    encoding = "utf-8" if strict else text_encoding(path)
    for line in read_lines(path, skip):
        if line.raw is not None and not line.raw.strip():
            continue
        if first:
            _refuse_other_format(line, path, shown)
            first = False
        text = decoded_line(line, shown, encoding)
        place = f"{shown}:{line.number}"
        yield text if isinstance(text, RowFault) else _parse_json(text, line, place)


def _parse_json(text: str, line: _RawLine, where: str) -> RawRow | RowFault:
    try:
        value = strict_json(text)
    except RefusedJson as error:
        return RowFault(where, error.what, error.got, error.fix)
    except json.JSONDecodeError as error:
        return _json_fault(text, line, where, error)
    except ValueError as error:  # an integer with thousands of digits
        return RowFault(where, "number too long", str(error), "write the number as text")
    if not isinstance(value, dict):
        kind = "a list" if isinstance(value, list) else "a single value"
        fix = 'write one object a line: {"input": ..., "output": ...}'
        return RowFault(where, f"{kind} where a row is needed", text.strip(), fix)
    return RawRow(where, value)


def _json_fault(text: str, line: _RawLine, where: str, error: json.JSONDecodeError) -> RowFault:
    place = f"{where}:{error.colno}"
    got = text[max(0, error.pos - 40) : error.pos + 40].strip()
    if (not line.ended and error.pos >= len(text.rstrip()) - 1) or _is_cut_string(error, line):
        fix = "the file ends inside this row, as a cut copy does: copy it again"
        return RowFault(place, "half a last line", got, fix, lost=math.inf)
    body = text.strip()
    if body.startswith(("//", "#", "/*")):
        return RowFault(place, "a comment, not JSON", got, "remove it: JSON has no comments")
    if "'" in body[:3]:
        return RowFault(
            place, "single quotes, not JSON", got, 'write double quotes: {"input": ...}'
        )
    if ",}" in body.replace(" ", "") or ",]" in body.replace(" ", ""):
        return RowFault(place, "trailing comma, not JSON", got, "remove the comma before } or ]")
    if body.endswith(","):
        return RowFault(place, "comma between rows, not JSON", got, "remove the comma at the end")
    return RowFault(
        place, f"not JSON: {error.msg}", got, "write one whole JSON object on this line"
    )


def _is_cut_string(error: json.JSONDecodeError, line: _RawLine) -> bool:
    return not line.ended and error.msg.startswith("Unterminated string")


def _refuse_other_format(line: _RawLine, path: Path, shown: str) -> None:
    start = (line.raw or b"").lstrip()[:1]
    if start not in {b"[", b"{"} or line.raw is None:
        return
    alone = line.raw.strip() in {b"[", b"{"}
    if start == b"[" and (alone or _holds_rows(line.raw)):
        raise DataError("a JSON array stands where JSON Lines are needed", where=f"{shown}:1",
                        got="[", fix=_convert_fix(path, ".[]"))  # fmt: skip
    if start == b"{" and alone:
        raise DataError("a row is spread over several lines", where=f"{shown}:1", got="{",
                        fix=_convert_fix(path, "."))  # fmt: skip


def _convert_fix(path: Path, what: str) -> str:
    """Return the advice to write one row a line with jq, into a new file; `what` is its filter."""
    out = quote(f"{path.stem}.lines.jsonl")
    return f"write one row a line: jq -c {quote(what)} {quote(path.name)} > {out}, and name {out}"


def _holds_rows(raw: bytes) -> bool:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return raw.lstrip()[1:].lstrip()[:1] == b"{"
    return bool(value) and isinstance(value[0], dict)
