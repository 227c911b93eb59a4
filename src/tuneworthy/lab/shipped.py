"""The shipped records of real runs: one gzipped file each, found by the run's id."""

from __future__ import annotations

import gzip
import json
from functools import lru_cache
from typing import Any

from tuneworthy.lab.record_store import PACKAGE_RECORDS, RecordStore

SHIPPED_RECORDS = RecordStore(PACKAGE_RECORDS)


def shipped_bytes(name: str) -> bytes | None:
    """Return the bytes of a shipped record (a JSON list of events), or None if there is none."""
    try:
        return _bytes_of(name)
    except LookupError:
        return None


@lru_cache(maxsize=128)
def _bytes_of(name: str) -> bytes:
    path = PACKAGE_RECORDS / f"{name}.json.gz"
    if not path.is_file():
        raise LookupError(name)
    return gzip.decompress(path.read_bytes())


def recorded_play() -> dict[str, Any] | None:
    """Return the playground's data with the events of its `recorded` play; None without one."""
    found = _shipped_events("play")
    return {**found[0], "recorded": found[1:]} if found else None


def recorded_strength() -> dict[str, Any] | None:
    """Return the recorded adapter strengths (`stops`) with their input; None without a record."""
    found = _shipped_events("strength")
    return {**found[0], "stops": found[1:]} if found else None


def _shipped_events(name: str) -> list[dict[str, Any]] | None:
    content = shipped_bytes(name)
    return json.loads(content) if content else None
