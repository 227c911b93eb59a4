"""The page of the experiments: common claims, what was predicted, what was found, with intervals.

Every number comes from a result (`claim_results`); nothing is computed here but where a mark is
drawn. All text is escaped by the template. Needs no script.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from tuneworthy.lab.claim_results import (
    Claim,
    ClaimResult,
    Expected,
    Figure,
    Verdict,
    claim_results,
    side_of,
    waiting_claims,
)
from tuneworthy.lab.pages import Site, render

STYLE = "claims.css"
WIDTH = 300  # of a drawing, in its own units
FAR = 90.0  # a ratio beyond it has no bound: its denominator may be 0
MARKS: dict[Verdict, str] = {"confirmed": "✓", "refuted": "✕", "undecided": "?"}
SIDES = {True: "holds", False: "fails", None: "open"}


def claims_page(
    site: Site,
    results: Sequence[ClaimResult] | None = None,
    waiting: Sequence[Claim] | None = None,
) -> str:
    """Return the page of experiments that were run, and of predictions that wait.

    None: those that ship.
    """
    shown = claim_results() if results is None else results
    counts = Counter(each.verdict for each in shown)
    return render(
        "claims.html.j2", site, here="Claims", style=STYLE, scripts=(), data=(), keys=(),
        claims=[_claim(each) for each in shown], counts=[(v, counts[v]) for v in MARKS],
        waiting=waiting_claims() if waiting is None else waiting,
        model=", ".join(sorted({each.model for each in shown})), marks=MARKS,
    )  # fmt: skip


def _claim(told: ClaimResult) -> dict[str, Any]:
    """Return what the template shows of a result; the figures that decide stand first."""
    by_name = {figure.name: figure for figure in told.figures}
    deciding = [(expected, by_name[expected.figure]) for expected in told.expects]
    others = [f for f in told.figures if f.name not in {e.figure for e in told.expects}]
    return {
        "told": told,
        "mark": MARKS[told.verdict],
        "deciding": [
            {
                "name": figure.name,
                "text": interval_text(figure),
                "wanted": wanted_text(expected, figure.unit),
                "side": SIDES[side_of(expected, figure)],
                "draw": drawing(expected, figure),
            }
            for expected, figure in deciding
        ],
        "others": [(f.name, interval_text(f), f"{f.n:,}", f.seeds) for f in others],
        "n": sorted({figure.n for _, figure in deciding}),
    }


def interval_text(figure: Figure) -> str:
    """Return a figure with its interval in words."""
    if figure.low < -FAR and figure.unit == "share":
        return "not bounded: the gain may be 0"
    low, high = number_text(figure.low), number_text(figure.high)
    unit = {"seconds": " s", "times": " times"}.get(figure.unit, "")
    return f"{number_text(figure.mean)}{unit} ({low} to {high})"


def wanted_text(expected: Expected, unit: str) -> str:
    """Return what was predicted of a figure."""
    word, at = (
        ("above", expected.above) if expected.above is not None else ("below", expected.below)
    )
    return f"predicted {word} {number_text(at or 0.0)}{' times' * (unit == 'times')}"


def number_text(value: float) -> str:
    """Return a number as people write it: .07, 1.40, 58, 2,400, with a true minus."""
    size = abs(value)
    text = f"{size:,.0f}" if size >= 10 else f"{size:.2f}".removeprefix("0")
    text = "0" if text in (".00", "0") else text
    return f"−{text}" if value < 0 and text != "0" else text


def drawing(expected: Expected, figure: Figure) -> dict[str, float] | None:
    """Return where interval, mean, threshold and the predicted side lie, in 0 to WIDTH.

    None where the interval has no bound.
    """
    if figure.low < -FAR and figure.unit == "share":
        return None
    at = expected.above if expected.above is not None else expected.below or 0.0
    ends = [figure.low, figure.high, at, *([0.0] if figure.unit == "points" else [])]
    low, high = min(ends), max(ends)
    room = 0.08 * (high - low) or 0.1
    low, high = low - room, high + room

    def place(value: float) -> float:
        return round(WIDTH * (value - low) / (high - low), 1)

    begin, end = (place(at), WIDTH) if expected.above is not None else (0.0, place(at))
    return {"low": place(figure.low), "high": place(figure.high), "mean": place(figure.mean),
            "at": place(at), "begin": begin, "wide": round(end - begin, 1)}  # fmt: skip
