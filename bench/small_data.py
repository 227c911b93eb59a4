"""Does the interval of a cross-fitted classifier hold on 100 rows, dev rows kept apart or learnt?

usage: small_data.py ROWS.jsonl... [studies] [any]   rows {"input", "output"} of at least 50 labels

Each study draws 15 to 40 labels, 100 rows of them, and a rival that learnt from 40 to 99 others and
is 0 to 10 points behind (`any`: or anywhere). The truth is the arm fitted on all 100 rows, on the
rows left over.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from tuneworthy.arms._classified import single_blas_thread, tfidf_pipeline
from tuneworthy.records.case import Case, Message
from tuneworthy.records.task import Data, Output, Task
from tuneworthy.rows.folds import split
from tuneworthy.rows.load import Loaded
from tuneworthy.stats import bounds
from tuneworthy.stats.clusters import Folds

N, TRUTH, GAP = 100, 1500, 0.10
Rows = list[tuple[str, str]]
Array = np.ndarray[Any, Any]


def fitted(rows: Rows) -> Any:
    model = tfidf_pipeline(10.0, 0, len(rows))
    with single_blas_thread():
        model.fit(*map(list, zip(*rows, strict=True)))
    return model


def right(model: Any, rows: Rows) -> Array:
    with single_blas_thread():
        said = model.predict([text for text, _ in rows])
    return np.array([one == label for one, (_, label) in zip(said, rows, strict=True)], float)


def drawn(by: dict[str, list[str]], rng: np.random.Generator) -> tuple[Rows, Rows, Rows]:
    """Return the rows of the study, those of the rival and those of the truth."""
    labels = rng.choice(sorted(by), int(rng.integers(15, 41)), replace=False)
    pool = [(text, str(label)) for label in labels for text in by[label]]
    pool = [pool[i] for i in rng.permutation(len(pool))]
    others = int(rng.integers(40, N))
    return pool[:N], pool[N : N + others], pool[N + others :][:TRUTH]


def crossed(rows: Rows, seed: int, chooses: bool) -> tuple[Array, Array, float]:
    """Return each row's score by a fit that has not seen it, its fold, and the width factor."""
    cases = tuple(Case(id=f"c{at:03}", messages=(Message(role="user", content=text),), output=label)
                  for at, (text, label) in enumerate(rows))  # fmt: skip
    labels = tuple(sorted({label for _, label in rows}))
    task = Task(data=Data(file="rows"), output=Output(type="label", labels=labels), seed=seed)
    found = split(Loaded(task=task, cases=cases, rows=len(rows)))
    at = {case.id: number for number, case in enumerate(cases)}
    scores, folds = np.zeros(len(rows)), np.zeros(len(rows), int)
    for fold, part in enumerate(found.parts):
        mine = part.learnt(chooses)
        test = [at[i] for i in part.test]
        model = fitted([rows[at[i]] for i in mine.train])
        scores[test], folds[test] = right(model, [rows[i] for i in test]), fold
    sizes = [(len(p.test), len(p.train) + len(p.dev)) for p in found.parts]
    return scores, folds, bounds.width_factor(len(sizes), *np.mean(sizes, axis=0))


def study(by: dict[str, list[str]], seed: int, anywhere: bool) -> dict[str, Array] | None:
    """Return what broke of (own too low, own too high, upper bound, lower bound), by way."""
    rows, others, left = drawn(by, np.random.default_rng(seed))
    rival, built = fitted(others), fitted(rows)
    score = float(right(built, left).mean())
    gap = score - float(right(rival, left).mean())
    if not anywhere and not 0 <= gap <= GAP:
        return None
    found = {}
    for way, chooses in (("40 rows", True), ("80 rows", False)):
        scores, folds, factor = crossed(rows, seed, chooses)
        wide: dict[str, Any] = {"factor": factor, "folds": Folds(folds)}
        _, low, high = bounds.mean_interval(scores, bounds.CHOSEN_ARM_LEVEL, **wide)
        pair = bounds.paired(scores - right(rival, rows), bounds.level(0.05), **wide)
        broke = [high < score, low > score, pair.high < gap, pair.low > gap]
        found[way] = np.array(broke, float)
    return found


def main(files: list[str], studies: int, anywhere: bool) -> None:
    by: dict[str, list[str]] = defaultdict(list)
    for file in files:
        for line in Path(file).read_text("utf-8").splitlines():
            row = json.loads(line)
            by[row["output"]].append(row["input"])
    found, seed = [], 0
    while len(found) < studies:
        seed += 1
        if (one := study(by, seed, anywhere)) is not None:
            found.append(one)
    print(f"{studies} studies; own too low, own too high, upper bound broken, lower bound broken")
    for way in found[0]:
        print(way, np.mean([one[way] for one in found], axis=0).round(3).tolist())


if __name__ == "__main__":
    given = sys.argv[1:]
    many = next((int(one) for one in given if one.isdigit()), 150)
    paths = [one for one in given if not one.isdigit() and one != "any"]
    main(paths, many, "any" in given)
