"""The results of experiments on common claims, and the rule that turns figures into a verdict.

`experiments/` has the scripts; `claims.json` beside this file has their results without the data,
and the predictions that wait for their run. A verdict follows from the figures by `verdict_of`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from tuneworthy.lab.pages import Site, render
from tuneworthy.records.record import Record
from tuneworthy.report.atlas_file import HeadlineFinding, read_atlas

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


def as_expected(expected: Expected, figure: Figure) -> bool | None:
    """Return whether a figure's interval lies on the expected side; False: on the other; else None.

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
    sides = [as_expected(expected, by_name[expected.figure]) for expected in expects]
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


STYLE = "findings"

_DRAWING_WIDTH = 300  # of a drawing, in its own units

_MOST_BOUNDED = 90.0  # a ratio beyond it has no bound: its denominator may be 0

_VERDICT_MARKS: dict[Verdict, str] = {"confirmed": "✓", "refuted": "✕", "undecided": "?"}

_SIDE_NAMES = {True: "holds", False: "fails", None: "open"}


def claims_page(
    site: Site,
    results: Sequence[ClaimResult] | None = None,
    waiting: Sequence[Claim] | None = None,
) -> str:
    """Return the page of experiments that were run, and of predictions that wait.

    None stands for the shipped results and the shipped waiting claims.
    """
    shown = claim_results() if results is None else results
    counts = Counter(each.verdict for each in shown)
    return render(
        "claims.html.j2", site, here="Claims", style=STYLE, scripts=(), data=(), keys=(),
        claims=[_claim_data(each) for each in shown],
        counts=[(verdict, counts[verdict]) for verdict in _VERDICT_MARKS],
        waiting=waiting_claims() if waiting is None else waiting,
        model=", ".join(sorted({each.model for each in shown})), marks=_VERDICT_MARKS,
    )  # fmt: skip


def _claim_data(result: ClaimResult) -> dict[str, Any]:
    """Return the template values of a result, with the figures that decide it apart."""
    by_name = {figure.name: figure for figure in result.figures}
    deciding = [(expected, by_name[expected.figure]) for expected in result.expects]
    others = [f for f in result.figures if f.name not in {e.figure for e in result.expects}]
    return {
        "told": result,
        "mark": _VERDICT_MARKS[result.verdict],
        "deciding": [
            {
                "name": figure.name,
                "text": interval_text(figure),
                "wanted": wanted_text(expected, figure.unit),
                "side": _SIDE_NAMES[as_expected(expected, figure)],
                "draw": interval_positions(expected, figure),
            }
            for expected, figure in deciding
        ],
        "others": [(f.name, interval_text(f), f"{f.n:,}", f.seeds) for f in others],
        "n": sorted({figure.n for _, figure in deciding}),
    }


def interval_text(figure: Figure) -> str:
    """Return a figure with its interval in words."""
    if figure.low < -_MOST_BOUNDED and figure.unit == "share":
        return "not bounded: the gain may be 0"
    low, high = number_text(figure.low), number_text(figure.high)
    unit = {"seconds": " s", "times": " times"}.get(figure.unit, "")
    return f"{number_text(figure.mean)}{unit} ({low} to {high})"


def wanted_text(expected: Expected, unit: str) -> str:
    """Return the prediction on a figure in words: `predicted above .05`."""
    word, at = (
        ("above", expected.above) if expected.above is not None else ("below", expected.below)
    )
    return f"predicted {word} {number_text(at or 0.0)}{' times' * (unit == 'times')}"


def number_text(value: float) -> str:
    """Return a number as text: .07, 1.40, 58, 2,400, with a true minus sign."""
    size = abs(value)
    text = f"{size:,.0f}" if size >= 10 else f"{size:.2f}".removeprefix("0")
    text = "0" if text in (".00", "0") else text
    return f"−{text}" if value < 0 and text != "0" else text


def interval_positions(expected: Expected, figure: Figure) -> dict[str, float] | None:
    """Return x positions (0 to _DRAWING_WIDTH) by name for a figure's drawing; None if unbounded.

    None where the interval has no bound.
    """
    if figure.low < -_MOST_BOUNDED and figure.unit == "share":
        return None
    at = expected.above if expected.above is not None else expected.below or 0.0
    ends = [figure.low, figure.high, at, *([0.0] if figure.unit == "points" else [])]
    low, high = min(ends), max(ends)
    room = 0.08 * (high - low) or 0.1
    low, high = low - room, high + room

    def place(value: float) -> float:
        return round(_DRAWING_WIDTH * (value - low) / (high - low), 1)

    begin, end = (place(at), _DRAWING_WIDTH) if expected.above is not None else (0.0, place(at))
    return {"low": place(figure.low), "high": place(figure.high), "mean": place(figure.mean),
            "at": place(at), "begin": begin, "wide": round(end - begin, 1)}  # fmt: skip


def findings_page(site: Site) -> str:
    """Return the page of findings of the shipped atlas."""
    return render(
        "findings.html.j2", site, here="Findings", style=STYLE, scripts=(), data=(),
        keys=(), findings=[_finding_data(each, site) for each in read_atlas().findings],
    )  # fmt: skip


def _finding_data(finding: HeadlineFinding, site: Site) -> dict[str, Any]:
    if finding.claim:
        address, name = (
            f"{site.page('experiments')}#e{finding.claim}",
            f"experiment {finding.claim}",
        )
    else:
        address, name = site.page("atlas", finding.entry), "the measured task"
    bars = [
        {
            "name": row.name,
            "mean": number_text(row.mean),
            "bounds": f"{number_text(row.bounds.low)} to {number_text(row.bounds.high)}"
            if row.bounds
            else "bounds not recorded",
            "span": row.bounds,
            "at": row.mean,
            "strong": row.strong,
        }
        for row in finding.rows
    ]
    return {"told": finding, "bars": bars, "address": address, "evidence": name}
