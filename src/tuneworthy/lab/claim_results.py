"""The results of experiments on common claims, and the rule that turns figures into a verdict.

`experiments/` has the scripts; `claims.json` beside this file has their results without the data,
and the predictions that wait for their run. A verdict follows from the figures by `verdict_of`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from tuneworthy.core.record import Record

CLAIMS_FILE = Path(__file__).parent / "claims.json"
Verdict = Literal["confirmed", "refuted", "undecided"]


class Expected(Record):
    """A prediction on a figure: the side of a threshold on which its interval must lie.

    `above` (or `below`) is the threshold. The prediction fails where the whole interval lies on the
    other side of `fails_at`, which is the threshold if it is not given.
    """

    figure: str
    above: float | None = None
    below: float | None = None
    fails_at: float | None = None


class Figure(Record):
    """A measured figure with its two-sided 95 % interval, its rows and its seeds.

    `unit` is points (of a score, 0 to 1) or what the number counts.
    """

    name: str
    mean: float
    low: float
    high: float
    n: int
    seeds: int = 1
    unit: str = "points"


class Claim(Record):
    """A common claim on fine-tuning with our prediction, before it is measured.

    `said` names where people make it. `refuted_if` refers to our prediction, not to the claim.
    """

    number: int
    name: str
    claim: str
    said: str
    prediction: str
    refuted_if: str
    design: str
    expects: tuple[Expected, ...]


class ClaimResult(Claim):
    """A claim with its figures and verdict. `reduced` lists where less was run than designed.

    `found` is a sentence on what the figures mean for the claim, without numbers.
    """

    verdict: Verdict
    found: str = ""
    figures: tuple[Figure, ...]
    reduced: tuple[str, ...] = ()
    model: str
    machine: str
    command: str
    date: str
    minutes: float


def side_of(expected: Expected, figure: Figure) -> bool | None:
    """Return whether a figure's interval lies on the expected side; None if it is undecided.

    Raises ValueError if not exactly one of `above` and `below` is set.
    """
    if (expected.above is None) == (expected.below is None):
        raise ValueError(f"{expected.figure}: give one of above and below")
    wanted, low, high = expected.above, figure.low, figure.high
    turned = -1.0 if wanted is None else 1.0
    if wanted is None:  # below a threshold: the mirror image of above one
        wanted, low, high = expected.below or 0.0, figure.high, figure.low
    fails_at = wanted if expected.fails_at is None else expected.fails_at
    if turned * low > turned * wanted:
        return True
    return False if turned * high < turned * fails_at else None


def verdict_of(expects: Sequence[Expected], figures: Sequence[Figure]) -> Verdict:
    """Return confirmed if every expectation holds, refuted if one fails, else undecided.

    Raises KeyError if a figure is missing.
    """
    by_name = {figure.name: figure for figure in figures}
    sides = [side_of(expected, by_name[expected.figure]) for expected in expects]
    if any(side is False for side in sides):
        return "refuted"
    return "confirmed" if all(sides) else "undecided"


@lru_cache(maxsize=1)
def claim_results() -> tuple[ClaimResult, ...]:
    """Return the shipped results of the claim experiments, in the order of their numbers."""
    return tuple(ClaimResult.model_validate(each) for each in _read_claims()["results"])


@lru_cache(maxsize=1)
def waiting_claims() -> tuple[Claim, ...]:
    """Return the shipped claims whose experiment was not run yet, by number."""
    return tuple(Claim.model_validate(each) for each in _read_claims()["waiting"])


def _read_claims() -> dict[str, Any]:
    return dict(json.loads(CLAIMS_FILE.read_text("utf-8")))
