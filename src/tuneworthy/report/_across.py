"""The section on what was wrong: causes, remedies beside their placebos, what a passage is worth.

Words and marks only; every number was computed where the matrix was read across.
"""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from tuneworthy.core.causes import Diagnosis, Effect
from tuneworthy.core.results import Results
from tuneworthy.extras.context_curve import Curve, context_curves
from tuneworthy.report import _causes as causes
from tuneworthy.report import _charts as charts
from tuneworthy.report import _svg as svg
from tuneworthy.report import _words as words
from tuneworthy.report._rates import rates

KINDS = {"few": "the same examples for every input", "nearest": "the examples nearest the input"}
BLOCKED = "The study is blocked: what was wrong is not said before that is repaired."
LISTED = 12  # doubtful answers shown
SHADES = {
    "metric": "c0", "format": "c1", "convention": "c2", "knowledge": "c3", "retrieval": "c4",
    "reading": "c5", "latent": "c6", "capability": "c7", "learnable": "c8", "label": "c9",
    "hard": "c10", "chance": "c11", "untried": "c12",
}  # fmt: skip


def across(results: Results) -> dict[str, Any] | None:
    """Return what the section shows, None where the matrix was not read across.

    Of a blocked study only the doubtful right answers, which may be what blocks it.
    """
    seen = results.evidence.diagnosis
    if seen is None:
        return None
    if results.verdict.status == "blocked":
        seen = Diagnosis(arm=seen.arm, n_fail=seen.n_fail, n_pass=seen.n_pass,
                         doubts=seen.doubts, because=BLOCKED)  # fmt: skip
    rows = [wrong for wrong in seen.wrong if wrong.cause != "few"]
    whole = causes.percents(rows)
    parts = [
        (round(one.share * one.n), SHADES[one.cause],
         f"{causes.title(one.cause)}: {whole[one.cause]} %")
        for one in rows
    ]  # fmt: skip
    return {
        "seen": seen,
        "most": LISTED,
        "first": causes.wrong_lines(results),
        "few": causes.few_line(seen.wrong),
        "few_tried": causes.few_tried_line(seen),
        "rows": [
            {
                "wrong": one,
                "shade": SHADES[one.cause],
                "count": cases_of(seen, one.cause),
                "title": causes.title(one.cause),
                "percent": whole[one.cause],
                "line": causes.wrong_line(one, seen, whole[one.cause]),
            }
            for one in rows
        ],
        "expected": causes.expected_line(seen),
        "bar": svg.shares(parts, "Shares of the failed cases by class") if parts else "",
        "rates": rates(),
        "effects": [(effect, remedy_line(effect)) for effect in seen.effects],
        "floor": floor_line(results),
        "curves": [
            (KINDS[curve.kind], curve.points, drawn)
            for curve in context_curves(results.runs, results.evidence)
            if (drawn := curve_of(curve))
        ],
    }


def curve_of(curve: Curve) -> Markup | None:
    """Return the scores over the number of examples, None where fewer than two were measured."""
    points = [(float(p.k), p.score.mean) for p in curve.points if p.score is not None]
    if len(points) < 2:
        return None
    return charts.curve([points], [], ("examples in the prompt", "score"), dots=True)


def cases_of(seen: Diagnosis, cause: str) -> int:
    """Return how many failed cases have this cause by name (0 where failures are too few)."""
    return sum(1 for named in seen.cause.values() if named == cause)


def remedy_line(effect: Effect) -> str:
    """Return what a remedy rescued beside its placebo: `41 of 57; a random legal answer: 2`."""
    if effect.rescue is None:
        return effect.because or words.UNKNOWN
    saved = f"{round(effect.rescue * effect.n_fail)} of {effect.n_fail}"
    if effect.placebo is None or effect.placebo_rescue is None:
        return f"{saved}; no placebo was asked"
    beside = f"{effect.placebo_rescue * effect.n_fail:.1f}".removesuffix(".0")
    return f"{saved}; {effect.placebo}: {beside}"


def floor_line(results: Results) -> str:
    """Return what the model makes of the right passage: no retrieval can do better than that."""
    for arm in results.evidence.arms:
        if arm.role == "ceiling" and arm.score is not None:
            mean, low, high = map(words.score, (arm.score.mean, arm.score.low, arm.score.high))
            return (
                f"With the right passage in its prompt the model scores {mean} ({low} to {high}, "
                f"n {arm.n:,}; {arm.name}): what no retrieval can be expected to exceed."
            )
    ceilings = [a for a in results.evidence.arms if a.role == "ceiling" and words.on_ladder(a)]
    why = next((arm.because for arm in ceilings if arm.because), "")
    return f"What the right passage is worth was not measured: {why or 'no arm reads one'}."
