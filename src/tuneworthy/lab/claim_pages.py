"""The page of the experiments: common claims, predictions and measured figures with intervals.

Every number comes from a result (`claim_results`); only positions of marks are computed here. The
template escapes all text. Needs no script.
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

STYLE = "findings.css"
DRAWING_WIDTH = 300  # of a drawing, in its own units
MOST_BOUNDED = 90.0  # a ratio beyond it has no bound: its denominator may be 0
VERDICT_MARKS: dict[Verdict, str] = {"confirmed": "✓", "refuted": "✕", "undecided": "?"}
SIDE_NAMES = {True: "holds", False: "fails", None: "open"}


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
        counts=[(verdict, counts[verdict]) for verdict in VERDICT_MARKS],
        waiting=waiting_claims() if waiting is None else waiting,
        model=", ".join(sorted({each.model for each in shown})), marks=VERDICT_MARKS,
    )  # fmt: skip


def _claim_data(result: ClaimResult) -> dict[str, Any]:
    """Return the template values of a result, with the figures that decide it apart."""
    by_name = {figure.name: figure for figure in result.figures}
    deciding = [(expected, by_name[expected.figure]) for expected in result.expects]
    others = [f for f in result.figures if f.name not in {e.figure for e in result.expects}]
    return {
        "told": result,
        "mark": VERDICT_MARKS[result.verdict],
        "deciding": [
            {
                "name": figure.name,
                "text": interval_text(figure),
                "wanted": wanted_text(expected, figure.unit),
                "side": SIDE_NAMES[side_of(expected, figure)],
                "draw": interval_positions(expected, figure),
            }
            for expected, figure in deciding
        ],
        "others": [(f.name, interval_text(f), f"{f.n:,}", f.seeds) for f in others],
        "n": sorted({figure.n for _, figure in deciding}),
    }


def interval_text(figure: Figure) -> str:
    """Return a figure with its interval in words."""
    if figure.low < -MOST_BOUNDED and figure.unit == "share":
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
    """Return the x positions (0 to WIDTH) of interval, mean, threshold and predicted side.

    None where the interval has no bound.
    """
    if figure.low < -MOST_BOUNDED and figure.unit == "share":
        return None
    at = expected.above if expected.above is not None else expected.below or 0.0
    ends = [figure.low, figure.high, at, *([0.0] if figure.unit == "points" else [])]
    low, high = min(ends), max(ends)
    room = 0.08 * (high - low) or 0.1
    low, high = low - room, high + room

    def place(value: float) -> float:
        return round(DRAWING_WIDTH * (value - low) / (high - low), 1)

    begin, end = (place(at), DRAWING_WIDTH) if expected.above is not None else (0.0, place(at))
    return {"low": place(figure.low), "high": place(figure.high), "mean": place(figure.mean),
            "at": place(at), "begin": begin, "wide": round(end - begin, 1)}  # fmt: skip
