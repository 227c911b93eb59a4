"""Which training cases stand in a prompt as examples, and with which answers. Knows no model."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Sequence
from statistics import median
from typing import Any

from tuneworthy.core.case import Case, Query
from tuneworthy.prompting._variety import Feature, features, weight

_AGAIN = 0.25  # what a feature is worth once more, of what it was worth before
_READ = 2000  # characters of an input that are compared
_NEAREST, _RANKED = 32, 4000  # neighbours kept of a text, and texts whose neighbours are kept
_KEPT = 8  # pools kept: the folds of a study, for every arm that takes examples from them


def refused(case: Case) -> str | None:
    """Return why a case can't be an example in a prompt, or None where it can.

    Its turns, system turns aside, must be user and assistant in turn, the user first and last.
    """
    roles = [message.role for message in case.messages if message.role != "system"]
    if "tool" in roles:
        return "it has tool turns, which an example can't replay"
    if not roles or roles[-1] != "user":
        return "its last turn is not the user's"
    if any(role != ("user", "assistant")[at % 2] for at, role in enumerate(roles)):
        return "its turns don't alternate between user and assistant"
    if not case.output.strip():
        return "its answer is empty"
    return None


def fixed(train: Sequence[Case], k: int, seed: int) -> tuple[str, ...]:
    """Return the ids of k varied training cases, the same for every input.

    Each next case covers what the earlier ones lack: labels, the values of fields that work like
    labels, the keys that are present; of equals the frequent and the short one. The order of
    `train` is nothing. Fewer than k come back where fewer can be examples.
    """
    pool = sorted((case for case in train if refused(case) is None), key=lambda case: case.id)
    if not pool or k < 1:
        return ()
    table = features([case.output for case in pool])
    common = Counter(feature for found in table for feature in found)
    usual = median(map(_length, pool)) or 1
    handicap = [max(_length(case) / usual, 1.0) ** 0.5 for case in pool]
    luck = [0.9 + 0.2 * _chance(seed, case.id) for case in pool]
    seen: Counter[Feature] = Counter()
    left, chosen = list(range(len(pool))), list[str]()
    while left and len(chosen) < k:
        gain = {
            at: sum(_AGAIN ** seen[f] * weight(f, common[f] / len(pool)) for f in table[at])
            for at in left
        }
        best = max(left, key=lambda at: (gain[at] + 0.01) * luck[at] / handicap[at])
        left.remove(best)
        seen.update(table[best])
        chosen.append(pool[best].id)
    return tuple(sorted(chosen, key=lambda name: _chance(seed, name)))


def drawn(train: Sequence[Case], k: int, seed: str) -> tuple[str, ...]:
    """Return the ids of k training cases drawn at random; the order of `train` is nothing."""
    pool = sorted(case.id for case in train if refused(case) is None)
    return tuple(random.Random(seed).sample(pool, min(k, len(pool))))


class Nearest:
    """The training cases most like an input: cosine of TF-IDF over words and character n-grams."""

    def __init__(self, train: Sequence[Case]) -> None:
        """Read the inputs of the cases that can be examples; their order is nothing."""
        self._cases = sorted((c for c in train if refused(c) is None), key=lambda case: case.id)
        self._vectorizer: Any = None
        self._known: dict[str, list[int]] = {}
        if self._cases:
            self._fit([case.input[:_READ] for case in self._cases])

    def ids(self, query: Query, k: int) -> tuple[str, ...]:
        """Return the ids of the k nearest cases, the nearest last, never the query's own."""
        ranked = self._ranked(query.input[:_READ], k + 1)
        best = [at for at in ranked if self._cases[at].id != query.id][: max(k, 0)]
        return tuple(self._cases[at].id for at in reversed(best))

    def _ranked(self, text: str, most: int) -> list[int]:
        """Return the places of the nearest cases; several arms of a fold ask for the same text."""
        if text not in self._known or len(self._known[text]) < min(most, len(self._cases)):
            likeness = self._likeness(text)
            order = sorted(range(len(self._cases)), key=lambda at: (-likeness[at], at))
            while len(self._known) >= _RANKED:
                del self._known[next(iter(self._known))]
            self._known[text] = order[: max(most, _NEAREST)]
        return self._known[text]

    def _fit(self, texts: list[str]) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.pipeline import FeatureUnion

        words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+")
        chars = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True)
        parts = [("words", words), ("chars", chars)]
        for name, part in parts:
            try:
                part.fit(texts)
            except ValueError:  # no word, or nothing but space, in any input
                parts = [other for other in parts if other[0] != name]
        if parts:
            self._vectorizer = FeatureUnion(parts)
            self._matrix = self._vectorizer.transform(texts)

    def _likeness(self, text: str) -> list[float]:
        if self._vectorizer is None:
            return [0.0] * len(self._cases)
        found = (self._matrix @ self._vectorizer.transform([text]).T).toarray().ravel()
        return [round(float(value), 9) for value in found]  # ties go by id on every machine


def dealt(answers: Sequence[str], seed: int) -> tuple[str, ...]:
    """Return the same answers dealt out anew, so that as few as possible keep their place.

    It is the placebo of examples: all the same texts, with the link from input to answer cut.
    """
    order = list(range(len(answers)))
    random.Random(seed).shuffle(order)
    for at in range(len(order)):
        if answers[order[at]] != answers[at]:
            continue
        for other in range(len(order)):
            mine, theirs = answers[order[at]], answers[order[other]]
            if theirs != answers[at] and mine != answers[other]:
                order[at], order[other] = order[other], order[at]
                break
    return tuple(answers[at] for at in order)


class Pool:
    """The training cases of one fold by id, with their index of neighbours once it is asked for."""

    def __init__(self, train: Sequence[Case]) -> None:
        """Keep the cases by id."""
        self.train, self.size = train, len(train)
        self.by_id = {case.id: case for case in train}
        self._nearest: Nearest | None = None
        self._dealt: dict[int, dict[str, str]] = {}

    @property
    def nearest(self) -> Nearest:
        """Return the index, built once."""
        self._nearest = self._nearest or Nearest(self.train)
        return self._nearest

    def dealt(self, seed: int) -> dict[str, str]:
        """Return {case id: another case's answer} over the whole pool."""
        if seed not in self._dealt:
            names = sorted(self.by_id)
            answers = dealt([self.by_id[name].output for name in names], seed)
            self._dealt[seed] = dict(zip(names, answers, strict=True))
        return self._dealt[seed]


_POOLS: list[Pool] = []


def pool(train: Sequence[Case]) -> Pool:
    """Return the pool of these training cases; the last few are kept, found by their very cases."""
    for known in _POOLS:
        if known.size == len(train) and (known.train is train or _all_in(known, train)):
            known.train = train  # the next query finds it at a glance
            return known
    _POOLS.insert(0, Pool(train))
    del _POOLS[_KEPT:]
    return _POOLS[0]


def _all_in(known: Pool, train: Sequence[Case]) -> bool:
    return all(one is other for one, other in zip(known.train, train, strict=True))


def _length(case: Case) -> int:
    return len(case.output) + sum(len(message.content) for message in case.messages)


def _chance(seed: int, name: str) -> float:
    """Return a number in [0, 1) that depends on the seed and the id alone."""
    text = f"{seed}:{name}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(text).digest()[:6], "big") / 2**48
