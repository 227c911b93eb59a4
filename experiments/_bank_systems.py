"""Eight classifiers' answers to rows that none learnt from, and what may foretell who is right."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


class Population:
    """What is known of each row: who is right, what each answers, how sure it is, its length."""

    def __init__(self, folder: Path) -> None:
        rows = [json.loads(line) for part in ("train", "test")
                for line in (folder / f"{part}.jsonl").open(encoding="utf-8")]  # fmt: skip
        order = np.random.default_rng(3).permutation(len(rows))
        texts, gold = (np.array([rows[i][key] for i in order]) for key in ("input", "output"))
        self.dev, self.rows = slice(0, 300), slice(300, None)
        self.length = np.log([1 + len(text.split()) for text in texts[700:]])
        self.gold, self.right, self.says, self.sure = gold[700:], [], [], []
        for model in _systems():
            chance = model.fit(texts[:700], gold[:700]).predict_proba(texts[700:])
            self.says.append(model.classes_[chance.argmax(1)])
            self.right.append(self.says[-1] == self.gold)
            self.sure.append(chance.max(1))

    def pair(self, b: int, s: int) -> tuple[Array, Array]:
        """Return the differences of two arms by row, and what may foretell them."""
        apart = (self.says[b] != self.says[s]).astype(float)
        sure = [apart * (one - one.mean()) for one in (self.sure[b], self.sure[s])]
        diff = self.right[b].astype(float) - self.right[s]
        return diff, np.stack([apart, *sure, self.sure[s], self.length], 1)


def _systems() -> Iterator[Any]:
    from sklearn.decomposition import TruncatedSVD
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.naive_bayes import ComplementNB, MultinomialNB
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline

    def logistic(strength: float) -> Any:
        return LogisticRegression(C=strength, max_iter=300)

    heads = [
        logistic(10),
        logistic(1),
        MultinomialNB(alpha=0.1),
        ComplementNB(),
        RandomForestClassifier(150, random_state=0),
        KNeighborsClassifier(5, metric="cosine", weights="distance"),
    ]
    for head in heads:
        yield make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), head)
    yield make_pipeline(TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4)), logistic(10))
    yield make_pipeline(TfidfVectorizer(), TruncatedSVD(100, random_state=0), logistic(10))
