"""The records that come with the package: real runs, one gzipped file each, found by their id."""

from __future__ import annotations

import gzip
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "records"


def shipped_bytes(name: str) -> bytes | None:
    """Return the bytes of a shipped record (a JSON list of events), or None if there is none."""
    path = FOLDER / f"{name}.json.gz"
    return gzip.decompress(path.read_bytes()) if path.is_file() else None


@lru_cache(maxsize=64)
def shipped(name: str) -> list[dict[str, Any]] | None:
    """Return the events of a shipped record, or None if there is none."""
    found = shipped_bytes(name)
    return None if found is None else json.loads(found)


def pack(events: list[dict[str, Any]], folder: Path = FOLDER) -> Path:
    """Write a record to ship, under the id in its first event; equal events give equal bytes."""
    text = json.dumps(events, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    path = folder / f"{events[0]['id']}.json.gz"
    path.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    return path
