"""The records that come with the package: real runs, one gzipped file each, found by their id."""

from __future__ import annotations

import gzip
import json
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

FOLDER = Path(__file__).parent / "records"


class Records(Protocol):
    """Recorded runs by id."""

    def has(self, name: str) -> bool:
        """Return whether there is a record of this id."""
        ...

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the events of a record that is there."""
        ...


class Shipped:
    """The records of the package alone."""

    def has(self, name: str) -> bool:
        """Return whether there is a record of this id."""
        return shipped_bytes(name) is not None

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the events of a record. Raises LookupError if there is none."""
        found: list[dict[str, Any]] = json.loads(_bytes_of(name))
        return found


def shipped_bytes(name: str) -> bytes | None:
    """Return the bytes of a shipped record (a JSON list of events), or None if there is none."""
    try:
        return _bytes_of(name)
    except LookupError:
        return None


@lru_cache(maxsize=128)
def _bytes_of(name: str) -> bytes:
    path = FOLDER / f"{name}.json.gz"
    if not path.is_file():
        raise LookupError(name)
    return gzip.decompress(path.read_bytes())


def recorded_play() -> dict[str, Any] | None:
    """Return what the playground offers with the events of the `recorded` play, None if none is."""
    found = _named("play")
    return {**found[0], "recorded": found[1:]} if found else None


def recorded_strength() -> dict[str, Any] | None:
    """Return the measured strengths of the adapter with their question, None if there are none."""
    found = _named("strength")
    return {**found[0], "stops": found[1:]} if found else None


def _named(name: str) -> list[dict[str, Any]] | None:
    content = shipped_bytes(name)
    return json.loads(content) if content else None


SHIPPED = Shipped()
