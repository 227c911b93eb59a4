"""A vector for each text (MiniLM), without torch: what classifiers and retrieval compare.

A text's vector is the same bits whatever other texts it is read with: texts are read in tiles of
fixed shape, chosen by the text's own length, so no product depends on the company. Knows no task.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuneworthy.core.errors import ModelError
from tuneworthy.models._bert import Bert
from tuneworthy.models._minilm import locate, missing
from tuneworthy.models._weights import check_safetensors
from tuneworthy.models._wordpiece import WordPiece

MOST = 256  # tokens of a text that are read, its two end marks included: as the model was trained
# Width of a tile in tokens, and its rows: about 64 tokens, a multiple of 16 each, so that every
# row of a matrix product goes the same way through the processor.
_TILES = ((8, 8), (12, 4), (16, 4), (24, 2), (32, 2), (48, 1), (64, 1), (96, 1), (128, 1),
          (192, 1), (256, 1))  # fmt: skip
_KEPT = 20_000  # vectors kept in memory, 1.5 kB each


class Encoder:
    """Turns texts into vectors of length 1; the folder holds a BERT and its vocab.txt."""

    def __init__(self, folder: Path) -> None:
        """Open the weights. Raises ModelError where the folder holds no such encoder."""
        try:
            check_safetensors(folder / "model.safetensors")
            self._net = Bert(folder)
            self._pieces = WordPiece((folder / "vocab.txt").read_text("utf-8").splitlines())
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(
                "the encoder can't be opened", where=str(folder), got=f"{error}", fix=missing()
            ) from error
        self.size = self._net.size
        self._most = min(MOST, self._net.longest)
        self._kept: dict[str, NDArray[np.float32]] = {}

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return [len(texts), size] float32, each row of length 1; a text is read up to MOST."""
        new = [text for text in dict.fromkeys(texts) if text not in self._kept]
        if len(self._kept) + len(new) > _KEPT:
            self._kept, new = {}, list(dict.fromkeys(texts))
        fresh = dict(zip(new, self._read(new), strict=True))
        known = {**self._kept, **fresh}
        self._kept |= dict(list(fresh.items())[:_KEPT])
        rows = [known[text] for text in texts]
        return np.stack(rows) if rows else np.zeros((0, self.size), np.float32)

    def cut(self, texts: Sequence[str]) -> int:
        """Return how many texts are longer than what is read of them."""
        return sum(len(self._pieces.ids(text)) > self._most for text in texts)

    def _read(self, texts: Sequence[str]) -> list[NDArray[np.float32]]:
        ids = [self._ids(text) for text in texts]
        tiles: list[tuple[int, int, list[int]]] = []
        lower = 0
        for width, rows in _TILES:
            here = [at for at, row in enumerate(ids) if lower < len(row) <= width]
            cuts = range(0, len(here), rows)
            tiles += [(width, rows, here[start : start + rows]) for start in cuts]
            lower = width
        out: dict[int, NDArray[np.float32]] = {}
        with _one_thread(), ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            vectors = pool.map(lambda t: self._tile(ids, *t), tiles)
            for (_, _, here), found in zip(tiles, vectors, strict=True):
                out |= dict(zip(here, found, strict=True))
        return [out[at] for at in range(len(texts))]

    def _tile(
        self, ids: Sequence[Sequence[int]], width: int, rows: int, here: Sequence[int]
    ) -> NDArray[np.float32]:
        table = np.full((rows, width), self._pieces.pad, np.int64)
        lengths = np.ones(rows, np.int64)  # rows left over are one mark long, and dropped
        for row, at in enumerate(here):
            table[row, : len(ids[at])] = ids[at]
            lengths[row] = len(ids[at])
        return self._net.vectors(table, lengths)[: len(here)]

    def _ids(self, text: str) -> list[int]:
        found = self._pieces.ids(text)
        return found if len(found) <= self._most else [*found[: self._most - 1], found[-1]]


def encode(texts: Sequence[str]) -> NDArray[np.float32]:
    """Return the vectors of texts by MiniLM, [len(texts), 384] float32, each of length 1.

    Raises ModelError, with the command that fetches it, where MiniLM is not on this machine.
    """
    return encoder().encode(texts)


def encoder() -> Encoder:
    """Return MiniLM, opened once. Raises ModelError where it is not on this machine."""
    if folder := locate():
        return _opened(folder)
    raise ModelError("there is no encoder on this machine yet", got="minilm", fix=missing())


@lru_cache(2)
def _opened(folder: Path) -> Encoder:
    return Encoder(folder)


def _one_thread() -> Any:
    """Keep each product on one thread: tiles run side by side, and bits don't depend on cores."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(limits=1)
