"""Searching large collections exactly, beside an approximate index (usearch, HNSW).

usage: retrieval.py [chunks ...]   10,000, 50,000 and 200,000 unless said; random words and vectors
in 1,000 clusters. Without usearch the exact side runs alone.
"""

from __future__ import annotations

import importlib
import resource
import sys
import time
from random import Random
from typing import Any

import numpy as np
from _bench import write

from tuneworthy.arms.retrieval.chunks import chunked
from tuneworthy.arms.retrieval.index import FUSED_RANKS, Index
from tuneworthy.rows.docs import Doc

SIZES, ASKED, WIDTH, CLUSTERS, TOP = (10_000, 50_000, 200_000), 200, 384, 1000, 10
WORDS = [f"{a}{b}" for a in ("lo", "mi", "ra", "tu", "ve", "so", "ke", "pa") for b in range(2500)]


class Drawn:
    """Vectors that lie in clusters, as those of sentences do; a question is near a chunk."""

    def __init__(self, n: int) -> None:
        rng = np.random.default_rng(0)
        self.fingerprint = {"encoder": "drawn"}
        centres = unit(rng.normal(size=(CLUSTERS, WIDTH)))
        self.rows = unit(centres[rng.integers(CLUSTERS, size=n)] + noise(rng, n, 0.04))
        self.asked = unit(self.rows[rng.integers(n, size=ASKED)] + noise(rng, ASKED, 0.03))

    def encode(self, texts: Any) -> Any:
        """Return the vectors of the questions."""
        return self.asked[: len(texts)]


def unit(rows: Any) -> Any:
    """Return the rows at length 1, as float32."""
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def noise(rng: Any, n: int, size: float) -> Any:
    """Return n rows of Gaussian noise."""
    return size * rng.standard_normal((n, WIDTH), dtype=np.float32)


def texts(n: int) -> list[Doc]:
    """Return n documents of forty words each."""
    draw = Random(0)
    return [Doc(id=f"d{at}", text=" ".join(draw.choices(WORDS, k=40)) + ".") for at in range(n)]


def searched(n: int) -> dict[str, Any]:
    """Time building and asking; say how much of the exact ten the approximate index finds."""
    chunks, drawn = chunked(texts(n)), Drawn(n)
    start = time.perf_counter()
    index = Index(chunks, drawn, drawn.rows)
    told: dict[str, Any] = {"chunks": n, "build seconds": time.perf_counter() - start}
    draw = Random(1)
    asked = [(" ".join(draw.choices(WORDS, k=8)), None) for _ in range(ASKED)]
    start = time.perf_counter()
    index.search(asked, TOP)
    told["ms a question, words and vectors"] = 1000 * (time.perf_counter() - start) / ASKED
    start = time.perf_counter()
    scores = [drawn.rows @ query for query in drawn.asked]
    exact = [np.argpartition(-row, TOP)[:TOP] for row in scores]
    told["ms a question, vectors"] = 1000 * (time.perf_counter() - start) / ASKED
    told |= approximate(drawn, exact)
    told["mb at the peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return {key: round(value, 3) for key, value in told.items()}


def approximate(drawn: Drawn, exact: list[Any]) -> dict[str, float]:
    """Build and ask usearch at its defaults; nothing where it is not installed."""
    try:
        peer = importlib.import_module("usearch.index")
    except ImportError:
        return {}
    start = time.perf_counter()
    graph = peer.Index(ndim=WIDTH, metric="cos", dtype="f32")
    graph.add(np.arange(len(drawn.rows)), drawn.rows)
    built = time.perf_counter() - start
    start = time.perf_counter()
    found = [graph.search(query, FUSED_RANKS).keys[:TOP] for query in drawn.asked]
    seconds = time.perf_counter() - start
    kept = [
        len(set(map(int, a)) & set(map(int, b))) / TOP for a, b in zip(exact, found, strict=True)
    ]
    return {"usearch build seconds": built, "usearch ms a question": 1000 * seconds / ASKED,
            "usearch recall of the exact ten": float(np.mean(kept))}  # fmt: skip


def main() -> None:
    """Print a line a size and write bench/results/retrieval.json."""
    sizes = [int(word) for word in sys.argv[1:]] or list(SIZES)
    rows = []
    for n in sizes:
        rows.append(searched(n))
        print("; ".join(f"{key} {value:,}" for key, value in rows[-1].items()), flush=True)
    summary = {f"{row['chunks']:,} chunks, ms a question, words and vectors":
               row["ms a question, words and vectors"] for row in rows}  # fmt: skip
    write("retrieval", {"rows": rows, "n": ASKED, "summary": summary})


if __name__ == "__main__":
    main()
