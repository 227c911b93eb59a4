"""Compute digests of a study's inputs: rows and documents in any order, and files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from tuneworthy.core.case import Case
from tuneworthy.core.record import Record, digest, file_sha256


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
