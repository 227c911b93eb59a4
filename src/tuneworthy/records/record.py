"""Frozen records with a JSON round trip, and content hashes of records and files."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)


class Record(BaseModel):
    """A frozen value: records with equal content are equal; unknown fields are refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, ser_json_inf_nan="constants"
    )

    def plain(self) -> dict[str, Any]:
        """Return the record as JSON-ready plain data, with public field names (aliases)."""
        return self.model_dump(mode="json", by_alias=True)


class GrownRecord(Record):
    """A record whose `LATER` fields are left out of its plain form where they have their default.

    A field that is added to stored options thus leaves the digest of every earlier value as it was.
    """

    LATER: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _without_later_defaults(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields, plain = type(self).model_fields, write(self)
        unset = {name for name in self.LATER if getattr(self, name) == fields[name].default}
        return {name: value for name, value in plain.items() if name not in unset}


def told_before(**facts: Callable[[dict[str, Any]], Any]) -> Any:
    """Return a validator that fills in fields that an older version did not write.

    It told such a fact by words in another field: `facts` has a function per field, which reads it.
    """

    def read(data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        try:
            return {name: fact(data) for name, fact in facts.items() if name not in data} | data
        except (TypeError, AttributeError) as error:
            raise ValueError(f"a field has a type that no version writes: {error}") from error

    return model_validator(mode="before")(read)


def well_formed(text: str) -> str:
    """Return a text with each lone surrogate replaced by U+FFFD; else unchanged.

    A server can cut an answer inside a surrogate pair. Such a text can't be written as UTF-8, and
    tokenizers refuse it; decoders use U+FFFD as the replacement character.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


Text = Annotated[str, AfterValidator(well_formed)]
"""Text from outside that is stored, scored, tokenized and written."""


def canonical(value: Any, *, ascii_only: bool = False) -> str:
    """Return the canonical JSON of a value: sorted keys, no spaces, NaN refused (ValueError)."""
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json", by_alias=True)
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=ascii_only, allow_nan=False
    )


def digest(value: Any, length: int = 64) -> str:
    """Return the first `length` hex digits of the SHA-256 of a value's canonical JSON."""
    text = canonical(value).encode("utf-8", "surrogatepass")
    return hashlib.sha256(text).hexdigest()[:length]


def plain_file(path: Path, most: int = -1) -> bytes:
    """Return at most `most` bytes of a file; OSError for a pipe or device, which could block."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "no plain file", str(path))
        return file.read(most)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, 64 hex digits. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
