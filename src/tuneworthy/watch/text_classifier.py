"""Compute a text classifier as matrices: TF-IDF similarities and ridge regression, by fold.

Ridge regression on -1/1 labels ranks texts like logistic regression with an L2 penalty; as it is
linear in the labels, `stats.two_samples` can permute these without refits. Features are computed
without labels, so a permutation test stays valid.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tuneworthy.matrix.two_samples import Smoother

Array = np.ndarray[Any, Any]
READ_CHARACTERS = 2_000  # of each text; longer texts differ at their start too
RIDGE = 1.0  # from .1 to 3 as many planted shifts are found; a text's similarity to itself is 1


def similarities(texts: Sequence[str]) -> Array:
    """Return [texts, texts] TF-IDF cosines: the mean of those by words and by character n-grams."""
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
    """Return a Smoother for each fold: the matrix from the other folds' labels to its scores."""
    centred = similar - similar.mean(0) - similar.mean(1, keepdims=True) + similar.mean()
    made = []
    for fold in np.unique(folds):
        rows, others = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        inner = centred[np.ix_(others, others)] + ridge * np.eye(others.size)
        made.append(Smoother(rows, others, np.linalg.solve(inner, centred[np.ix_(others, rows)]).T))
    return made


def nearest_similarity(similar: Array, rows: Array, among: Array, groups: Array) -> Array:
    """Return each row's largest similarity to those of `among` that are not in its group."""
    block = similar[np.ix_(rows, among)].copy()
    block[groups[rows][:, None] == groups[among][None, :]] = 0.0
    return np.asarray(block.max(1))
