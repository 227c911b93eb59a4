"""Test whether a log's inputs drifted from the study's rows, by a text classifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tuneworthy.handover.live_answers import share_of
from tuneworthy.matrix.design import Design
from tuneworthy.matrix.two_samples import Smoother, folds_of, separation, unlike_any
from tuneworthy.records.interval import Interval
from tuneworthy.records.live_check import InputDrift, UnlikeInputs

LEAST_INPUTS = 20  # and groups, on each side; of fewer only a very large drift could be shown

MOST_INPUTS = 1_000  # of each side that are compared, drawn at random

_CLASSIFIER_FOLDS = 5

SHOWN_EXAMPLES = 5


@dataclass(frozen=True)
class GroupedInputs:
    """The inputs of the study or of the log, with the group (None: alone) and line of each."""

    texts: Sequence[str]
    groups: Sequence[str | None]
    lines: Sequence[int] = ()

    @property
    def design(self) -> Design:
        """Return how the inputs depend on each other, by position."""
        return Design(dict(enumerate(self.groups)))

    def sampled(self, seed: int) -> GroupedInputs:
        """Return a random sample of at most MOST_INPUTS of these inputs."""
        count = len(self.texts)
        if count <= MOST_INPUTS:
            return self
        kept = np.sort(np.random.default_rng(seed).choice(count, MOST_INPUTS, replace=False))
        lines = [self.lines[at] for at in kept] if self.lines else ()
        return GroupedInputs(
            [self.texts[at] for at in kept], [self.groups[at] for at in kept], lines
        )


@dataclass(frozen=True)
class _InputComparison:
    """The drift of inputs, and those unlike any row; None if too few, and `because` says so."""

    drift: InputDrift | None
    unlike: UnlikeInputs | None
    because: str = ""


def compare_inputs(
    study: GroupedInputs, log: GroupedInputs, level: float, show: bool = False
) -> _InputComparison:
    """Return whether the inputs drifted (test at `level`), and those unlike any row of the study.

    A group on both sides stays in one fold; its parts are separate units, which makes the test
    slower to find drift. `show`: return the texts of the examples.
    """
    study, log = study.sampled(0), log.sampled(1)
    few = min(len(study.texts), len(log.texts))
    if few < LEAST_INPUTS:
        return _InputComparison(None, None, f"{few} inputs on one side: {LEAST_INPUTS} are needed")
    similar = similarities([*study.texts, *log.texts])
    both = Design(dict(enumerate([*study.groups, *log.groups])))
    groups = both.numbers(range(len(similar)))
    second = np.arange(len(similar)) >= len(study.texts)
    unlike = _find_unlike(similar, second, groups, log, show)
    units = np.unique(2 * groups + second, return_inverse=True)[1]
    sides = [len(np.unique(units[second == side])) for side in (False, True)]
    if min(sides) < LEAST_INPUTS:
        why = f"{min(sides)} groups on one side: {LEAST_INPUTS} are needed"
        return _InputComparison(None, unlike, why)
    found = separation(smoothers(similar, folds_of(groups, _CLASSIFIER_FOLDS, 0)), second, units)
    mean, low, high = found.informedness
    drift = InputDrift(
        n_then=len(study.texts), n_now=len(log.texts), units_then=sides[0], units_now=sides[1],
        auc=found.auc, p=found.p, level=level, moved=Interval(mean=mean, low=low, high=high),
    )  # fmt: skip
    return _InputComparison(drift, unlike)


def _find_unlike(
    similar: Array, second: Array, groups: Array, log: GroupedInputs, show: bool
) -> UnlikeInputs:
    own, new = np.flatnonzero(~second), np.flatnonzero(second)
    apart = np.where(second, -1 - np.arange(len(similar)), groups)  # a log row may match its group
    near = nearest_similarity(similar, new, own, apart)
    mask, expected = unlike_any(nearest_similarity(similar, own, own, groups), near)
    least = [at for at in np.argsort(near, kind="stable") if mask[at]][:SHOWN_EXAMPLES]
    return UnlikeInputs(
        share=share_of(dict(enumerate(mask.tolist())), log.design, 0.025),
        expected=expected,
        lines=tuple(log.lines[at] for at in least),
        texts=tuple(log.texts[at] for at in least) if show else (),
    )


Array = np.ndarray[Any, Any]

_READ_CHARACTERS = 2_000  # of each text; longer texts differ at their start too

RIDGE = 1.0  # from .1 to 3 as many planted shifts are found; a text's similarity to itself is 1


def similarities(texts: Sequence[str]) -> Array:
    """Return [texts, texts] TF-IDF cosines: the mean of those by words and by character n-grams."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from threadpoolctl import threadpool_limits

    cut = [text[:_READ_CHARACTERS] for text in texts]
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
