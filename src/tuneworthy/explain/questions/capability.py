"""Can any model do this task at all: does a larger one, a vote or training lift the base?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from tuneworthy.explain.questions._findings import (
    finalists,
    finding,
    pair_of,
    rows_needed_clause,
    ticked,
    unmeasured,
)
from tuneworthy.records.counting import points, points_with_bounds
from tuneworthy.records.evidence import Evidence
from tuneworthy.records.task import TRAINED_TOOLS, Task
from tuneworthy.records.verdict import Finding

QUESTION = "Is there a model that can do it: a larger one, several samples, training?"
PRIOR = None
UNIT = "points"
_LIFTING_REMEDIES = ("latent", "capability", "learnable")
_MEASURE_BIGGER = "measure bigger (key `bigger`)"
_finding = partial(finding, "capability", PRIOR)


@dataclass(frozen=True)
class _LiftOverBase:
    """The gain in pass rate over the base of one remedy or arm, on n cases."""

    what: str
    bigger: bool
    mean: float
    low: float
    high: float
    n: int


def ask(evidence: Evidence, task: Task) -> Finding:
    """Answer yes if something lifts the base by the margin, no if nothing can.

    `value` is the largest lift. A no needs a measured larger model: without one, only this model is
    shown to be unable.
    """
    lifts, margin = list(_lifts(evidence)), task.success.margin
    if not lifts:
        why = unmeasured(evidence.missing, "capability", "no larger model is named (key `bigger`)")
        return _finding("not_measured", why, _MEASURE_BIGGER)
    shown = [lift for lift in lifts if lift.low >= 0 and lift.mean >= margin]
    best = max(shown or lifts, key=lambda lift: lift.mean)
    within = points_with_bounds(best, f"n = {best.n:,}")
    said = f"{ticked(best.what)} lifts the base by {within}"
    bigger = any(lift.bigger for lift in lifts)
    if shown:
        return _finding("yes", said, "", best)
    if all(lift.high < margin for lift in lifts):
        if bigger:
            step = "look at rows and metric: not even a larger model is better"
            return _finding(
                "no", f"nothing measured lifts the base by {points(margin)}; {said}", step, best
            )
        return _finding(
            "not_measured",
            f"not measured (no larger model is named: key `bigger`); {said}",
            _MEASURE_BIGGER,
            best,
        )
    need = rows_needed_clause(best, best.n, margin, 0.0)
    return _finding(
        "not_measured", f"{need}; {said}", "score more rows" if bigger else _MEASURE_BIGGER, best
    )


def _lifts(evidence: Evidence) -> Iterator[_LiftOverBase]:
    """Yield how much each remedy, and each bigger or tuned finalist, gains over the base.

    A remedy with a gain that does not act is skipped: its prompt or its placebo gains as much.
    """
    read, bigger = evidence.diagnosis, {a.name for a in evidence.arms if a.tool == "bigger"}
    cases = read.n_fail + read.n_pass if read else 0
    for effect in read.effects if read else ():
        if effect.gain is None or (effect.gain.low > 0 and not effect.acts):
            continue
        if effect.remedy in _LIFTING_REMEDIES and cases:
            ends = (effect.gain.mean, effect.gain.low, effect.gain.high)
            mean, low, high = (end / cases for end in ends)
            larger = effect.remedy == "capability" and effect.name in bigger
            yield _LiftOverBase(effect.name, larger, mean, low, high, cases)
    for arm in finalists(evidence, ("bigger", *TRAINED_TOOLS)):
        pair = pair_of(evidence, arm.name, read.arm) if read else None
        if pair is not None and not arm.present:
            yield _LiftOverBase(
                arm.name, arm.tool == "bigger", pair.mean, pair.low, pair.high, pair.n
            )
