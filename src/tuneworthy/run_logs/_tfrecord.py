"""Records and protocol buffer fields of TensorBoard event files, with the standard library alone.

A record is a length (8 bytes), its checksum (4), the bytes, and their checksum (4). The fields read
are those of event.proto, summary.proto and tensor.proto. A run that still writes, or a cut copy,
ends in half a record: what stands before it is read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import IO

MOST_RECORD = 16_000_000  # bytes; a larger one (an image, a graph) is skipped
Field = tuple[int, int | bytes]


def records(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the whole records of a file. Raises ValueError where a length is impossible."""
    while len(head := file.read(12)) == 12:
        length = struct.unpack("<Q", head[:8])[0]
        if length > 1 << 40:
            raise ValueError(f"a record of {length} bytes")
        if length > MOST_RECORD:
            file.seek(length + 4, 1)
            continue
        body = file.read(length + 4)
        if len(body) < length + 4:
            return
        yield body[:length]


def fields(message: bytes) -> Iterator[Field]:
    """Yield (number, value) for the fields of a message. Raises ValueError if it is damaged.

    A value is an integer, or the bytes of a float, a double, a text or an inner message.
    """
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(message, at)
            yield number, value
            continue
        if wire == 2:
            size, at = _varint(message, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire}")
        if at + size > len(message):
            raise ValueError("a field ends behind its message")
        yield number, message[at : at + size]
        at += size


def first(message: bytes, number: int) -> int | bytes | None:
    """Return the first value of a field, None if the message lacks it."""
    return next((value for key, value in fields(message) if key == number), None)


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise ValueError("an integer ends behind its message")
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("an integer of more than 64 bits")
