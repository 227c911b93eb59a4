"""Frozen records with a JSON round trip, and the content hashes that name them and files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """A frozen value: equal content means equal record; unknown fields are refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, ser_json_inf_nan="constants"
    )

    def plain(self) -> dict[str, Any]:
        """Return the record as JSON-ready plain data, by public field names (aliases)."""
        return self.model_dump(mode="json", by_alias=True)


def canonical(value: Any) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces, NaN refused (ValueError)."""
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json", by_alias=True)
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def digest(value: Any, length: int = 64) -> str:
    """Return the first `length` hex digits of the SHA-256 of a value's canonical JSON."""
    text = canonical(value).encode("utf-8", "surrogatepass")
    return hashlib.sha256(text).hexdigest()[:length]


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, 64 hex digits. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
