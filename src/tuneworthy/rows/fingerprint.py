"""Compute digests of a study's inputs: rows and documents in any order, and files; keep them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tuneworthy.records.case import Case
from tuneworthy.records.own_files import write_atomic
from tuneworthy.records.record import Record, digest, file_sha256
from tuneworthy.records.task import Task
from tuneworthy.rows.taskfile import read_task

FILES_FILE = "files.json"  # in the folder of results: the `file_digests` when they were written


def rows_digest(cases: Iterable[Case]) -> str:
    """Return the SHA-256 of all rows in any order (64 hex digits); `where` does not count."""
    rows = sorted(
        hashlib.sha256(
            case.model_dump_json(exclude={"where"}).encode("utf-8", "replace")
        ).hexdigest()
        for case in cases
    )
    return hashlib.sha256("\n".join(rows).encode("ascii")).hexdigest()


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, "" for a missing file (its reader reports that)."""
    return file_sha256(path) if path.is_file() else ""


def file_digests(path: Path) -> dict[str, str]:
    """Return {path as written: SHA-256} of a task file and each file that it names, with documents.

    Raises TaskError for a task file that can't be read.
    """
    task = read_task(path)
    named = {path.name: path} | {text: task.folder / text for text in _texts(task.plain())}
    docs = sorted((task.folder / task.data.docs).rglob("*")) if task.data.docs else ()
    named |= {str(file.relative_to(task.folder)): file for file in docs}
    return {name: file_sha256(file) for name, file in named.items() if file.is_file()}


def write_digests(folder: Path, files: Mapping[str, str]) -> None:
    """Write the `file_digests` of a study into the folder of its results."""
    write_atomic(folder / FILES_FILE, json.dumps(dict(files), indent=1))


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts in a task that may be paths: every short one of a line."""
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _texts(one)
    elif isinstance(value, str) and 0 < len(value) < 250 and value.isprintable():
        yield value


def docs_digest(docs: Iterable[Record]) -> str:
    """Return the SHA-256 of all documents in any order: id, text, title and dates count."""
    return digest(sorted(digest(doc) for doc in docs))


def present_fields(task: Task) -> dict[str, Any] | None:
    """Return the fields of the present system and its prompt file's digest; None without one."""
    if task.present is None:
        return None
    prompt = task.present.prompt
    # `match` only selects logged answers, whose content has its own digest
    plain = task.present.model_dump(mode="json", exclude={"match"})
    return plain | {"text": file_digest(task.folder / prompt) if prompt else ""}
