"""The results of experiments on common claims, and the rules that judge them by their figures.

`experiments/` has the scripts; `claims.json` beside this file has their results without the data,
and the predictions that wait for their run. Two rules read the figures: `standing_of` says whether
the claim holds, `verdict_of` whether our prediction came true.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from pydantic import Field

from tuneworthy.lab.pages import Site, render
from tuneworthy.records.record import Record
from tuneworthy.report.atlas_file import HeadlineFinding, read_atlas

CLAIMS_FILE = Path(__file__).parent / "claims.json"

Verdict = Literal["confirmed", "refuted", "undecided"]

Standing = Literal["holds", "holds here only", "does not hold", "not known"]

_MODELS_TO_HOLD = 2  # the fewest models on which a claim must hold to hold without "here only"


class Expected(Record):
    """A condition on a figure: the side of a threshold on which its interval must lie.

    `above` (or `below`) is the threshold. The condition fails where the whole interval lies on the
    other side of `fails_at`, which is the threshold if it is not given.
    """

    figure: str
    above: float | None = None
    below: float | None = None
    fails_at: float | None = None

    @property
    def threshold(self) -> float:
        """Return the threshold, whichever side is wanted."""
        return (self.below or 0.0) if self.above is None else self.above


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

    `said` names where people make it. `expects` is our prediction, and `refuted_if` refers to it.
    `holds_if` says where the figures must lie for the claim to hold; all of them have one unit.
    `beside` tells what another page shows on it without testing it, `beside_page` which one.
    """

    number: int
    name: str
    claim: str
    said: str
    prediction: str
    refuted_if: str
    design: str
    expects: tuple[Expected, ...]
    holds_if: tuple[Expected, ...]
    beside: str = ""
    beside_page: str = ""


class ClaimResult(Claim):
    """A claim with its figures, and both judgements on them: does it hold, was our prediction true.

    `found` is one sentence on what the figures mean for the claim, without numbers, `caveat` what
    to bear in mind, `compares` what each deciding figure compares with what. `reduced` lists where
    less was run than designed. `models` counts the models.
    """

    standing: Standing
    verdict: Verdict
    found: str = ""
    caveat: str = ""
    compares: dict[str, str] = Field(default_factory=dict)
    figures: tuple[Figure, ...]
    reduced: tuple[str, ...] = ()
    model: str
    models: int = 1
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
    sides = _sides_of(expects, figures)
    if any(side is False for side in sides):
        return "refuted"
    return "confirmed" if all(sides) else "undecided"


def standing_of(holds_if: Sequence[Expected], figures: Sequence[Figure], models: int) -> Standing:
    """Return whether a claim holds by its figures, measured on a number of models.

    It holds where every figure lies on its side. It holds here only where that is so on a single
    model, or where some figures lie on its side and others on the other one. It does not hold where
    figures lie on the other side alone. Else it is not known. Raises KeyError if a figure is
    missing.
    """
    sides = set(_sides_of(holds_if, figures))
    if sides == {True} and models >= _MODELS_TO_HOLD:
        return "holds"
    if sides == {True} or {True, False} <= sides:
        return "holds here only"
    return "does not hold" if False in sides else "not known"


def _sides_of(expects: Sequence[Expected], figures: Sequence[Figure]) -> list[bool | None]:
    by_name = {figure.name: figure for figure in figures}
    return [as_expected(expected, by_name[expected.figure]) for expected in expects]


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

_MOST_BOUNDED = 90.0  # a ratio beyond it has no bound: its denominator may be 0
_TICK_ROOM = 11.0  # the least distance between two numbers on an axis, in per cent

STANDINGS: dict[Standing, tuple[str, str, str]] = {
    "holds": ("✓", "Holds", "Every figure that decides it lies on its side, on several models."),
    "holds here only": (
        "◐", "Holds here only",
        "True of what was measured: one model, or one of several cases. The rest is open.",
    ),
    "does not hold": (
        "✕", "Does not hold",
        "Measured, and the figures lie on the other side. One such case is enough against a rule"
        " for all models.",
    ),
    "not known": ("?", "Not known", "The interval leaves it open, or it was not run yet."),
}  # fmt: skip
"""By standing: its mark, its heading, and what it means."""

_ANSWERS: dict[Standing, str] = {
    "holds": "Holds.", "holds here only": "Holds here.", "does not hold": "Does not hold here.",
    "not known": "Not known:",
}  # fmt: skip
"""By standing: how the sentence on a claim begins; after a colon the reason follows."""

_OUTCOMES: dict[Verdict, str] = {
    "confirmed": "came true", "refuted": "was wrong", "undecided": "is still open",
}  # fmt: skip

_SIDE_NAMES = {True: "holds", False: "fails", None: "open"}


def claims_page(
    site: Site,
    results: Sequence[ClaimResult] | None = None,
    waiting: Sequence[Claim] | None = None,
) -> str:
    """Return the page of claims, grouped by whether they hold; those not run yet are not known.

    None stands for the shipped results and the shipped waiting claims.
    """
    shown = claim_results() if results is None else results
    unrun = waiting_claims() if waiting is None else waiting
    groups = [
        {
            "id": name.replace(" ", "-"),
            "mark": mark,
            "title": title,
            "means": means,
            "claims": [_claim_data(each) for each in shown if each.standing == name],
            "waiting": unrun if name == "not known" else (),
        }
        for name, (mark, title, means) in STANDINGS.items()
    ]
    return render(
        "claims.html.j2", site, here="Claims", style=STYLE, scripts=(), data=(), keys=(),
        groups=groups, ran=len(shown), told=len(shown) + len(unrun),
        verdicts=[(_OUTCOMES[verdict], count) for verdict, count in
                  Counter(each.verdict for each in shown).most_common()],
        model=", ".join(sorted({each.model for each in shown})),
    )  # fmt: skip


def _claim_data(result: ClaimResult) -> dict[str, Any]:
    """Return the template values of a result: its axis, the prediction, the other figures."""
    by_name = {figure.name: figure for figure in result.figures}
    deciding = [(expected, by_name[expected.figure]) for expected in result.holds_if]
    predicted = [(expected, by_name[expected.figure]) for expected in result.expects]
    apart = {figure.name for _, figure in (*deciding, *predicted)}
    answer, found = _ANSWERS[result.standing], result.found
    sides = {as_expected(expected, figure) for expected, figure in deciding}
    if result.standing == "holds here only" and False in sides:
        answer = "Holds here in part."
    if answer.endswith(":"):
        found = found[:1].lower() + found[1:] if found else "the interval leaves it open."
    return {
        "told": result,
        "answer": (answer, found),
        "outcome": _OUTCOMES[result.verdict],
        "axis": claim_axis(deciding, result.compares),
        "measured": _measured_with(result.model, [figure for _, figure in deciding]),
        "predicted": [(figure.name, interval_text(figure), wanted_text(expected, figure.unit),
                       _SIDE_NAMES[as_expected(expected, figure)])
                      for expected, figure in predicted],
        "others": [(f.name, interval_text(f), f"{f.n:,}", f.seeds)
                   for f in result.figures if f.name not in apart],
    }  # fmt: skip


def _measured_with(model: str, figures: Sequence[Figure]) -> str:
    rows = dict.fromkeys(
        f"{figure.n:,} rows" if figure.unit == "points" else f"n {figure.n:,}" for figure in figures
    )
    seeds = dict.fromkeys(f"{figure.seeds} seeds" for figure in figures if figure.seeds > 1)
    return ", ".join(filter(None, (model, " and ".join(rows), " and ".join(seeds))))


def interval_text(figure: Figure) -> str:
    """Return a figure with its interval in words."""
    if _is_unbounded(figure):
        return "not bounded: the gain may be 0"
    low, high = number_text(figure.low), number_text(figure.high)
    unit = {"seconds": " s", "times": " times"}.get(figure.unit, "")
    return f"{number_text(figure.mean)}{unit} ({low} to {high})"


def _is_unbounded(figure: Figure) -> bool:
    return figure.low < -_MOST_BOUNDED and figure.unit == "share"


def wanted_text(expected: Expected, unit: str, lead: str = "predicted ") -> str:
    """Return a condition on a figure in words: `predicted above .05`."""
    word = "below" if expected.above is None else "above"
    return f"{lead}{word} {number_text(expected.threshold)}{' times' * (unit == 'times')}"


def number_text(value: float) -> str:
    """Return a number as text: .07, 1.40, 58, 2,400, with a true minus sign."""
    size = abs(value)
    text = f"{size:,.0f}" if size >= 10 else f"{size:.2f}".removeprefix("0")
    text = "0" if text in (".00", "0") else text
    return f"−{text}" if value < 0 and text != "0" else text


def claim_axis(
    deciding: Sequence[tuple[Expected, Figure]], compares: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Any]:
    """Return one drawing of the figures that decide a claim: all on one axis, places in per cent.

    `lines` holds a figure each with its interval (None where it has no bound), `limits` the
    thresholds with the side on which the claim holds, `ticks` the numbers beneath. `compares` has
    words for a figure's name.
    """
    bounded = [(e, f) for e, f in deciding if not _is_unbounded(f)]
    limits = [expected.threshold for expected, _ in deciding]
    ends = [*limits, *(end for _, f in bounded for end in (f.low, f.high))]
    ends += [0.0] if all(f.unit == "points" for _, f in deciding) else []
    low, high = min(ends), max(ends)
    room = 0.06 * (high - low) or 0.1
    low, high = low - room, high + room

    def place(value: float) -> float:
        return round(100 * (value - low) / (high - low), 2)

    lines = []
    for expected, figure in deciding:
        begin, end = place(expected.threshold), 100.0
        if expected.above is None:
            begin, end = 0.0, begin
        lines.append({
            "name": compares.get(figure.name, figure.name), "text": interval_text(figure),
            "rule": wanted_text(expected, figure.unit, ""),
            "side": _SIDE_NAMES[as_expected(expected, figure)],
            "begin": begin, "wide": round(end - begin, 2), "limit": place(expected.threshold),
            "span": None if _is_unbounded(figure) else
            {key: place(getattr(figure, key)) for key in ("low", "mean", "high")},
        })  # fmt: skip
    numbers = dict.fromkeys([min(ends), *limits, *([0.0] if 0.0 in ends else []), max(ends)])
    ticks: list[tuple[float, str]] = []
    for value in sorted(numbers, key=lambda value: (value not in limits, value)):
        if all(abs(place(value) - other) > _TICK_ROOM for other, _ in ticks):
            ticks.append((place(value), number_text(value)))
    return {"lines": lines, "ticks": ticks}


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
