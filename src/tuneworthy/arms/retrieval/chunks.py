"""Split documents into chunks of whole sentences, and keep the vectors of chunks on disk."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Protocol
from zipfile import BadZipFile

import numpy as np
from pydantic import Field

from tuneworthy.records.code import ENCODER_SOURCES, source_digest
from tuneworthy.records.errors import ModelError
from tuneworthy.records.record import Record, digest
from tuneworthy.rows.docs import Doc

_END_OF_SENTENCE = re.compile(
    r"(?<=[.!?…])[\"'”’)\]]*\s+(?=[\"'“‘(\[]?[^\Wa-z_])"  # before a capital or a figure
    r"|(?<=[。！？])|(?<!\s)\s*\n\s*\n\s*"
)

_SPACE = re.compile(r"\s+")


class ChunkOptions(Record):
    """Chunking options: at most `size` characters, `overlap` sentences repeated."""

    size: Annotated[int, Field(ge=100, le=100_000)] = 1200
    overlap: Annotated[int, Field(ge=0, le=20)] = 1


class Chunk(Record):
    """A verbatim part of a document. `since` and `until` are the document's."""

    doc: str
    part: int
    title: str
    text: str
    since: str | None = None
    until: str | None = None

    @property
    def searched(self) -> str:
        """Return the text that is indexed: the title followed by the text."""
        return f"{self.title}. {self.text}" if self.title else self.text

    @property
    def key(self) -> str:
        """Return the hash of the indexed text, by which its vector is stored."""
        return digest(self.searched)


def chunked(docs: Iterable[Doc], cut: ChunkOptions = ChunkOptions()) -> tuple[Chunk, ...]:
    """Return the chunks of all documents, sorted by document id."""
    return tuple(
        Chunk(doc=doc.id, part=part, title=doc.title, text=text, since=doc.since, until=doc.until)
        for doc in sorted(docs, key=lambda doc: doc.id)
        for part, text in enumerate(split_text(doc.text, cut))
    )


def split_text(text: str, cut: ChunkOptions = ChunkOptions()) -> list[str]:
    """Return a text as pieces of whole sentences, each at most `cut.size` characters.

    A longer sentence is split between words. Only whitespace at the ends of pieces is lost.
    """
    spans = [
        part for span in _sentence_spans(text) for part in _cut_long_sentence(text, span, cut.size)
    ]
    result, first = [], 0
    while first < len(spans):
        start, last = spans[first][0], first
        while last + 1 < len(spans) and spans[last + 1][1] - start <= cut.size:
            last += 1
        result.append(text[start : spans[last][1]])
        if last + 1 == len(spans):
            break
        first = _next_first_sentence(spans, first, last, cut)
    return result


def _next_first_sentence(
    spans: list[tuple[int, int]], first: int, last: int, cut: ChunkOptions
) -> int:
    """Return the number of the next piece's first sentence.

    It lies back by the overlap, if the sentence after `last` still fits then.
    """
    end = spans[last + 1][1]
    start = max(first + 1, last + 1 - cut.overlap)
    while start <= last and end - spans[start][0] > cut.size:
        start += 1
    return start


def _sentence_spans(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for match in [*_END_OF_SENTENCE.finditer(text), None]:
        end = len(text) if match is None else match.end()
        body = text[start:end]
        if body.strip():
            yield start + len(body) - len(body.lstrip()), start + len(body.rstrip())
        start = end


def _cut_long_sentence(text: str, span: tuple[int, int], size: int) -> Iterator[tuple[int, int]]:
    start, end = span
    while end - start > size:
        spaces = [m.start() for m in _SPACE.finditer(text, start + 1, start + size + 1)]
        at = spaces[-1] if spaces else start + size
        yield start, at
        start = at + len(text[at:end]) - len(text[at:end].lstrip())
    if end > start:
        yield start, end


Array = np.ndarray[Any, Any]


class Encoder(Protocol):
    """Encodes texts as vectors. `fingerprint` identifies its weights and version."""

    fingerprint: Mapping[str, str]

    def encode(self, texts: Sequence[str]) -> Array:
        """Return an array [texts, dimensions] of float32 rows of length 1, in order."""
        ...


def encoder_here() -> tuple[Encoder | None, str]:
    """Return (encoder of this machine, ""), or (None, why there is none). Sends no request."""
    from tuneworthy.models.encoder.vectors import encoder

    try:
        return encoder(), ""
    except ModelError as error:
        return None, f"{error.what}: {error.fix}"


def vectors(
    chunks: Sequence[Chunk], cut: ChunkOptions, encoder: Encoder, folder: Path | None
) -> Array:
    """Return the chunks' vectors as float32 [chunks, dimensions], each row of length 1.

    With a folder, vectors are cached there by the hash of their text; a cache file that can't be
    read is rebuilt.
    """
    about = {"cut": cut.plain(), "encoder": dict(encoder.fingerprint)}
    name = digest({**about, "source": source_digest(ENCODER_SOURCES)}, 16)
    file = folder / f"vectors-{name}.npz" if folder else None
    cached = _read_cache(file)
    keys = [chunk.key for chunk in chunks]
    new = {
        key: chunk.searched for key, chunk in zip(keys, chunks, strict=True) if key not in cached
    }
    if new:
        encoded = np.asarray(encoder.encode(list(new.values())), np.float32)
        cached |= dict(zip(new, encoded, strict=True))
    table = np.stack([cached[key] for key in keys])
    if new and file:
        _write_cache(file, dict(zip(keys, table, strict=True)))
    return table


def _read_cache(file: Path | None) -> dict[str, Array]:
    if file is None or not file.exists():
        return {}
    try:
        with np.load(file, allow_pickle=False) as stored:
            return dict(zip(stored["keys"].tolist(), stored["rows"], strict=True))
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return {}


def _write_cache(file: Path, table: Mapping[str, Array]) -> None:
    """Write the file atomically; a failure only costs encoding again the next time."""
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as out:
            np.savez(out, keys=np.array(list(table)), rows=np.stack(list(table.values())))
        os.replace(draft, file)
    except OSError:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
