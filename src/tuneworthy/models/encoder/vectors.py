"""Compute sentence vectors of texts (MiniLM), without torch, for classifiers and retrieval.

A text's vector has the same bits whatever other texts are in the batch. Knows no task.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuneworthy.models.encoder.encoder import NAME, WEIGHTS, Bert, WordPiece, locate, missing
from tuneworthy.models.local.model_files import check_files
from tuneworthy.models.local.weights import check_safetensors
from tuneworthy.records.errors import ModelError

MOST_TOKENS = 256  # maximum tokens of a text with [CLS] and [SEP], as the model was trained
_CACHED_VECTORS = 20_000  # vectors kept in memory, 1.5 kB each


class Encoder:
    """Computes vectors of length 1 for texts, with the BERT encoder in a folder."""

    def __init__(self, folder: Path) -> None:
        """Read weights and vocabulary. Raises ModelError if the folder has no BERT encoder."""
        check_files(folder)
        try:
            check_safetensors(folder / "model.safetensors")
            self._net = Bert(folder)
            words = (folder / "vocab.txt").read_text("utf-8").removesuffix("\n").split("\n")
            self._pieces = WordPiece(words)
        except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError, IndexError) as error:
            raise ModelError(
                "the encoder can't be opened", where=str(folder), got=f"{error}", fix=str(missing())
            ) from error
        self.size = self._net.size
        self.fingerprint: Mapping[str, str] = {"encoder": NAME, "weights": WEIGHTS}
        self._most = min(MOST_TOKENS, self._net.longest)
        self._kept: dict[str, NDArray[np.float32]] = {}

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return [len(texts), size] float32, each row of length 1; texts are cut to MOST_TOKENS."""
        with _one_thread(), ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            rows = list(pool.map(lambda text: self._net.vector(self._ids(text)), texts))
        return np.stack(rows) if rows else np.zeros((0, self.size), np.float32)

    def kept(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors as `encode` does; those of earlier texts come from memory (20,000)."""
        distinct = list(dict.fromkeys(texts))
        new = [text for text in distinct if text not in self._kept]
        if len(self._kept) + len(new) > _CACHED_VECTORS:
            self._kept, new = {}, distinct
        fresh = dict(zip(new, self.encode(new), strict=True))
        rows = [fresh[text] if text in fresh else self._kept[text] for text in texts]
        self._kept |= dict(list(fresh.items())[:_CACHED_VECTORS])
        return np.stack(rows) if rows else np.zeros((0, self.size), np.float32)

    def cut(self, texts: Sequence[str]) -> int:
        """Return the number of texts that exceed the token limit, so that `encode` cuts them."""
        return sum(len(self._pieces.ids(text)) > self._most for text in texts)

    def _ids(self, text: str) -> list[int]:
        ids = self._pieces.ids(text)
        return ids if len(ids) <= self._most else [*ids[: self._most - 1], ids[-1]]


def encode(texts: Sequence[str], *, keep: bool = False) -> NDArray[np.float32]:
    """Return the vectors of texts by MiniLM, [len(texts), 384] float32, each of length 1.

    `keep`: reuse vectors computed before and remember the new ones; without it every text is
    encoded, so that its time can be measured.

    Raises ModelError, with the command that downloads it, if MiniLM is not on this machine.
    """
    return encoder().kept(texts) if keep else encoder().encode(texts)


def encoder() -> Encoder:
    """Return the MiniLM encoder, opened once. Raises ModelError if it is not on this machine."""
    if folder := locate():
        return _opened(folder)
    raise ModelError("there is no encoder on this machine yet", got="minilm", fix=str(missing()))


@lru_cache(2)
def _opened(folder: Path) -> Encoder:
    return Encoder(folder)


def _one_thread() -> Any:
    """Return a context that gives each matrix product one thread, because texts run in parallel."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(limits=1)
