"""Cheap systems whose answers a benchmark compares: classifiers, and taggers that fill JSON."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

Rows = Sequence[dict[str, Any]]


def labels(learn: Rows, asked: Rows) -> dict[str, list[str]]:
    """Return labels of word classifiers and of sentence vectors, by system."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier

    from tuneworthy.arms import _classified
    from tuneworthy.arms import _classified as _vector_head
    from tuneworthy.models.encoder import vectors as _vectors

    texts, gold = [row["input"] for row in learn], [row["output"] for row in learn]
    new, found = [row["input"] for row in asked], dict[str, list[str]]()
    for name, strength in (("words", 10.0), ("words, regular", 0.3)):
        model = _classified.tfidf_pipeline(strength, 0, len(texts)).fit(texts, gold)
        found[name] = [str(label) for label in model.predict(new)]
    known, other = _vectors.encode(texts), _vectors.encode(new)
    heads: dict[str, Any] = {
        "vectors": _vector_head.vector_head(10.0, 0),
        "vectors, regular": LogisticRegression(C=1.0, max_iter=2000),
        "nearest": KNeighborsClassifier(5, metric="cosine", weights="distance"),
    }
    for name, head in heads.items():
        found[name] = [str(label) for label in head.fit(known, gold).predict(other)]
    return found


labels.PAIRS = (  # type: ignore[attr-defined]
    ("words", "words, regular"), ("words", "vectors"), ("nearest", "vectors"),
    ("vectors, regular", "vectors"), ("words", "nearest"),
)  # fmt: skip


def records(learn: Rows, asked: Rows) -> dict[str, list[str]]:
    """Return JSON with intent and slots by lexicon and by word taggers, by system."""
    intents = _intents(learn, asked)
    found = {"lexicon": _lexicon(learn, asked, intents)}
    for name, window, strength in (("tagger", 1, 3.0), ("wide tagger", 2, 3.0),
                                   ("stiff tagger", 1, 0.5)):  # fmt: skip
        found[name] = _tagged(learn, asked, intents, window, strength)
    return found


records.PAIRS = (  # type: ignore[attr-defined]
    ("lexicon", "tagger"), ("tagger", "wide tagger"), ("stiff tagger", "tagger"),
)  # fmt: skip


def _intents(learn: Rows, asked: Rows) -> list[str]:
    from tuneworthy.arms import _classified

    texts, gold = [row["input"] for row in learn], [row["output"]["intent"] for row in learn]
    model = _classified.tfidf_pipeline(10.0, 0, len(texts)).fit(texts, gold)
    return [str(label) for label in model.predict([row["input"] for row in asked])]


def _lexicon(learn: Rows, asked: Rows, intents: Sequence[str]) -> list[str]:
    """Fill slots with the values of the training rows that stand in the text, longest first."""
    seen: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    for row in learn:
        for slot, value in _values(row):
            seen[row["output"]["intent"]][slot, value.lower()] += 1
    out = []
    for row, intent in zip(asked, intents, strict=True):
        text, slots = row["input"], dict[str, str]()
        for slot, value in sorted(seen[intent], key=lambda pair: -len(pair[1])):
            if (at := text.lower().find(value)) >= 0 and slot not in slots:
                slots[slot] = text[at : at + len(value)]
        out.append(json.dumps({"intent": intent, "slots": slots}))
    return out


def _tagged(
    learn: Rows, asked: Rows, intents: Sequence[str], window: int, strength: float
) -> list[str]:
    """Tag each word with its slot by logistic regression on the words around it."""
    from sklearn.feature_extraction import DictVectorizer
    from sklearn.linear_model import LogisticRegression

    features: list[dict[str, Any]] = []
    tags: list[str] = []
    for row in learn:
        words = row["input"].split()
        features += [
            _around(words, at, row["output"]["intent"], window) for at in range(len(words))
        ]
        tags += _tags(words, _values(row))
    vectors = DictVectorizer()
    model = LogisticRegression(C=strength, max_iter=300).fit(vectors.fit_transform(features), tags)
    out = []
    for row, intent in zip(asked, intents, strict=True):
        words, slots = row["input"].split(), defaultdict[str, list[str]](list)
        own = [_around(words, at, intent, window) for at in range(len(words))]
        for word, tag in zip(words, model.predict(vectors.transform(own)), strict=True):
            if tag != "-":
                slots[str(tag)].append(word)
        filled = {slot: " ".join(part).rstrip(".,?!") for slot, part in slots.items()}
        out.append(json.dumps({"intent": intent, "slots": filled}))
    return out


def _values(row: dict[str, Any]) -> list[tuple[str, str]]:
    """Return (slot, value) of a row; a slot may hold several values."""
    pairs = row["output"]["slots"].items()
    return [
        (slot, one)
        for slot, value in pairs
        for one in ([value] if isinstance(value, str) else value)
    ]


def _tags(words: Sequence[str], slots: Sequence[tuple[str, str]]) -> list[str]:
    bare = [word.rstrip(".,?!").lower() for word in words]
    tags = np.full(len(words), "-", dtype=object)
    for slot, value in slots:
        part = [word.rstrip(".,?!").lower() for word in value.split()]
        for at in range(len(bare) - len(part) + 1):
            if bare[at : at + len(part)] == part:
                tags[at : at + len(part)] = slot
                break
    return [str(tag) for tag in tags]


def _around(words: Sequence[str], at: int, intent: str, window: int) -> dict[str, Any]:
    found: dict[str, Any] = {
        "intent": intent,
        "title": words[at][:1].isupper(),
        "end": words[at][-3:],
    }
    for step in range(-window, window + 1):
        there = at + step
        word = words[there].rstrip(".,?!").lower() if 0 <= there < len(words) else "<end>"
        found[f"{step}"] = word
        found[f"{step} {intent}"] = word
    return found
