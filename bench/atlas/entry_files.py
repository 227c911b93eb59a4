"""Read and write an entry as a folder of readable files, or packed into one file.

The folder holds `entry.json` (figures, keys of the metric, the list of runs), `cases.jsonl` and
`answers.jsonl`. A packed file is LZMA over two lines of JSON: the figures, then rows and answers.
"""

from __future__ import annotations

import json
import lzma
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.atlas.entry import FORMAT_VERSION, Entry, EntryHead
from pydantic import ValidationError

from tuneworthy.records.errors import DataError, TaskError
from tuneworthy.records.record import Record, plain_file
from tuneworthy.records.strict_json import strict_json
from tuneworthy.store.trouble import output_errors

ENTRY_FILE, CASES_FILE, ANSWERS_FILE = "entry.json", "cases.jsonl", "answers.jsonl"
PACKED_SUFFIX = ".json.xz"
ENTRY_BYTES = 50_000_000  # the most bytes of a file of an entry, and of an unpacked entry
MOST_HEAD_BYTES = 5_000_000  # the most bytes of the figures of a packed entry
BYTES_AT_ONCE = 65_536  # bytes unpacked at a time; an entry's figures are about a tenth of them
MOST_UNPACKING_MEMORY = 256_000_000
ATLAS_UNCHANGED = "the atlas, unchanged"


def write_folder(entry: Entry, folder: Path) -> Path:
    """Write an entry into a new or empty folder and return the folder."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise TaskError("this folder holds other files", where=str(folder),
                        fix="name a new or empty folder", kept="all files in it")  # fmt: skip
    runs = [_run_line(run) for run in entry.runs]
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        head = {**entry.head().plain(), "runs": runs}
        (folder / ENTRY_FILE).write_text(
            json.dumps(head, indent=1, ensure_ascii=False) + "\n", "utf-8"
        )
        if not entry.figures_only:
            _write_lines(folder / CASES_FILE, (case.plain() for case in entry.cases))
            _write_lines(folder / ANSWERS_FILE, _answer_lines(entry))
    return folder


def _run_line(run: Record) -> dict[str, Any]:
    return {key: value for key, value in run.plain().items()
            if key not in ("cases", "answers", "scores")}  # fmt: skip


def _answer_lines(entry: Entry) -> Iterator[dict[str, Any]]:
    for run in entry.runs:
        which = {"arm": run.arm, "seed": run.seed, "fold": run.fold}
        for case, text, score in zip(run.cases, run.answers, run.scores, strict=True):
            yield {**which, "case": case, "answer": text, "score": score}


def _write_lines(path: Path, values: Iterator[dict[str, Any]]) -> None:
    lines = (json.dumps(value, ensure_ascii=False) + "\n" for value in values)
    path.write_text("".join(lines), "utf-8")


def read_folder(folder: Path) -> Entry:
    """Return the entry in a folder. Raises DataError if a file can't be read or is no entry."""
    head = _parse_object(folder / ENTRY_FILE, _read_bytes(folder / ENTRY_FILE))
    if not isinstance(head, dict):
        raise _unreadable_entry(
            folder / ENTRY_FILE, type(head).__name__, "an entry is a JSON object"
        )
    if head.get("format") != FORMAT_VERSION:
        raise DataError("this entry has another format", where=str(folder / ENTRY_FILE),
                        got=f"format {head.get('format')}, not {FORMAT_VERSION}",
                        fix="read it with the version of tuneworthy that wrote it",
                        kept=ATLAS_UNCHANGED)  # fmt: skip
    runs, cases = head.pop("runs", []), []
    if head.get("scoring") is not None:
        cases = [value for _, value in _numbered_objects(folder / CASES_FILE)]
        runs = _add_answers(runs, folder / ANSWERS_FILE)
    return _validated_entry({**head, "cases": cases, "runs": runs}, folder / ENTRY_FILE)


def _add_answers(runs: Any, path: Path) -> list[dict[str, Any]]:
    """Return the runs with the cases, answers and scores of the lines of `path`, in file order."""
    if not isinstance(runs, list) or not all(isinstance(run, dict) for run in runs):
        raise _unreadable_entry(
            path.with_name(ENTRY_FILE), str(runs), "`runs` is a list of objects"
        )
    tables = {_run_key(run): {**run, "cases": [], "answers": [], "scores": []} for run in runs}
    if len(tables) < len(runs):
        raise _unreadable_entry(
            path.with_name(ENTRY_FILE), "two runs of one arm, seed and fold", "list once"
        )
    for number, line in _numbered_objects(path):
        table = tables.get(_run_key(line))
        if table is None:
            raise DataError("an answer belongs to no run of the entry", where=f"{path}:{number}",
                            got=str(_run_key(line)), fix="list its run in entry.json",
                            kept=ATLAS_UNCHANGED)  # fmt: skip
        for many, one in (("cases", "case"), ("answers", "answer"), ("scores", "score")):
            table[many].append(line.get(one))
    return list(tables.values())


def _run_key(line: dict[str, Any]) -> tuple[str, str, str]:
    return str(line.get("arm")), str(line.get("seed")), str(line.get("fold"))


def pack_entry(entry: Entry) -> bytes:
    """Return an entry as one compressed file; equal entries give equal bytes.

    Raises DataError for an entry that `read_packed` could not read: too large, or a text that is no
    Unicode.
    """
    body = {
        "cases": [case.plain() for case in entry.cases],
        "runs": [run.plain() for run in entry.runs],
    }
    try:
        head, rest = (
            f"{json.dumps(part, separators=(',', ':'), ensure_ascii=False)}\n".encode()
            for part in (entry.head().plain(), body)
        )
    except UnicodeEncodeError as error:
        raise _unreadable_entry(Path(entry.card.key), str(error), "write texts as UTF-8") from None
    sizes = ((ENTRY_FILE, len(head), MOST_HEAD_BYTES), ("all", len(head) + len(rest), ENTRY_BYTES))
    for part, size, most in sizes:
        if size >= most:
            raise _unreadable_entry(Path(entry.card.key), f"{part}: {size:,} bytes",
                                    f"fewer than {most:,} bytes")  # fmt: skip
    return lzma.compress(head + rest, preset=6)


def read_head(path: Path) -> EntryHead:
    """Return the figures of a packed entry without unpacking its answers. Raises DataError."""
    line = _unpack(path, MOST_HEAD_BYTES, whole=False).partition(b"\n")[0]
    plain = _parse_object(path, line)
    if not isinstance(plain, dict) or plain.get("format") != FORMAT_VERSION:
        raise DataError("this entry has another format", where=path.name, kept=ATLAS_UNCHANGED,
                        got=f"not {FORMAT_VERSION}", fix="add it again")  # fmt: skip
    try:
        return EntryHead.model_validate(plain)
    except ValidationError as error:
        raise _invalid_entry(path, error) from None


def read_packed(path: Path) -> Entry:
    """Return a packed entry with its answers. Raises DataError."""
    head, _, body = _unpack(path, ENTRY_BYTES).partition(b"\n")
    parts = _parse_object(path, head), _parse_object(path, body)
    if not all(isinstance(part, dict) for part in parts):
        raise _unreadable_entry(path, "lists or numbers", "an entry is two JSON objects")
    return _validated_entry({**parts[0], **parts[1]}, path)


def _unpack(path: Path, most: int, whole: bool = True) -> bytes:
    """Return about `most` unpacked bytes of a file; if not `whole`, stop after the first line."""
    packed, found = _read_bytes(path), bytearray()
    try:
        unpacker = lzma.LZMADecompressor(memlimit=MOST_UNPACKING_MEMORY)
        while len(found) < most and not unpacker.eof:
            piece = unpacker.decompress(packed, max_length=BYTES_AT_ONCE)
            packed = b""
            found += piece
            if not piece or (not whole and b"\n" in piece):
                break
    except (lzma.LZMAError, EOFError) as error:
        raise _unreadable_entry(path, str(error), "add the entry again") from None
    return bytes(found)


def _validated_entry(plain: dict[str, Any], path: Path) -> Entry:
    try:
        return Entry.model_validate(plain)
    except ValidationError as error:
        raise _invalid_entry(path, error) from None


def _numbered_objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number, object) for each line of a file of JSON lines."""
    for number, line in enumerate(_read_bytes(path).split(b"\n"), 1):
        if line.strip():
            value = _parse_object(Path(f"{path}:{number}"), line)
            if not isinstance(value, dict):
                raise _unreadable_entry(
                    Path(f"{path}:{number}"), str(value), "write one object a line"
                )
            yield number, value


def _read_bytes(path: Path) -> bytes:
    try:
        content = plain_file(path, ENTRY_BYTES + 1)
    except OSError as error:
        raise _unreadable_entry(
            path, error.strerror or "", f"an entry has the file {path.name}"
        ) from None
    if len(content) > ENTRY_BYTES:
        raise _unreadable_entry(path, "too large", f"at most {ENTRY_BYTES:,} bytes")
    return content


def _parse_object(path: Path, content: bytes) -> Any:
    try:
        return strict_json(content)
    except ValueError as error:
        raise _unreadable_entry(path, str(error), "write valid JSON in UTF-8") from None


def _invalid_entry(path: Path, error: ValidationError) -> DataError:
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"]))
    return _unreadable_entry(path, f"{place}: {first['msg']}", "see docs/how-to/atlas.md")


def _unreadable_entry(path: Path, got: str, fix: str) -> DataError:
    return DataError(
        "this entry can't be read", where=str(path), got=got, fix=fix, kept=ATLAS_UNCHANGED
    )
