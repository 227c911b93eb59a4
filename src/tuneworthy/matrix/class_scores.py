"""Scores that weigh every label alike, with bounds from whole groups drawn anew. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tuneworthy.matrix.columns import Column, shared_cases
from tuneworthy.matrix.design import Difference, Mean
from tuneworthy.matrix.inputs import ComparisonInputs
from tuneworthy.records.answer import Score
from tuneworthy.records.confidence import ClassScores
from tuneworthy.records.interval import ALPHA, Interval

_DRAWS = 1000
Array = np.ndarray


def class_scores(
    inputs: ComparisonInputs, columns: Mapping[str, Column], gold: Mapping[str, str]
) -> dict[str, ClassScores]:
    """Return {arm: balanced accuracy, macro F1, and how far it is behind the best one by F1}.

    All arms are scored on the cases that all of them answered, and drawn together: the difference
    of two arms is paired. Labels that no case has do not count. No interval is narrower than that
    of the plain share of right answers: draws of rows that are all right differ in nothing.
    {} for fewer than two labels.
    """
    ids = [i for i in shared_cases(list(columns.values())) if i in gold]
    names = sorted({gold[i] for i in ids})
    if len(names) < 2:
        return {}
    number = {name: at for at, name in enumerate(names)}
    right = np.array([number[gold[i]] for i in ids])
    draws = _draws(inputs.design.numbers(ids), inputs.task.seed)
    found = {}
    for arm, column in columns.items():
        said = np.array([number.get(_label_of(column, i), len(names)) for i in ids])
        rows = [np.arange(len(ids)), *draws]
        found[arm] = np.array([_scores(right[at], said[at], len(names)) for at in rows])
    best = max(found, key=lambda arm: (found[arm][0, 1], arm))
    hits = {arm: {i: float(_label_of(one, i) == gold[i]) for i in ids}
            for arm, one in columns.items()}  # fmt: skip
    out = {}
    for arm, table in found.items():
        plain = inputs.design.mean(hits[arm], ALPHA)
        apart = {i: hits[arm][i] - hits[best][i] for i in ids}
        behind = table[:, 1] - found[best][:, 1]
        out[arm] = ClassScores(
            balanced_accuracy=_interval(table[:, 0], plain),
            macro_f1=_interval(table[:, 1], plain),
            behind=None if arm == best else _interval(behind, inputs.design.difference(apart)),
            best=best,
        )
    return out


def _label_of(column: Column, case: str) -> str:
    answer, score = column.cells[case]
    named = score.extracted if isinstance(score, Score) else None
    return (named or answer.text).strip()


def _draws(groups: Array, seed: int) -> list[Array]:
    """Return the rows of each draw: as many groups as there are, with replacement."""
    rng, count = np.random.default_rng(seed), int(groups.max()) + 1
    rows = [np.flatnonzero(groups == group) for group in range(count)]
    return [
        np.concatenate([rows[at] for at in rng.integers(0, count, count)]) for _ in range(_DRAWS)
    ]


def _scores(right: Array, said: Array, labels: int) -> tuple[float, float]:
    """Return (balanced accuracy, macro F1) over the labels that occur among the right ones."""
    asked = np.bincount(right, minlength=labels)
    given = np.bincount(said, minlength=labels + 1)[:labels]
    hits = np.bincount(right[right == said], minlength=labels)
    present = asked > 0
    f1 = 2 * hits[present] / (asked + given)[present]
    return float((hits[present] / asked[present]).mean()), float(f1.mean())


def _interval(values: Array, plain: Mean | Difference) -> Interval:
    """Return the first value with the quantiles of the others, at least as wide as `plain`."""
    low, high = np.quantile(values[1:], [ALPHA / 2, 1 - ALPHA / 2])
    mean = float(values[0])
    ends = min(low, mean + plain.low - plain.mean), max(high, mean + plain.high - plain.mean)
    least = 0.0 if isinstance(plain, Mean) else -1.0
    return Interval.of((mean, max(least, ends[0]), min(1.0, ends[1])))
