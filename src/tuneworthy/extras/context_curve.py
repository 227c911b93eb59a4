"""Build curves of score over the number of in-context examples k, one per kind of example. Pure.

Knows no arm by name: an arm whose module sets CONTEXT is a point at the k of its recipe.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from tuneworthy.core.errors import TaskError
from tuneworthy.core.evidence import ArmResult, Evidence, Interval
from tuneworthy.core.plugins import load
from tuneworthy.core.record import Record
from tuneworthy.core.run import Run


class CurvePoint(Record):
    """One k: the arm measured there, its score and mean prompt tokens.

    `score` and `tokens` are None if not measured; `because` says why.
    """

    k: int
    arm: str
    score: Interval | None
    tokens: float | None
    because: str = ""


class ContextCurve(Record):
    """The points of one kind of example (few: fixed, nearest: by input), by increasing k."""

    kind: Literal["few", "nearest"]
    points: tuple[CurvePoint, ...]


def context_curves(runs: Sequence[Run], evidence: Evidence) -> tuple[ContextCurve, ...]:
    """Return a curve for each kind of example with a k above 0; each starts at k = 0.

    Intervals are those of the single arms (95 %). Whether one k beats another follows from their
    paired difference, not from overlapping intervals.
    """
    results = {arm.name: arm for arm in evidence.arms}
    points_by_kind: dict[str, dict[int, CurvePoint]] = {"zero": {}, "few": {}, "nearest": {}}
    for run in runs:
        if _is_curve_point(run) and run.recipe and run.spec.name in results:
            point = _curve_point(run.recipe.k, results[run.spec.name])
            points_by_kind.get(run.recipe.kind, {}).setdefault(point.k, point)
    bare = points_by_kind.pop("zero")
    return tuple(
        ContextCurve(kind=kind, points=tuple(p for _, p in sorted({**bare, **points}.items())))
        for kind, points in points_by_kind.items()
        if points
    )


def _is_curve_point(run: Run) -> bool:
    """Return whether a run is a point: a measured context arm that is not its own placebo."""
    if run.state != "measured" or run.spec.role != "candidate":
        return False
    try:
        module = load("arms", run.spec.arm)
    except TaskError:  # a study of another machine, with an arm of another package
        return False
    if not getattr(module, "CONTEXT", False):
        return False
    options = module.Options.model_validate(run.spec.options)
    return not hasattr(module, "placebo") or module.placebo(options) != options


def _curve_point(k: int, arm: ArmResult) -> CurvePoint:
    because = str(arm.because or "") if arm.score is None else arm.missing.get("tokens", "")
    tokens = arm.tokens.prompt if arm.tokens else None
    return CurvePoint(k=k, arm=arm.name, score=arm.score, tokens=tokens, because=because)
