"""Report section on failures: causes, remedies and their placebos, the value of a passage.

Text and drawings only; the numbers come from the diagnosis.
"""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from tuneworthy.core.causes import Diagnosis, Effect
from tuneworthy.core.plugins import catalogue, load
from tuneworthy.core.results import Results
from tuneworthy.extras.context_curve import Curve, context_curves
from tuneworthy.report import _causes as causes
from tuneworthy.report import _charts as charts
from tuneworthy.report import _svg as svg
from tuneworthy.report import _words as words
from tuneworthy.report._rates import rates

KINDS = {"few": "the same examples for every input", "nearest": "the examples nearest the input"}
BLOCKED = "The study is blocked: what was wrong is not said before that is repaired."
LISTED_ANSWERS = 12  # doubtful answers shown
SHADES = {
    "metric": "c0", "format": "c1", "convention": "c2", "knowledge": "c3", "retrieval": "c4",
    "reading": "c5", "latent": "c6", "capability": "c7", "learnable": "c8", "label": "c9",
    "hard": "c10", "chance": "c11", "untried": "c12",
}  # fmt: skip


def failures_section(results: Results) -> dict[str, Any] | None:
    """Return the section's content; None without a diagnosis.

    For a blocked study only the doubtful right answers, which may be what blocks it.
    """
    diagnosis = results.evidence.diagnosis
    if diagnosis is None:
        return None
    if results.verdict.status == "blocked":
        diagnosis = Diagnosis(arm=diagnosis.arm, n_fail=diagnosis.n_fail, n_pass=diagnosis.n_pass,
                              doubts=diagnosis.doubts, because=BLOCKED)  # fmt: skip
    rows = [wrong for wrong in diagnosis.wrong if wrong.cause != "few"]
    whole = causes.percents(rows)
    parts = [
        (round(one.share * one.n), SHADES[one.cause],
         f"{causes.title(one.cause)}: {whole[one.cause]} %")
        for one in rows
    ]  # fmt: skip
    return {
        "seen": diagnosis,
        "most": LISTED_ANSWERS,
        "first": causes.wrong_lines(results),
        "few": causes.few_line(diagnosis.wrong),
        "few_tried": causes.few_tried_line(diagnosis),
        "rows": [
            {
                "wrong": one,
                "shade": SHADES[one.cause],
                "count": cases_of(diagnosis, one.cause),
                "title": causes.title(one.cause),
                "percent": whole[one.cause],
                "line": causes.wrong_line(one, diagnosis, whole[one.cause]),
            }
            for one in rows
        ],
        "expected": causes.expected_line(diagnosis),
        "bar": svg.shares(parts, "Shares of the failed cases by class") if parts else "",
        "rates": rates(),
        "effects": [(effect, remedy_line(effect)) for effect in diagnosis.effects],
        "floor": floor_line(results),
        "curves": [
            (KINDS[curve.kind], curve.points, drawn)
            for curve in context_curves(results.runs, results.evidence)
            if (drawn := curve_of(curve))
        ],
    }


def curve_of(curve: Curve) -> Markup | None:
    """Return the scores over the number of examples; None if fewer than two were measured."""
    points = [(float(p.k), p.score.mean) for p in curve.points if p.score is not None]
    if len(points) < 2:
        return None
    return charts.curve([points], [], ("examples in the prompt", "score"), dots=True)


def cases_of(seen: Diagnosis, cause: str) -> int:
    """Return how many failed cases have this cause (0 if there are too few failures)."""
    return sum(1 for named in seen.cause.values() if named == cause)


def remedy_line(effect: Effect) -> str:
    """Return a remedy's rescues and its placebo's: `41 of 57; a random legal answer: 2`."""
    if effect.rescue is None:
        return effect.because or words.UNKNOWN
    saved = f"{round(effect.rescue * effect.n_fail)} of {effect.n_fail}"
    if effect.placebo is None or effect.placebo_rescue is None:
        return f"{saved}; no placebo was asked"
    beside = f"{effect.placebo_rescue * effect.n_fail:.1f}".removesuffix(".0")
    return f"{saved}; {effect.placebo}: {beside}"


def floor_line(results: Results) -> str:
    """Return the score with the right passage, a ceiling for any retrieval."""
    readers = _passage_readers(results)
    for arm in results.evidence.arms:
        if arm.name in readers and arm.role == "ceiling" and arm.score is not None:
            mean, low, high = map(words.score, (arm.score.mean, arm.score.low, arm.score.high))
            return (
                f"With the right passage in its prompt the model scores {mean} ({low} to {high}, "
                f"n {arm.n:,}; {arm.name}): what no retrieval can be expected to exceed."
            )
    arms = [arm for arm in results.evidence.arms if arm.name in readers]
    ceilings = [a for a in arms if a.role == "ceiling" and words.on_ladder(a)]
    why = next((arm.because for arm in ceilings if arm.because), "")
    return f"What the right passage is worth was not measured: {why or 'no arm reads one'}."


def _passage_readers(results: Results) -> set[str]:
    """Return the arms that are given the right passage; a teacher is a ceiling of another kind."""
    known = catalogue("arms")
    specs = {run.spec.name: run.spec.arm for run in results.runs}
    return {
        name
        for name, arm in specs.items()
        if arm in known and "gold_passage" in load("arms", arm).NEEDS
    }
