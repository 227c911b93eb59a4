"""Read a document record by record: the objects in its lists, however long they are."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import IO, Any

from tuneworthy.records.strict_json import DECODER, RefusedJson, checked_value
from tuneworthy.rows.bad_rows import RawRow, RowFault
from tuneworthy.rows.rows import as_text

Item = tuple[tuple[str, ...], Any]
_CHUNK_CHARACTERS = 1 << 20
_LEAST_RECORDS = 3  # objects with fields in common that are taken for records by key
_SEARCH_DEPTH = 2  # objects inside objects that are searched for lists of records
_SPACES = re.compile(r"[ \t\r\n]*")


def record_of_item(name: str, item: Item, count: Counter[tuple[str, ...]]) -> RawRow | RowFault:
    """Return an item as a record, numbered by `count` in its list; a fault if it is no object."""
    at, value = item
    count[at] += 1
    if isinstance(value, dict):
        return RawRow(f"{name}:{count[at]}", value, at)
    fix = 'write each row as an object: {"input": ..., "output": ...}'
    return RowFault(f"{name}:{count[at]}", "a row that is no object", as_text(value)[:80], fix)


def document_records(file: IO[str]) -> Iterator[Item]:
    """Yield (keys, item) for each item of the document's lists, then for the other fields.

    Several documents may follow each other. Raises ValueError where the text is no JSON, and
    RecursionError where it is nested too deep.
    """
    text = _TextWindow(file)
    while text.peek():
        yield from _value_records(text, (), 0)


def records_in_value(value: Any, at: tuple[str, ...] = ()) -> Iterator[Item]:
    """Yield the records of a parsed document, as `document_records` does."""
    if isinstance(value, list):
        yield from ((at, item) for item in value)
        return
    if _are_records(value):
        yield from _records_by_key(at, value)
        return
    own: dict[str, Any] = {}
    for key, inner in value.items() if isinstance(value, dict) else ():
        records = isinstance(inner, list) and bool(inner) and isinstance(inner[0], dict)
        if records or (isinstance(inner, dict) and len(at) + 1 < _SEARCH_DEPTH):
            yield from records_in_value(inner, (*at, str(key)))
        else:
            own[str(key)] = inner
    yield from _records_by_key(at, own)


def _records_by_key(at: tuple[str, ...], own: dict[str, Any]) -> Iterator[Item]:
    """Yield the records of objects that map keys to records, then the other fields as one.

    The key of a record without an `id` is its id.
    """
    if _are_records(own):
        yield from ((at, {"id": key, **record}) for key, record in own.items())
        return
    inner = [key for key, value in own.items() if _are_records(value)]
    for key in inner:
        yield from (((*at, key), {"id": name, **one}) for name, one in own.pop(key).items())
    if own:
        yield at, own


def _are_records(value: Any) -> bool:
    """Return whether an object maps keys to records: several objects that share a plain field."""
    if not isinstance(value, dict) or len(value) < _LEAST_RECORDS:
        return False
    if not all(isinstance(one, dict) for one in value.values()):
        return False
    shared = set.intersection(*(set(one) for one in value.values()))
    plain = (all(not isinstance(one[key], dict | list) for one in value.values()) for key in shared)
    return any(plain)


def _value_records(text: _TextWindow, at: tuple[str, ...], depth: int) -> Iterator[Item]:
    start = text.peek()
    if start == "[":
        for _ in text.members("[", "]"):
            yield at, text.value()
        return
    if start != "{":
        text.value()
        return
    own: dict[str, Any] = {}
    keys: set[str] = set()
    by_key = text.maps_records()
    for _ in text.members("{", "}"):
        key = str(text.value())
        if key in keys:
            raise RefusedJson("duplicate key in an object", key, "keep one of the two")
        keys.add(key)
        text.take(":")
        inside = text.peek()
        if by_key and inside == "{":
            yield at, {"id": key, **text.value()}
        elif (inside == "[" and text.second() == "{") or (
            inside == "{" and depth + 1 < _SEARCH_DEPTH
        ):
            yield from _value_records(text, (*at, key), depth + 1)
        else:
            own[key] = text.value()
    yield from _records_by_key(at, own)


class _TextWindow:
    """A window on the text of a file, read as it is needed."""

    def __init__(self, file: IO[str]) -> None:
        self._file, self._text, self._at, self._ended = file, "", 0, False

    def peek(self) -> str:
        """Return the next character that is no space, "" at the end of the file."""
        while True:
            self._at = self._after_spaces(self._at)
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._read_more():
                return ""

    def _after_spaces(self, at: int) -> int:
        found = _SPACES.match(self._text, at)
        return found.end() if found else at

    def second(self) -> str:
        """Return the second next character that is no space, "" at the end of the file."""
        self.peek()
        held, self._at = self._at, self._at + 1
        found = self.peek()
        self._at = held
        return found

    def maps_records(self) -> bool:
        """Return whether the first values of the object that begins here are records.

        Only the text that is held is looked at, a megabyte or more, so that no memory is needed.
        """
        at, found = self._at + 1, []
        with suppress(ValueError):
            for _ in range(_LEAST_RECORDS):
                at = DECODER.raw_decode(self._text, self._after_spaces(at))[1]
                at = self._after_spaces(self._after_spaces(at) + 1)
                value, at = DECODER.raw_decode(self._text, at)
                found.append(value)
                at = self._after_spaces(at) + 1
        return _are_records(dict(enumerate(found)))

    def take(self, mark: str) -> None:
        """Skip a mark. Raises ValueError if the next character is another."""
        if (found := self.peek()) != mark:
            raise ValueError(f"{mark} is missing before {self._text[self._at : self._at + 40]!r}"
                             if found else "the file ends inside a value")  # fmt: skip
        self._at += 1

    def members(self, first: str, last: str) -> Iterator[None]:
        """Yield once before each member of a list or an object."""
        self.take(first)
        self._drop_read_text()
        if self.peek() == last:
            self._at += 1
            return
        while True:
            yield
            if self.peek() == last:
                self._at += 1
                return
            self.take(",")
            self._drop_read_text()

    def value(self) -> Any:
        """Return the next JSON value."""
        self.peek()
        while True:
            try:
                found, end = DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError:
                if not self._read_more():
                    raise
                continue
            if end < len(self._text) or not self._read_more():
                checked_value(found, self._text[self._at : end])
                self._at = end
                return found

    def _drop_read_text(self) -> None:
        if self._at > _CHUNK_CHARACTERS:
            self._text, self._at = self._text[self._at :], 0

    def _read_more(self) -> bool:
        if self._ended:
            return False
        chunk = self._file.read(max(_CHUNK_CHARACTERS, len(self._text) - self._at))
        self._ended = not chunk
        self._text += chunk
        return bool(chunk)
