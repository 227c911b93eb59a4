"""Compute digests of a study's inputs: rows and documents in any order, and files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tuneworthy.records.case import Case
from tuneworthy.records.record import Record, digest, file_sha256
from tuneworthy.records.task import Task


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
