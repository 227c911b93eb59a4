"""Simple versions of parts of a study: a tolerant metric, a search, a check of labels."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from math import log

from tests.planted._world import word_set
from tuneworthy.metrics._numbers import equal, numbers
from tuneworthy.records.case import Case

NEIGHBOURS, LEAST_AGREEING = 5, 4


def is_same_answer(kind: str, gold: str, said: str) -> bool:
    """Return whether two answers are equal up to case, space, punctuation and number format."""
    if kind == "json":
        try:
            return bool(
                _normalised_values(json.loads(gold)) == _normalised_values(json.loads(said))
            )
        except ValueError:
            return False
    if kind == "number":
        one, other = numbers(gold), numbers(said)
        return len(one) == len(other) == 1 and equal(one[0], other[0])
    return normalised(gold) == normalised(said)


def normalised(text: str) -> str:
    """Return a text's words in folded case, without punctuation, joined by single spaces."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(re.findall(r"[^\W_]+", folded))


def _normalised_values(value: object) -> object:
    if isinstance(value, dict):
        return {key: _normalised_values(own) for key, own in value.items()}
    return normalised(value) if isinstance(value, str) else value


class LikenessSearch:
    """Documents ranked by the inverse document frequency of the words shared with a question."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts
        self._words = [word_set(text) for text in texts]
        count = Counter(word for own in self._words for word in own)
        self._weight = {word: log(len(texts) / n) for word, n in count.items()}

    def top(self, question: str, k: int) -> list[str]:
        """Return the k documents that rank best for a question; ties keep their order."""
        asked = word_set(question)
        scores = [sum(self._weight[w] for w in own & asked) for own in self._words]
        order = sorted(range(len(scores)), key=lambda i: -scores[i])
        return [self.texts[i] for i in order[:k]]


def label_conflicts(cases: Sequence[Case], failed: Sequence[Case]) -> tuple[str, ...]:
    """Return the failed cases whose gold contradicts at least 4 of their 5 nearest cases.

    Nearness is the Jaccard similarity of words; the neighbours must agree on one other answer.
    """
    bags = [(word_set(case.input), case) for case in cases]
    conflicts = []
    for one in failed:
        own = word_set(one.input)
        near = sorted(
            (-len(own & bag) / len(own | bag), case.id, case.output)
            for bag, case in bags
            if case.id != one.id
        )[:NEIGHBOURS]
        said, most = Counter(gold for _, _, gold in near).most_common(1)[0]
        if most >= LEAST_AGREEING and said != one.output:
            conflicts.append(one.id)
    return tuple(conflicts)
