"""Bound the difference of one arm in two studies, in which it was fitted anew. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from math import hypot

from tuneworthy.core.results import Results
from tuneworthy.core.split import Part, Split
from tuneworthy.matrix.columns import by_spec, column
from tuneworthy.matrix.design import Design, Difference, Fit, Values


def fitted_arms(results: Results) -> dict[str, Fit]:
    """Return how each candidate of a study that learns from rows learnt, by name."""
    found: dict[str, Fit] = {}
    for name, runs in by_spec(results.runs).items():
        arm = column([run for run in runs if run.state == "measured"])
        if arm is not None and arm.spec.role == "candidate":
            fold = {answer.case: run.fold or 0 for run in arm.runs for answer in run.answers}
            fit = replace(arm, fold=fold).fit(results.split or _equal_folds(fold))
            found |= {name: fit} if fit else {}
    return found


def _equal_folds(fold: Mapping[str, int]) -> Split:
    """Return the split of results of 0.1.0, which hold none: each fold learns from the others."""
    names = range(max(fold.values()) + 1)
    parts = [
        Part(
            train=tuple(i for i, at in fold.items() if at != name),
            dev=(),
            test=tuple(i for i, at in fold.items() if at == name),
        )
        for name in names
    ]
    return Split(k=len(parts), parts=tuple(parts))


def refitted_difference(
    design: Design, values: Values, tail: float, fits: Iterable[Fit | None]
) -> tuple[Difference, float]:
    """Return the mean difference with bounds at `tail` on each side, and its width factor.

    `fits` are those of the arm in either study. Their folds may differ between the studies, so the
    bound is the wider one of both. Both trainings vary: their variances add up.
    """
    known = [fit for fit in fits if fit is not None]
    both = hypot(*(fit.retrained for fit in known))
    widest, factor = design.difference(values, tail), 1.0
    for fit in known:
        own, folds = fit.width([*values])
        if folds is not None:
            found = design.difference(values, tail, replace(fit, retrained=both))
            low, high = min(widest.low, found.low), max(widest.high, found.high)
            widest, factor = widest._replace(low=low, high=high), max(factor, own)
    return widest, factor
