"""A linear classifier of texts as matrices: TF-IDF similarities and ridge regression, fold by fold.

Ridge regression on -1/1 labels has the same form as logistic regression with an L2 penalty, and
ranks texts alike; being linear in the labels it lets `stats.two_samples` permute them without
refits. Features are counted without labels, so they take nothing from the null.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tuneworthy.stats.two_samples import Smoother

Array = np.ndarray[Any, Any]
READ_CHARACTERS = 2_000  # of each text; longer ones differ at their start too
RIDGE = 1.0  # a text's similarity to itself is 1; from .1 to 3 as many planted shifts are found


def similarities(texts: Sequence[str]) -> Array:
    """Return the matrix of TF-IDF cosine similarities: half by words, half by character n-grams."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from threadpoolctl import threadpool_limits

    cut = [text[:READ_CHARACTERS] for text in texts]
    words = {"ngram_range": (1, 2), "sublinear_tf": True, "token_pattern": r"(?u)\b\w+\b"}
    chars = {"analyzer": "char_wb", "ngram_range": (2, 4), "sublinear_tf": True}
    total = np.zeros((len(cut), len(cut)))
    with threadpool_limits(limits=1):
        for options in (words, chars):
            try:
                rows = TfidfVectorizer(dtype=np.float32, **options).fit_transform(cut)
            except ValueError:  # no text has a word
                continue
            total += (rows @ rows.T).toarray() / 2
    return total


def smoothers(similar: Array, folds: Array, ridge: float = RIDGE) -> list[Smoother]:
    """Return the cross-fitted classifier of centred features as one matrix a fold."""
    centred = similar - similar.mean(0) - similar.mean(1, keepdims=True) + similar.mean()
    made = []
    for fold in np.unique(folds):
        rows, others = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        inner = centred[np.ix_(others, others)] + ridge * np.eye(others.size)
        made.append(Smoother(rows, others, np.linalg.solve(inner, centred[np.ix_(others, rows)]).T))
    return made


def nearest(similar: Array, rows: Array, among: Array, groups: Array) -> Array:
    """Return each row's similarity to the nearest of `among` that is not of its own group."""
    block = similar[np.ix_(rows, among)].copy()
    block[groups[rows][:, None] == groups[among][None, :]] = 0.0
    return np.asarray(block.max(1))
