"""Can any model do this task at all: does a larger one, a vote or training lift the base?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from tuneworthy.core.counting import points, points_within
from tuneworthy.core.evidence import Evidence
from tuneworthy.core.finding import Finding
from tuneworthy.core.task import Task
from tuneworthy.questions._arms import TRAINED, between, finalists, named
from tuneworthy.questions._shown import finding, too_small, unmeasured

QUESTION = "Is there a model that can do it: a larger one, several samples, training?"
PRIOR = None
UNIT = "points"
LIFTING = ("latent", "capability", "learnable")
BIGGER = "measure bigger (key `bigger`)"
_found = partial(finding, "capability", PRIOR)


@dataclass(frozen=True)
class _Lift:
    """By how much something passes more cases than the base, of n."""

    what: str
    bigger: bool
    mean: float
    low: float
    high: float
    n: int


def ask(evidence: Evidence, task: Task) -> Finding:
    """Say yes where something lifts the base by the margin, no where nothing can.

    `value` is the largest lift. A no needs a larger model among what was measured: without one
    only this model is shown not to do it.
    """
    lifts, margin = list(_lifts(evidence)), task.success.margin
    if not lifts:
        why = unmeasured(evidence.missing, "capability", "key `bigger`")
        return _found("not_measured", why, BIGGER)
    shown = [lift for lift in lifts if lift.low >= 0 and lift.mean >= margin]
    best = max(shown or lifts, key=lambda lift: lift.mean)
    within = points_within(best, f"n = {best.n:,}")
    said = f"{named(best.what)} lifts the base by {within}"
    bigger = any(lift.bigger for lift in lifts)
    if shown:
        return _found("yes", said, "", best)
    if all(lift.high < margin for lift in lifts):
        if bigger:
            step = "look at rows and metric: not even a larger model is better"
            return _found(
                "no", f"nothing measured lifts the base by {points(margin)}; {said}", step, best
            )
        return _found("not_measured", f"not measured (key `bigger`); {said}", BIGGER, best)
    need = too_small(best, best.n, margin, 0.0)
    return _found("not_measured", f"{need}; {said}", "score more rows" if bigger else BIGGER, best)


def _lifts(evidence: Evidence) -> Iterator[_Lift]:
    """Yield what the remedies gain over the base asked again, and what finalists gain over it.

    A remedy that gains and does not act gains no more than its prompt by itself, or its placebo.
    """
    read = evidence.diagnosis
    cases = read.n_fail + read.n_pass if read else 0
    for effect in read.effects if read else ():
        if effect.gain is None or (effect.gain.low > 0 and not effect.acts):
            continue
        if effect.remedy in LIFTING and cases:
            ends = (effect.gain.mean, effect.gain.low, effect.gain.high)
            mean, low, high = (end / cases for end in ends)
            yield _Lift(effect.name, effect.remedy == "capability", mean, low, high, cases)
    for arm in finalists(evidence, ("bigger", *TRAINED)):
        pair = between(evidence, arm.name, read.arm) if read else None
        if pair is not None and not arm.present:
            yield _Lift(arm.name, arm.tool == "bigger", pair.mean, pair.low, pair.high, pair.n)
