"""The index of a document collection: BM25 and, if there is an encoder, vectors, fused.

Search is exact: building an approximate index takes longer than answering all questions of a study,
and adds a source of error (bench/journal). Knows no arm.
"""

from __future__ import annotations

import math
import random
import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tuneworthy.arms.retrieval.chunks import Array, Chunk, ChunkOptions, Encoder, chunked, vectors
from tuneworthy.rows.docs import Doc
from tuneworthy.rows.rows import sortable_time

FUSED_RANKS = 100  # ranks of each list that are fused; below them 1/(60 + rank) hardly differs

_TimedQuestion = tuple[str, str | None]

"""A question and its time (None: now, by the latest documents)."""

_LENGTH_CANDIDATES = 10  # candidates for a placebo: the texts nearest in length


class Index:
    """A search index of chunks, which finds those in force at a time; built by `index`."""

    def __init__(
        self, chunks: Sequence[Chunk], encoder: Encoder | None = None, rows: Array | None = None
    ) -> None:
        """Index the chunks; `rows` are their vectors from `encoder`."""
        self.chunks, self.encoder, self._rows = tuple(chunks), encoder, rows
        self._bm25 = _bm25([terms(chunk.searched) for chunk in self.chunks])
        self._since = np.array([_time_or(c.since, -math.inf) for c in self.chunks])
        self._until = np.array([_time_or(c.until, math.inf) for c in self.chunks])

    @property
    def dense(self) -> bool:
        """Return whether the search uses vectors; otherwise only BM25."""
        return self._rows is not None

    @property
    def last(self) -> float:
        """Return the time of the latest version, as `sortable_time`: a document's last start.

        If no document has a start, the last end. It needs no clock, so a search tomorrow finds the
        same.
        """
        for edges in (self._since, self._until):
            if (finite := edges[np.isfinite(edges)]).size:
                return float(finite.max())
        return 0.0

    def in_force(self, time: str | None) -> Array:
        """Return, for each chunk, whether it is in force at `time`; None: the latest version."""
        at = self.last if time is None else sortable_time(time)
        return np.asarray((self._since <= at) & (at < self._until))

    def search(self, asked: Sequence[_TimedQuestion], k: int) -> list[list[Chunk]]:
        """Return each question's `k` best chunks in force at its time, the best first.

        There may be fewer: BM25 alone finds nothing for a question without a known word.
        """
        return [[self.chunks[at] for at in positions[:k]] for positions in self.ranked(asked)]

    def ranked(self, asked: Sequence[_TimedQuestion]) -> list[list[int]]:
        """Return each question's ranking: positions of chunks in force at its time, best first."""
        allowed = [self.in_force(time) for _, time in asked]
        most = FUSED_RANKS if self.dense and asked else None  # BM25 alone ranks all matches
        lexical = [
            _best_positions(self._bm25_scores(question), where, above=0.0, most=most)
            for (question, _), where in zip(asked, allowed, strict=True)
        ]
        if self._rows is None or self.encoder is None or not asked:
            return lexical
        queries = np.asarray(self.encoder.encode([question for question, _ in asked]), np.float32)
        near = [
            _best_positions(self._rows @ query, where, above=-math.inf, most=FUSED_RANKS)
            for query, where in zip(queries, allowed, strict=True)
        ]
        both = zip(lexical, near, strict=True)
        return [
            [at for at, _ in fuse_rankings([lexical_row, dense_row])]
            for lexical_row, dense_row in both
        ]

    def placebo_chunk(self, chunk: Chunk, seed: str, time: str | None = None) -> Chunk | None:
        """Return the placebo of a chunk: one of another document, drawn from the nearest in length.

        None if there is no other document in force at `time`.
        """
        force = np.flatnonzero(self.in_force(time)).tolist()
        others = [self.chunks[at] for at in force if self.chunks[at].doc != chunk.doc]
        at = similar_length([other.text for other in others], chunk.text, seed)
        return None if at is None else others[at]

    def _bm25_scores(self, question: str) -> Array:
        wanted = terms(question)
        if self._bm25 is None or not wanted:
            return np.zeros(len(self.chunks))
        return np.asarray(self._bm25.get_scores(wanted), float)


def index(
    docs: Sequence[Doc],
    cut: ChunkOptions = ChunkOptions(),
    encoder: Encoder | None = None,
    folder: Path | None = None,
) -> Index:
    """Return the index of these documents, with vectors if there is an encoder.

    Vectors are cached in `folder`. BM25 is rebuilt each time, because its weights depend on all
    chunks (10,000 take a second or two). Raises ValueError if there is no text at all.
    """
    chunks = chunked(docs, cut)
    if not chunks:
        raise ValueError("there is no text to search")
    rows = vectors(chunks, cut, encoder, folder) if encoder else None
    return Index(chunks, encoder, rows)


def similar_length(texts: Sequence[str], text: str, seed: str) -> int | None:
    """Return the position of a random text among the ten nearest to `text` in length.

    Excludes texts that contain `text` or are contained in it; None if no text is left.
    """
    others = [at for at, other in enumerate(texts) if other not in text and text not in other]
    if not others:
        return None
    draw = random.Random(seed)
    draw.shuffle(others)  # so that equal lengths are not ordered by position
    return draw.choice(
        sorted(others, key=lambda at: abs(len(texts[at]) - len(text)))[:_LENGTH_CANDIDATES]
    )


def _bm25(corpus: list[list[str]]) -> Any:
    """Return the BM25 index of the texts' terms, as in Lucene (k1 1.5, b 0.75); None without."""
    if not any(corpus):
        return None
    import bm25s

    engine = bm25s.BM25(k1=1.5, b=0.75, method="lucene")
    engine.index(corpus, show_progress=False)
    return engine


def _time_or(text: str | None, none: float) -> float:
    return none if text is None else sortable_time(text)


def _best_positions(
    scores: Array, allowed: Array, above: float, most: int | None = None
) -> list[int]:
    """Return the at most `most` allowed positions with the best scores above `above`, best first.

    Scores equal to six decimals are ordered by position.
    """
    rounded = np.round(scores, 6)
    positions = np.flatnonzero(allowed & (rounded > above))
    if most is not None and len(positions) > most:
        positions = positions[rounded[positions] >= np.partition(rounded[positions], -most)[-most]]
    ordered: list[int] = positions[np.argsort(-rounded[positions], kind="stable")][:most].tolist()
    return ordered


_WORD = re.compile(r"\w+")

_STEM_LETTERS = 4
_ENOUGH_WORDS = 0.8  # share of an answer's distinct words; of up to four, all must occur


def words(text: str) -> list[str]:
    """Return the words of a text, NFKC-normalised and case-folded."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def terms(text: str) -> list[str]:
    """Return the BM25 terms of a text: each word, and the first four letters of a longer one.

    So `storing` and `storage` share a stem without a list of endings, in any language that inflects
    at the end. Chosen on training questions (bench/journal), not on the scored ones.
    """
    result: list[str] = []
    for word in words(text):
        result.append(word)
        if len(word) > _STEM_LETTERS:
            result.append(f"{word[:_STEM_LETTERS]}~")
    return result


def covers(passage: str, answer: str) -> bool:
    """Return whether a passage contains at least 80 % of an answer's distinct words."""
    wanted = set(words(answer))
    return bool(wanted) and len(wanted & set(words(passage))) >= _ENOUGH_WORDS * len(wanted)


# Cormack, Clarke and Buettcher (2009) found it good on TREC runs and near-optimal elsewhere.
_RRF_K = 60


def fuse_rankings(rankings: Sequence[Sequence[int]], k: int = _RRF_K) -> list[tuple[int, float]]:
    """Return (item, score) of each ranked item by reciprocal rank fusion, the best first.

    score(item) = sum over rankings of 1 / (k + rank), ranks from 1; a ranking without the item adds
    nothing. Ties go to the smaller item. Source: Cormack, Clarke and Buettcher, "Reciprocal Rank
    Fusion outperforms Condorcet and individual Rank Learning Methods", SIGIR 2009.
    """
    scores: dict[int, float] = defaultdict(float)
    for ranking in rankings:
        for rank, item in enumerate(ranking, 1):
            scores[item] += 1 / (k + rank)
    return sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))
