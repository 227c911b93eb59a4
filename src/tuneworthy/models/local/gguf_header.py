"""Check the header of a GGUF file before a library reads it: each count must fit in the file.

Readers of the format allocate and loop by the counts that the file states. Nothing but the header
is read here, and no number of it is used. Knows no model.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

_SCALAR_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_STRING, _ARRAY = 8, 9  # types of a value
_LEAST_BYTES = {**_SCALAR_BYTES, _STRING: 8, _ARRAY: 12}
_LEAST_PAIR, _LEAST_TENSOR = 13, 24  # bytes of a pair of key and value, and of an entry of a tensor
_MOST_DIMENSIONS, _MOST_NESTED = 4, 4


def check_gguf_header(file: Path) -> None:
    """Raise ValueError if a header counts more than a regular file has bytes for.

    Also if it is empty, if a key or text is no UTF-8, or (struct.error) if it ends in a number.
    """
    with (
        file.open("rb") as opened,
        mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data,
    ):
        _Header(data).check()


class _Header:
    """The bytes of a file, and how far they were read."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data, self._at, self._order = data, 0, "<"

    def check(self) -> None:
        self._skip(4)  # the name of the format, which its reader checks
        version = self._number("I")
        if version and not version & 0xFFFF:  # written on a machine of the other byte order
            self._order = ">"
        tensors, pairs = self._number("Q"), self._number("Q")
        for _ in self._fitting(pairs, _LEAST_PAIR):
            self._string().decode()
            kind = self._number("I")
            self._string().decode() if kind == _STRING else self._value(kind)
        for _ in self._fitting(tensors, _LEAST_TENSOR):
            self._string()
            dimensions = self._number("I")
            if dimensions > _MOST_DIMENSIONS:
                raise ValueError(f"a tensor of {dimensions} dimensions")
            self._skip(8 * dimensions + 12)  # its shape, number format and place

    def _value(self, kind: int, nested: int = 0) -> None:
        if kind == _STRING:
            self._string()
        elif kind == _ARRAY:
            if nested == _MOST_NESTED:
                raise ValueError(f"arrays nested more than {_MOST_NESTED} deep")
            inner, count = self._number("I"), self._number("Q")
            if inner in _SCALAR_BYTES:
                self._skip(count * _SCALAR_BYTES[inner])
                return
            for _ in self._fitting(count, _LEAST_BYTES.get(inner, 1)):
                self._value(inner, nested + 1)
        elif kind in _SCALAR_BYTES:
            self._skip(_SCALAR_BYTES[kind])
        else:
            raise ValueError(f"a value of the unknown type {kind}")

    def _fitting(self, count: int, least: int) -> range:
        """Return range(count), if the rest of the file has `least` bytes for each."""
        if count * least > len(self._data) - self._at:
            raise ValueError(f"byte {self._at}: it counts {count}, more than the file has room for")
        return range(count)

    def _string(self) -> bytes:
        length = self._number("Q")
        self._skip(length)
        return self._data[self._at - length : self._at]

    def _number(self, kind: str) -> int:
        form = self._order + kind
        number: int = struct.unpack_from(form, self._data, self._at)[0]
        self._at += struct.calcsize(form)
        return number

    def _skip(self, count: int) -> None:
        if count > len(self._data) - self._at:
            raise ValueError(f"byte {self._at}: {count} bytes are promised, the file ends before")
        self._at += count
