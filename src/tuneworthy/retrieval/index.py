"""The index of a document collection: BM25 and, where there is an encoder, vectors, fused.

Search is exact: an approximate index takes longer to build than the questions of a study take, and
would be one more source of error (FINDINGS). Knows no arm.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tuneworthy.core.record import digest
from tuneworthy.data.docs import Doc
from tuneworthy.data.rows import moment
from tuneworthy.retrieval.chunks import Chunk, Cut, chunked
from tuneworthy.retrieval.fusion import fused
from tuneworthy.retrieval.tokens import terms
from tuneworthy.retrieval.vectors import Array, Encoder, vectors

DEPTH = 100  # ranks of each list that are fused; below them 1/(60 + rank) hardly differs
Asked = tuple[str, str | None]
"""A question and the time at which it is asked (None: now, by the latest documents)."""
LIKE = 10  # texts nearest in length among which a stand-in is drawn


class Index:
    """Chunks that can be searched as of a moment; build it with `index`."""

    def __init__(
        self, chunks: Sequence[Chunk], encoder: Encoder | None = None, rows: Array | None = None
    ) -> None:
        """Read the chunks; `rows` are their vectors, made by `encoder`."""
        self.chunks, self.encoder, self._rows = tuple(chunks), encoder, rows
        self._bm25 = _bm25([terms(chunk.searched) for chunk in self.chunks])
        self._since = np.array([_edge(c.since, -math.inf) for c in self.chunks])
        self._until = np.array([_edge(c.until, math.inf) for c in self.chunks])

    @property
    def dense(self) -> bool:
        """Say whether vectors take part; else BM25 searches alone."""
        return self._rows is not None

    @property
    def last(self) -> float:
        """Return the moment of the latest version: when the last document came into force.

        Where no document says since when it holds, when the last one ended. It needs no clock, so
        a search tomorrow finds the same.
        """
        for edges in (self._since, self._until):
            if (known := edges[np.isfinite(edges)]).size:
                return float(known.max())
        return 0.0

    def in_force(self, time: str | None) -> Array:
        """Return, for each chunk, whether it is in force at `time`; None: the latest version."""
        at = self.last if time is None else moment(time)
        return np.asarray((self._since <= at) & (at < self._until))

    def search(self, asked: Sequence[Asked], k: int) -> list[list[Chunk]]:
        """Return for each question its k best chunks in force at its time, the best first.

        Fewer where fewer fit: BM25 alone finds nothing for a question without a known word.
        """
        return [[self.chunks[at] for at in found[:k]] for found in self.ranked(asked)]

    def ranked(self, asked: Sequence[Asked]) -> list[list[int]]:
        """Return for each question positions of chunks in force at its time, the best first."""
        allowed = [self.in_force(time) for _, time in asked]
        most = DEPTH if self.dense and asked else None  # BM25 alone ranks all it finds
        lexical = [
            _order(self._lexical(question), where, above=0.0, most=most)
            for (question, _), where in zip(asked, allowed, strict=True)
        ]
        if self._rows is None or self.encoder is None or not asked:
            return lexical
        queries = np.asarray(self.encoder.encode([question for question, _ in asked]), np.float32)
        near = [
            _order(self._rows @ query, where, above=-math.inf, most=DEPTH)
            for query, where in zip(queries, allowed, strict=True)
        ]
        both = zip(lexical, near, strict=True)
        return [[at for at, _ in fused([one, two])] for one, two in both]

    def stand_in(self, chunk: Chunk, seed: str, time: str | None = None) -> Chunk | None:
        """Return a random chunk of about the same length from another document, None: no other.

        The placebo of a passage: as long, as much of this collection, and about something else.
        """
        force = np.flatnonzero(self.in_force(time)).tolist()
        others = [self.chunks[at] for at in force if self.chunks[at].doc != chunk.doc]
        at = like([other.text for other in others], chunk.text, seed)
        return None if at is None else others[at]

    def _lexical(self, question: str) -> Array:
        wanted = terms(question)
        if self._bm25 is None or not wanted:
            return np.zeros(len(self.chunks))
        return np.asarray(self._bm25.get_scores(wanted), float)


def index(
    docs: Sequence[Doc],
    cut: Cut = Cut(),
    encoder: Encoder | None = None,
    folder: Path | None = None,
) -> Index:
    """Return the index of these documents; vectors that lie in `folder` are used again.

    BM25 is counted anew each time, for its weights depend on all chunks (10,000 take a second or
    two). Raises ValueError where there is no text at all.
    """
    chunks = chunked(docs, cut)
    if not chunks:
        raise ValueError("there is no text to search")
    rows = vectors(chunks, cut, encoder, folder) if encoder else None
    return Index(chunks, encoder, rows)


def like(texts: Sequence[str], text: str, seed: str) -> int | None:
    """Return the position of a random text among the ten nearest to `text` in length.

    None of them holds `text` or is held by it; None where there is no such text.
    """
    others = [at for at, one in enumerate(texts) if one not in text and text not in one]
    if not others:
        return None
    draw = random.Random(seed)
    draw.shuffle(others)  # of equals in length none is preferred by its place
    return draw.choice(sorted(others, key=lambda at: abs(len(texts[at]) - len(text)))[:LIKE])


def index_hash(docs: Sequence[Doc], cut: Cut = Cut(), encoder: Encoder | None = None) -> str:
    """Return the hash of what an index finds: documents, how they are cut, and the encoder."""
    held = [chunk.plain() for chunk in chunked(docs, cut)]
    made_by = dict(encoder.fingerprint) if encoder else None
    return digest({"chunks": held, "cut": cut.plain(), "encoder": made_by})


def _bm25(corpus: list[list[str]]) -> Any:
    """Return BM25 as Lucene counts it (k1 1.5, b 0.75), None where no chunk has a word."""
    if not any(corpus):
        return None
    import bm25s

    found = bm25s.BM25(k1=1.5, b=0.75, method="lucene")
    found.index(corpus, show_progress=False)
    return found


def _edge(text: str | None, none: float) -> float:
    return none if text is None else moment(text)


def _order(scores: Array, allowed: Array, above: float, most: int | None = None) -> list[int]:
    """Return the `most` best allowed positions; ties, also of rounding, go by position."""
    rounded = np.round(scores, 6)
    held = np.flatnonzero(allowed & (rounded > above))
    if most is not None and len(held) > most:
        held = held[rounded[held] >= np.partition(rounded[held], -most)[-most]]
    ordered: list[int] = held[np.argsort(-rounded[held], kind="stable")][:most].tolist()
    return ordered
