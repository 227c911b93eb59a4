"""Test whether a log's inputs drifted from the study's rows, and find those unlike any row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tuneworthy.core.interval import Interval
from tuneworthy.core.live_check import InputDrift, UnlikeInputs
from tuneworthy.matrix.design import Design
from tuneworthy.matrix.two_samples import folds_of, separation, unlike_any
from tuneworthy.watch.live_answers import share_of
from tuneworthy.watch.text_classifier import Array, nearest_similarity, similarities, smoothers

LEAST_INPUTS = 20  # and groups, on each side; of fewer only a very large drift could be shown
MOST_INPUTS = 1_000  # of each side that are compared, drawn at random
CLASSIFIER_FOLDS = 5
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
class InputComparison:
    """The drift of inputs, and those unlike any row; None if too few, and `because` says so."""

    drift: InputDrift | None
    unlike: UnlikeInputs | None
    because: str = ""


def compare_inputs(
    study: GroupedInputs, log: GroupedInputs, level: float, show: bool = False
) -> InputComparison:
    """Return whether the inputs drifted (at `level`), and which are unlike every row of the study.

    A group on both sides stays in one fold; its parts are separate units, which makes the test
    slower to find drift. `show`: return the texts of the examples.
    """
    study, log = study.sampled(0), log.sampled(1)
    few = min(len(study.texts), len(log.texts))
    if few < LEAST_INPUTS:
        return InputComparison(None, None, f"{few} inputs on one side: {LEAST_INPUTS} are needed")
    similar = similarities([*study.texts, *log.texts])
    both = Design(dict(enumerate([*study.groups, *log.groups])))
    groups = both.numbers(range(len(similar)))
    second = np.arange(len(similar)) >= len(study.texts)
    unlike = _find_unlike(similar, second, groups, log, show)
    units = np.unique(2 * groups + second, return_inverse=True)[1]
    sides = [len(np.unique(units[second == side])) for side in (False, True)]
    if min(sides) < LEAST_INPUTS:
        why = f"{min(sides)} groups on one side: {LEAST_INPUTS} are needed"
        return InputComparison(None, unlike, why)
    found = separation(smoothers(similar, folds_of(groups, CLASSIFIER_FOLDS, 0)), second, units)
    mean, low, high = found.informedness
    drift = InputDrift(
        n_then=len(study.texts), n_now=len(log.texts), units_then=sides[0], units_now=sides[1],
        auc=found.auc, p=found.p, level=level, moved=Interval(mean=mean, low=low, high=high),
    )  # fmt: skip
    return InputComparison(drift, unlike)


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
