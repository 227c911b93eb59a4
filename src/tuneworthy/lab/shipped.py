"""The records that come with the package: real runs, one gzipped file each, found by their id."""

from __future__ import annotations

import gzip
import json
from functools import lru_cache
from typing import Any

from tuneworthy.lab.record_store import PACKAGE_RECORDS, RecordStore

SHIPPED = RecordStore(PACKAGE_RECORDS)


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
    """Return what the playground offers with the events of the `recorded` play, None if none is."""
    found = _shipped_events("play")
    return {**found[0], "recorded": found[1:]} if found else None


def recorded_strength() -> dict[str, Any] | None:
    """Return the measured strengths of the adapter with their question, None if there are none."""
    found = _shipped_events("strength")
    return {**found[0], "stops": found[1:]} if found else None


def _shipped_events(name: str) -> list[dict[str, Any]] | None:
    content = shipped_bytes(name)
    return json.loads(content) if content else None
