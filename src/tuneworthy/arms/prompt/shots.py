"""Choose the training cases shown as examples in a prompt, and their answers. Knows no model."""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any

from tuneworthy.records.case import Case, Query

_REPEAT_FACTOR = 0.25  # on a feature's weight, each time it is covered again
_COMPARED_CHARACTERS = 2000  # of an input; the rest is not compared

_MOST_NEIGHBOURS, _MOST_CACHED_TEXTS = 32, 4000  # cached for a text, texts in the cache

_BATCH_TEXTS = 256  # inputs whose neighbours are found at once
_CACHED_POOLS = 8  # cached pools: the folds of a study, used by every arm with examples


def why_unusable(case: Case) -> str | None:
    """Return why a case can't be an example in a prompt; None if it can.

    Its turns, system turns aside, must alternate between user and assistant, the user first and
    last.
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


def fixed_examples(train: Sequence[Case], k: int, seed: int) -> tuple[str, ...]:
    """Return the ids of k varied training cases, the examples that all inputs share.

    Greedy cover: each next case adds features that the earlier ones lack (labels, the values of
    label-like fields, the keys present), with a preference for frequent features and short cases.
    Independent of the order of `train`. Returns fewer than k if fewer can be examples.
    """
    pool = sorted((case for case in train if why_unusable(case) is None), key=lambda case: case.id)
    if not pool or k < 1:
        return ()
    table = _answer_features([case.output for case in pool])
    common = Counter(feature for row_features in table for feature in row_features)
    usual = median(map(_character_count, pool)) or 1
    length_penalty = [max(_character_count(case) / usual, 1.0) ** 0.5 for case in pool]
    jitter = [0.9 + 0.2 * _hash_fraction(seed, case.id) for case in pool]
    covered: Counter[_Feature] = Counter()
    left, chosen = list(range(len(pool))), list[str]()
    while left and len(chosen) < k:
        gain = {
            at: sum(
                _REPEAT_FACTOR ** covered[f] * _feature_weight(f, common[f] / len(pool))
                for f in table[at]
            )
            for at in left
        }
        best = max(left, key=lambda at: (gain[at] + 0.01) * jitter[at] / length_penalty[at])
        left.remove(best)
        covered.update(table[best])
        chosen.append(pool[best].id)
    return tuple(sorted(chosen, key=lambda name: _hash_fraction(seed, name)))


def random_examples(train: Sequence[Case], k: int, seed: str) -> tuple[str, ...]:
    """Return the ids of k training cases drawn at random, independent of the order of `train`."""
    pool = sorted(case.id for case in train if why_unusable(case) is None)
    return tuple(random.Random(seed).sample(pool, min(k, len(pool))))


def example_sets(train: Sequence[Case], k: int, draws: int, seed: int) -> list[tuple[str, ...]]:
    """Return sets of ids of k training cases: a varied one, then random ones."""
    drawn = (random_examples(train, k, f"{seed}.{n}") for n in range(1, draws))
    return [tuple(fixed_examples(train, k, seed)), *drawn]


class Nearest:
    """Search for the training cases most similar to an input.

    Similarity: cosine of TF-IDF over words and character n-grams.
    """

    def __init__(self, train: Sequence[Case]) -> None:
        """Index the inputs of the usable cases, independent of their order."""
        self._cases = sorted(
            (c for c in train if why_unusable(c) is None), key=lambda case: case.id
        )
        self._vectorizer: Any = None
        self._known: dict[str, list[int]] = {}
        if self._cases:
            self._fit([case.input[:_COMPARED_CHARACTERS] for case in self._cases])

    def ids(self, query: Query, k: int) -> tuple[str, ...]:
        """Return the ids of the k nearest cases, the nearest last, without the query's own."""
        ranked = self._nearest_indices(query.input[:_COMPARED_CHARACTERS], k + 1)
        best = [at for at in ranked if self._cases[at].id != query.id][: max(k, 0)]
        return tuple(self._cases[at].id for at in reversed(best))

    def rank(self, queries: Sequence[Query], k: int) -> None:
        """Find and cache the neighbours of many inputs in batches, for later calls of `ids`."""
        texts = dict.fromkeys(query.input[:_COMPARED_CHARACTERS] for query in queries)
        unranked = [text for text in texts if self._too_few(text, k + 1)]
        for start in range(0, len(unranked), _BATCH_TEXTS):
            self._rank_texts(unranked[start : start + _BATCH_TEXTS], k + 1)

    def _nearest_indices(self, text: str, most: int) -> list[int]:
        """Return the indices of at least `most` nearest cases, the nearest first."""
        if self._too_few(text, most):
            self._rank_texts([text], most)
        return self._known[text]

    def _too_few(self, text: str, most: int) -> bool:
        return text not in self._known or len(self._known[text]) < min(most, len(self._cases))

    def _rank_texts(self, texts: Sequence[str], most: int) -> None:
        for text, likeness in zip(texts, self._similarities(texts), strict=True):
            order = sorted(range(len(self._cases)), key=lambda at: (-likeness[at], at))
            while len(self._known) >= _MOST_CACHED_TEXTS:
                del self._known[next(iter(self._known))]
            self._known[text] = order[: max(most, _MOST_NEIGHBOURS)]

    def _fit(self, texts: list[str]) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.pipeline import FeatureUnion

        words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+")
        chars = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True)
        parts = [("words", words), ("chars", chars)]
        for name, part in parts:
            try:
                part.fit(texts)
            except ValueError:  # no input has a word
                parts = [other for other in parts if other[0] != name]
        if parts:
            self._vectorizer = FeatureUnion(parts)
            self._matrix = self._vectorizer.transform(texts)

    def _similarities(self, texts: Sequence[str]) -> list[list[float]]:
        """Return each text's cosine with each case, rounded so that ties are equal everywhere."""
        if self._vectorizer is None:
            return [[0.0] * len(self._cases) for _ in texts]
        cosines = (self._matrix @ self._vectorizer.transform(texts).T).toarray().T
        return [[round(value, 9) for value in row] for row in cosines.tolist()]


def shuffled_answers(answers: Sequence[str], seed: int) -> tuple[str, ...]:
    """Return the answers shuffled so that as few positions as possible keep an equal answer.

    It is the placebo of examples: the same texts without the link from input to answer.
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
    """The training cases of one fold by id, with a lazily built index of neighbours."""

    def __init__(self, train: Sequence[Case]) -> None:
        """Store the cases by id."""
        self.train, self.size = train, len(train)
        self.by_id = {case.id: case for case in train}
        self._nearest: Nearest | None = None
        self._exchanged_answers: dict[int, dict[str, str]] = {}

    @property
    def nearest(self) -> Nearest:
        """Return the search index of the training cases, built once."""
        self._nearest = self._nearest or Nearest(self.train)
        return self._nearest

    def exchanged_answers(self, seed: int) -> dict[str, str]:
        """Return {case id: another case's answer} of the pool, the answers shuffled by the seed."""
        if seed not in self._exchanged_answers:
            names = sorted(self.by_id)
            answers = shuffled_answers([self.by_id[name].output for name in names], seed)
            self._exchanged_answers[seed] = dict(zip(names, answers, strict=True))
        return self._exchanged_answers[seed]


_pool_cache: list[Pool] = []


def pool(train: Sequence[Case]) -> Pool:
    """Return the pool of these training cases; the last few pools are cached."""
    for cached in _pool_cache:
        if cached.size == len(train) and (cached.train is train or _same_cases(cached, train)):
            cached.train = train  # the next lookup compares only the list itself
            return cached
    _pool_cache.insert(0, Pool(train))
    del _pool_cache[_CACHED_POOLS:]
    return _pool_cache[0]


def _same_cases(pool_: Pool, train: Sequence[Case]) -> bool:
    return all(mine is other for mine, other in zip(pool_.train, train, strict=True))


def _character_count(case: Case) -> int:
    return len(case.output) + sum(len(message.content) for message in case.messages)


def _hash_fraction(seed: int, name: str) -> float:
    """Return a number in [0, 1) that depends only on the seed and the id."""
    text = f"{seed}:{name}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(text).digest()[:6], "big") / 2**48


_Feature = tuple[str, str, str]

_MOST_LABEL_LIKE_VALUES = 20
_MOST_LABEL_CHARACTERS = 80
_SIZE_CLASSES = 3


def _answer_features(outputs: Sequence[str]) -> list[frozenset[_Feature]]:
    """Return a set of features for each answer: of its JSON, its label, or its length."""
    parsed = [_parse_or_none(text) for text in outputs]
    if all(isinstance(value, dict | list) for value in parsed):
        return _json_features(parsed)
    folded = [text.strip().casefold() for text in outputs]
    if len(set(folded)) * 2 <= len(folded) and max(map(len, folded)) <= _MOST_LABEL_CHARACTERS:
        return [frozenset({("value", "", text)}) for text in folded]
    ranked = sorted(map(len, outputs))
    return [
        frozenset({("value", "size", str(ranked.index(len(text)) * _SIZE_CLASSES // len(ranked)))})
        for text in outputs
    ]


def _feature_weight(feature: _Feature, share: float) -> float:
    """Return how much an example that covers a feature is worth; `share` of answers have it."""
    return 1 + share if feature[0] == "value" else 0.6 * share**0.5


def _json_features(values: Sequence[Any]) -> list[frozenset[_Feature]]:
    table = [list(_json_leaves(value, "")) for value in values]
    values_of: dict[str, set[str]] = defaultdict(set)
    rows: dict[str, int] = defaultdict(int)
    for leaves in table:
        for path in {path for path, _ in leaves}:
            rows[path] += 1
        for path, value in leaves:
            values_of[path].add(value)
    limit = min(_MOST_LABEL_LIKE_VALUES, len(values) // 2)
    like_labels = {
        path
        for path in values_of
        if 1 < len(values_of[path]) <= limit and rows[path] * 2 >= len(values)
    }
    return [
        frozenset(
            {("key", path, "") for path, _ in leaves}
            | {("value", path, value) for path, value in leaves if path in like_labels}
        )
        for leaves in table
    ]


def _json_leaves(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _json_leaves(inner, f"{path}.{key}")
    elif isinstance(value, list) and value:
        for inner in value:
            yield from _json_leaves(inner, f"{path}[]")
    else:
        yield path, json.dumps(value)


def _parse_or_none(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
