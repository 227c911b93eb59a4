"""How often an arm that answers only what is sure breaks its limit, and what it leaves unanswered.

usage: abstention.py [STUDIES]

In each world an arm states probabilities for 400 rows of which its answers are right as often as
the world says. `coverage` chooses the threshold on these rows. Counted are thresholds whose true
share of wrong answers, over 200,000 further rows of the world, lies above the limit; and how far
the coverage lies below the best single threshold in hindsight. Worlds made against the rule state
probabilities that are upside down, flat, or worst where it is surest. With six arms, all of them
are measured and the one that answers most is named. Writes bench/results/abstention.json.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from _bench import RESULTS, machine

from tuneworthy.matrix.abstention import coverage
from tuneworthy.matrix.columns import Column
from tuneworthy.matrix.inputs import ComparisonInputs
from tuneworthy.records.answer import Answer, Score
from tuneworthy.records.run import Spec
from tuneworthy.records.split import Part, Split
from tuneworthy.records.task import Data, Task
from tuneworthy.stats.bounds import rate

ROWS, POOL, STUDIES = 400, 200_000, 2_040
LIMITS = (0.02, 0.05, 0.1)
Array = np.ndarray
Draw = Callable[[np.random.Generator, int, float], tuple[Array, Array]]


def _calibrated(rng: np.random.Generator, n: int, *_limit: float) -> tuple[Array, Array]:
    q = rng.beta(6, 1, n)
    return q, q


def _too_sure(rng: np.random.Generator, n: int, *_limit: float) -> tuple[Array, Array]:
    q = rng.beta(5, 1.2, n)
    return q, q**0.3


def _too_shy(rng: np.random.Generator, n: int, *_limit: float) -> tuple[Array, Array]:
    q = rng.beta(14, 1, n)
    return q, q**4


def _noisy(rng: np.random.Generator, n: int, *_limit: float) -> tuple[Array, Array]:
    q = rng.beta(9, 1, n)
    return q, 1 / (1 + np.exp(-(np.log(q / (1 - q)) + rng.normal(0, 1.5, n))))


def _easy_and_hard(rng: np.random.Generator, n: int, *_limit: float) -> tuple[Array, Array]:
    q = np.where(rng.random(n) < 0.7, 0.995, 0.6)
    return q, np.clip(q + rng.normal(0, 0.03, n), 0.01, 0.999)


def _random(rng: np.random.Generator, n: int, *_limit: float) -> tuple[Array, Array]:
    return rng.beta(6, 1, n), rng.random(n)


def _at_the_limit(rng: np.random.Generator, n: int, limit: float) -> tuple[Array, Array]:
    return np.full(n, 1 - 1.001 * limit), rng.random(n)


def _worst_first(rng: np.random.Generator, n: int, limit: float) -> tuple[Array, Array]:
    p = rng.random(n)
    return 1 - np.where(p > 0.6, 2.52 * limit, 0.0), p


def _upside_down(rng: np.random.Generator, n: int, *_limit: float) -> tuple[Array, Array]:
    q = rng.beta(20, 1, n)
    return q, 1 - q


WORLDS: dict[str, Draw] = {
    "calibrated": _calibrated, "too sure": _too_sure, "too shy": _too_shy, "noisy": _noisy,
    "easy and hard": _easy_and_hard, "random": _random, "at the limit": _at_the_limit,
    "worst first": _worst_first, "upside down": _upside_down,
}  # fmt: skip


def inputs() -> ComparisonInputs:
    """Return the inputs of a study of 400 independent rows in one split."""
    ids = tuple(f"c{at:03}" for at in range(ROWS))
    split = Split(k=1, parts=(Part(train=(), dev=(), test=ids),))
    return ComparisonInputs(Task(data=Data(file="rows.jsonl")), "study", split)


def column(p: Array, right: Array) -> Column:
    """Return a column of these probabilities and right or wrong answers."""
    cells: dict[str, Any] = {
        f"c{at:03}": (Answer(case=f"c{at:03}", text="x", labels={"x": float(p[at])}),
                      Score(value=float(right[at])))
        for at in range(ROWS)
    }  # fmt: skip
    spec = Spec(name="arm", arm="arm", tool="classifier")
    return Column(spec, cells, dict.fromkeys(cells, 0), False, ())


def hindsight(p: Array, right: Array, limit: float) -> float:
    """Return the largest share of rows whose own bound (5 %, one test) lies under the limit."""
    wrong = np.cumsum(1 - right[np.argsort(-p, kind="stable")])
    ends = range(ROWS, 0, -ROWS // 20)
    return next((n / ROWS for n in ends if rate(int(wrong[n - 1]), n, 0.1)[1] <= limit), 0.0)


def studied(world: str, limit: float, studies: int, arms: int) -> dict[str, Any]:
    """Return how often the named arm broke its limit, and its mean coverage beside hindsight."""
    rng, study, draw = (
        np.random.default_rng([len(world), int(1000 * limit)]),
        inputs(),
        WORLDS[world],
    )
    pool_q, pool_p = draw(rng, POOL, limit)
    order = np.argsort(-pool_p)
    risks = np.cumsum(1 - pool_q[order]) / np.arange(1, POOL + 1)
    broken, covered, best = 0, 0.0, 0.0
    for _ in range(studies):
        found = []
        for _ in range(arms):
            q, p = draw(rng, ROWS, limit)
            right = (rng.random(ROWS) < q).astype(float)
            at = coverage(study, column(p, right), limit, arms)
            found.append((at.coverage.mean if at else 0.0, at, hindsight(p, right, limit)))
        share, named, late = max(found, key=lambda one: one[0])
        covered, best = covered + share, best + late
        if named is not None:
            given = int(np.searchsorted(-pool_p[order], -named.threshold, side="right"))
            broken += bool(given and risks[given - 1] > limit)
    means = {"coverage": covered / studies, "hindsight": best / studies}
    return {"world": world, "limit": limit, "arms": arms, "studies": studies, "broken": broken,
            **{name: round(mean, 4) for name, mean in means.items()}}  # fmt: skip


def main() -> None:
    """Run all worlds and limits and write the figures."""
    studies = int(sys.argv[1]) if len(sys.argv) > 1 else STUDIES
    cells = len(WORLDS) * len(LIMITS)
    each = -(-studies // cells)
    rows = [studied(world, limit, each, 1) for world in WORLDS for limit in LIMITS]
    rows += [studied("at the limit", limit, each, 6) for limit in LIMITS]
    single = [row for row in rows if row["arms"] == 1]
    plain = [row for row in single if row["hindsight"] > 0]
    behind = [row["hindsight"] - row["coverage"] for row in plain]
    total = sum(row["studies"] for row in rows)
    summary = {
        "studies": total, "rows": ROWS, "broken": sum(row["broken"] for row in rows),
        "broken_worst_world": max(row["broken"] / row["studies"] for row in rows),
        "behind_hindsight": round(float(np.mean(behind)), 4),
    }  # fmt: skip
    found = {"summary": summary, "rows": rows, "machine": machine()}
    (RESULTS / "abstention.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    for row in rows:
        print(row)
    print(summary)


if __name__ == "__main__":
    main()
