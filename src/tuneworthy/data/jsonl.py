"""Read JSON Lines strictly: one JSON object per line, every fault with its line and column."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from shlex import quote

from tuneworthy.core.errors import DataError
from tuneworthy.core.strict_json import RefusedJson, strict_json
from tuneworthy.data.lines import (
    RawLine,
    check_text_file,
    decoded_line,
    read_lines,
    text_encoding,
)
from tuneworthy.data.raw import RawRow, RowFault


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


def _parse_json(text: str, line: RawLine, where: str) -> RawRow | RowFault:
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


def _json_fault(text: str, line: RawLine, where: str, error: json.JSONDecodeError) -> RowFault:
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


def _is_cut_string(error: json.JSONDecodeError, line: RawLine) -> bool:
    return not line.ended and error.msg.startswith("Unterminated string")


def _refuse_other_format(line: RawLine, path: Path, shown: str) -> None:
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
    """Return the advice to write one row a line; the command never writes into what it reads."""
    out = quote(f"{path.stem}.lines.jsonl")
    return f"write one row a line: jq -c {quote(what)} {quote(path.name)} > {out}, and name {out}"


def _holds_rows(raw: bytes) -> bool:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return raw.lstrip()[1:].lstrip()[:1] == b"{"
    return bool(value) and isinstance(value[0], dict)
