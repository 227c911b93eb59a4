"""Read records and protocol buffer fields of TensorBoard event files, without TensorFlow.

A record is a length (8 bytes), its checksum (4), the bytes, and their checksum (4), both masked
CRC-32C. The fields read are those of event.proto, summary.proto and tensor.proto. The file of a run
under way, or a cut copy, ends in half a record, which is left out.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import IO

MOST_RECORD = 16_000_000  # bytes; a larger one (an image, a graph) is skipped
_CHECKED_BYTES = 65_536  # bytes up to which a record's checksum is computed: a scalar has some 60
_CRC_POLYNOMIAL = 0x82F63B78
Field = tuple[int, int | bytes]


def records(file: IO[bytes]) -> Iterator[bytes | None]:
    """Yield the complete records of a file, None for one whose checksum is wrong.

    Raises ValueError if the checksum of a length is wrong: the next record can't be found then.
    """
    while len(head := file.read(12)) == 12:
        length, check = struct.unpack("<QI", head)
        if _checksum(head[:8]) != check:
            raise ValueError("the length of a record does not fit its checksum")
        if length > MOST_RECORD:
            file.seek(min(length, 1 << 40) + 4, 1)
            continue
        body = file.read(length + 4)
        if len(body) < length + 4:
            return
        known = struct.unpack("<I", body[length:])[0]
        fits = length > _CHECKED_BYTES or _checksum(body[:length]) == known
        yield body[:length] if fits else None


def message_fields(message: bytes) -> Iterator[Field]:
    """Yield (number, value) for the fields of a message. Raises ValueError if it is damaged.

    A value is an integer, or the bytes of a float, a double, a text or an inner message.
    """
    at = 0
    while at < len(message):
        key, at = _read_varint(message, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _read_varint(message, at)
            yield number, value
            continue
        if wire == 2:
            size, at = _read_varint(message, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire}")
        if at + size > len(message):
            raise ValueError("a field ends behind its message")
        yield number, message[at : at + size]
        at += size


def first_value(message: bytes, number: int) -> int | bytes | None:
    """Return the first value of a field, None if the message lacks it."""
    return next((value for key, value in message_fields(message) if key == number), None)


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
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


def _make_crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (_CRC_POLYNOMIAL if byte & 1 else 0)
        table.append(byte)
    return tuple(table)


_CRC_TABLE = _make_crc_table()


def _checksum(data: bytes) -> int:
    """Return the masked CRC-32C of bytes, the checksum of TFRecord files."""
    value = 0xFFFFFFFF
    for byte in data:
        value = value >> 8 ^ _CRC_TABLE[(value ^ byte) & 0xFF]
    value ^= 0xFFFFFFFF
    return ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF
