"""Encode chunks as vectors, cached on disk by content: only new or changed ones are encoded."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol
from zipfile import BadZipFile

import numpy as np

from tuneworthy.core.code import ENCODER_SOURCES, source_digest
from tuneworthy.core.errors import ModelError
from tuneworthy.core.record import digest
from tuneworthy.retrieval.chunks import Chunk, ChunkOptions

Array = np.ndarray[Any, Any]


class Encoder(Protocol):
    """Encodes texts as vectors. `fingerprint` identifies its weights and version."""

    fingerprint: Mapping[str, str]

    def encode(self, texts: Sequence[str]) -> Array:
        """Return an array [texts, dimensions] of float32 rows of length 1, in order."""
        ...


class MiniLM:
    """The downloaded sentence encoder, as an Encoder."""

    def __init__(self) -> None:
        """Open the encoder. Raises ModelError if it is not on this machine."""
        from tuneworthy.models.encoder import minilm as _minilm
        from tuneworthy.models.encoder import vectors as _vectors

        self._opened = _vectors.encoder()
        self.fingerprint: Mapping[str, str] = {"encoder": _minilm.NAME, "weights": _minilm.WEIGHTS}

    def encode(self, texts: Sequence[str]) -> Array:
        """Return [len(texts), 384] float32, each row of length 1."""
        return self._opened.encode(texts)


def encoder_here() -> tuple[Encoder | None, str]:
    """Return (encoder of this machine, ""), or (None, reason). Sends no request."""
    try:
        return MiniLM(), ""
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
