"""Vectors of chunks, kept on disk by content: only what is new or changed is encoded."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol
from zipfile import BadZipFile

import numpy as np

from tuneworthy.core.code import ENCODER, source_digest
from tuneworthy.core.errors import ModelError
from tuneworthy.core.record import digest
from tuneworthy.retrieval.chunks import Chunk, Cut

Array = np.ndarray[Any, Any]


class Encoder(Protocol):
    """Texts into vectors. `fingerprint` names weights and versions: other ones, other vectors."""

    fingerprint: Mapping[str, str]

    def encode(self, texts: Sequence[str]) -> Array:
        """Return one row of unit length (float32) a text, in order."""
        ...


class MiniLM:
    """The fetched sentence encoder, as an Encoder."""

    def __init__(self) -> None:
        """Open it. Raises ModelError where it is not on this machine."""
        from tuneworthy.models import _minilm, _vectors

        self._opened = _vectors.encoder()
        self.fingerprint: Mapping[str, str] = {"encoder": _minilm.NAME, "weights": _minilm.WEIGHTS}

    def encode(self, texts: Sequence[str]) -> Array:
        """Return [len(texts), 384] float32, each row of length 1."""
        return self._opened.encode(texts)


def encoder_here() -> tuple[Encoder | None, str]:
    """Return the encoder of this machine and "", or None and why there is none. No request."""
    try:
        return MiniLM(), ""
    except ModelError as error:
        return None, f"{error.what}: {error.fix}"


def vectors(chunks: Sequence[Chunk], cut: Cut, encoder: Encoder, folder: Path | None) -> Array:
    """Return one unit vector a chunk, as float32 [n, d].

    With a folder, vectors of an earlier call are read there by the hash of their text, and what
    was added is written; a file that can't be read is made anew.
    """
    about = {"cut": cut.plain(), "encoder": dict(encoder.fingerprint)}
    name = digest({**about, "source": source_digest(ENCODER)}, 16)
    file = folder / f"vectors-{name}.npz" if folder else None
    known = _read(file)
    keys = [chunk.key for chunk in chunks]
    new = {key: chunk.searched for key, chunk in zip(keys, chunks, strict=True) if key not in known}
    if new:
        found = np.asarray(encoder.encode(list(new.values())), np.float32)
        known |= dict(zip(new, found, strict=True))
    table = np.stack([known[key] for key in keys])
    if new and file:
        _write(file, dict(zip(keys, table, strict=True)))
    return table


def _read(file: Path | None) -> dict[str, Array]:
    if file is None or not file.exists():
        return {}
    try:
        with np.load(file, allow_pickle=False) as held:
            return dict(zip(held["keys"].tolist(), held["rows"], strict=True))
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return {}


def _write(file: Path, table: Mapping[str, Array]) -> None:
    """Write the file whole or not at all; a disk that is full costs time the next time, no more."""
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as out:
            np.savez(out, keys=np.array(list(table)), rows=np.stack(list(table.values())))
        os.replace(draft, file)
    except OSError:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
