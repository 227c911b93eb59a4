"""Measure how well a cross-fitted classifier on characters tells two sets of texts apart."""

from __future__ import annotations

import math
import random
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tuneworthy.metrics._scorer import auroc

LEAST_PAIRS, FOLDS, LONGEST_GRAM = 10, 5, 4
PENALTY = 10.0  # C (inverse regularisation) of the regression
_READ_CHARACTERS = 4000  # of each text: a style shows early, and this bounds the time


class Separation(NamedTuple):
    """P(a text is an arm's answer) for each answer and each right answer, and the AUC of it."""

    answers: tuple[float, ...]
    golds: tuple[float, ...]
    auc: float


def separate(answers: Sequence[str], golds: Sequence[str]) -> Separation:
    """Return each text's chance to be an arm's answer, and the AUC, by a cross-fitted classifier.

    Text i of both sets is in fold i modulo 5 and is classified by a model fitted on the other
    folds. The AUC is .5 without a signal. Raises ValueError for fewer than ten pairs.
    """
    if len(answers) < LEAST_PAIRS or len(answers) != len(golds):
        raise ValueError(
            f"{len(answers)} and {len(golds)} texts: at least {LEAST_PAIRS} pairs are needed"
        )
    n = len(answers)
    texts = np.array([_start(text) for text in (*answers, *golds)], dtype=object)
    arm, part = np.repeat([1, 0], n), np.tile(np.arange(n) % FOLDS, 2)
    shares = np.empty(2 * n)
    for number in range(FOLDS):
        out = part == number
        shares[out] = _fit_classifier(texts[~out], arm[~out]).predict_proba(texts[out])[:, 1]
    auc = auroc(shares, arm)
    return Separation(
        tuple(shares[:n].tolist()), tuple(shares[n:].tolist()), 0.5 if auc is None else auc
    )


def _start(text: str) -> str:
    """Return the first 4,000 characters of a text, in Unicode NFC, which is all that is read."""
    return unicodedata.normalize("NFC", text)[:_READ_CHARACTERS]


def _fit_classifier(texts: Any, arm: Any) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    grams = TfidfVectorizer(
        analyzer="char", ngram_range=(1, LONGEST_GRAM), lowercase=False, sublinear_tf=True, min_df=2
    )
    return make_pipeline(grams, LogisticRegression(C=PENALTY, max_iter=1000)).fit(texts, arm)


def separate_halves(golds: Sequence[str], seed: int = 0) -> Separation | None:
    """Return the separation of two random halves of the right answers, a control; None below 20."""
    order = random.Random(seed).sample(list(golds), len(golds))
    half = len(order) // 2
    return separate(order[:half], order[half : 2 * half]) if half >= LEAST_PAIRS else None


def cosine(one: str, other: str) -> float:
    """Return the cosine similarity (0 to 1) of two texts' character 1- to 4-gram counts."""
    a, b = _gram_counts(one), _gram_counts(other)
    if a == b:
        return 1.0
    dot = sum(count * b[gram] for gram, count in a.items() if gram in b)
    size = math.sqrt(sum(c * c for c in a.values()) * sum(c * c for c in b.values()))
    return min(1.0, dot / size) if size else 0.0


def _gram_counts(text: str) -> Counter[str]:
    text = _start(text.strip())
    return Counter(
        text[at : at + size]
        for size in range(1, LONGEST_GRAM + 1)
        for at in range(len(text) - size + 1)
    )
