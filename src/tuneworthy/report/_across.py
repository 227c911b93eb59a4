"""Report section on failures: causes, remedies and their placebos, the value of a passage.

Text and drawings only; the numbers come from the diagnosis.
"""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from tuneworthy.core.causes import Diagnosis, Effect
from tuneworthy.core.counting import score_text
from tuneworthy.core.plugins import catalogue, load
from tuneworthy.core.results import Results
from tuneworthy.extras.context_curve import ContextCurve, context_curves
from tuneworthy.report import _causes as causes
from tuneworthy.report import _charts as charts
from tuneworthy.report import _svg as svg
from tuneworthy.report import fact_lines
from tuneworthy.report._rates import cause_rates
from tuneworthy.verdict import phrases

EXAMPLE_KINDS = {
    "few": "the same examples for every input",
    "nearest": "the examples nearest the input",
}
BLOCKED_NOTE = "The study is blocked: what was wrong is not said before that is repaired."
MOST_DOUBTFUL_ANSWERS = 12  # doubtful answers shown
CAUSE_SHADES = {
    "metric": "c0", "format": "c1", "convention": "c2", "knowledge": "c3", "retrieval": "c4",
    "reading": "c5", "latent": "c6", "capability": "c7", "learnable": "c8", "label": "c9",
    "hard": "c10", "chance": "c11", "untried": "c12",
}  # fmt: skip


def failures_section(results: Results) -> dict[str, Any] | None:
    """Return the template values of the failures section; None without a diagnosis.

    Of a blocked study it shows only the doubtful right answers, which may be why it is blocked.
    """
    diagnosis = results.evidence.diagnosis
    if diagnosis is None:
        return None
    if results.verdict.status == "blocked":
        diagnosis = Diagnosis(arm=diagnosis.arm, n_fail=diagnosis.n_fail, n_pass=diagnosis.n_pass,
                              doubts=diagnosis.doubts, because=BLOCKED_NOTE)  # fmt: skip
    rows = [wrong for wrong in diagnosis.wrong if wrong.cause != "few"]
    whole = causes.whole_percents(rows)
    parts = [
        (round(one.share * one.n), CAUSE_SHADES[one.cause],
         f"{causes.cause_title(one.cause)}: {whole[one.cause]} %")
        for one in rows
    ]  # fmt: skip
    return {
        "seen": diagnosis,
        "most": MOST_DOUBTFUL_ANSWERS,
        "first": causes.wrong_lines(results),
        "few": causes.few_line(diagnosis.wrong),
        "few_tried": causes.few_tried_line(diagnosis),
        "rows": [
            {
                "wrong": one,
                "shade": CAUSE_SHADES[one.cause],
                "count": count_cases(diagnosis, one.cause),
                "title": causes.cause_title(one.cause),
                "percent": whole[one.cause],
                "line": causes.wrong_line(one, diagnosis, whole[one.cause]),
            }
            for one in rows
        ],
        "expected": causes.expected_line(diagnosis),
        "bar": svg.shares_bar(parts, "Shares of the failed cases by class") if parts else "",
        "rates": cause_rates(),
        "effects": [(effect, remedy_line(effect)) for effect in diagnosis.effects],
        "floor": right_passage_line(results),
        "curves": [
            (EXAMPLE_KINDS[curve.kind], curve.points, drawn)
            for curve in context_curves(results.runs, results.evidence)
            if (drawn := draw_context_curve(curve))
        ],
    }


def draw_context_curve(curve: ContextCurve) -> Markup | None:
    """Return a chart of score by examples in the prompt; None below two measured points."""
    points = [(float(p.k), p.score.mean) for p in curve.points if p.score is not None]
    if len(points) < 2:
        return None
    return charts.unnamed_lines_chart([points], [], ("examples in the prompt", "score"), dots=True)


def count_cases(diagnosis: Diagnosis, cause: str) -> int:
    """Return how many failed cases have this cause (0 if there are too few failures)."""
    return sum(1 for named in diagnosis.cause.values() if named == cause)


def remedy_line(effect: Effect) -> str:
    """Return how many failures a remedy and its placebo rescue: `41 of 57; a random answer: 2`."""
    if effect.rescue is None:
        return effect.because or phrases.UNKNOWN
    saved = f"{round(effect.rescue * effect.n_fail)} of {effect.n_fail}"
    if effect.placebo is None or effect.placebo_rescue is None:
        return f"{saved}; no placebo was asked"
    beside = f"{effect.placebo_rescue * effect.n_fail:.1f}".removesuffix(".0")
    return f"{saved}; {effect.placebo}: {beside}"


def right_passage_line(results: Results) -> str:
    """Return a sentence on the score with the right passage, or why it was not measured."""
    readers = _passage_readers(results)
    for arm in results.evidence.arms:
        if arm.name in readers and arm.role == "ceiling" and arm.score is not None:
            mean, low, high = map(score_text, (arm.score.mean, arm.score.low, arm.score.high))
            return (
                f"With the right passage in its prompt the model scores {mean} ({low} to {high}, "
                f"n {arm.n:,}; {arm.name}): what no retrieval can be expected to exceed."
            )
    arms = [arm for arm in results.evidence.arms if arm.name in readers]
    ceilings = [a for a in arms if a.role == "ceiling" and fact_lines.on_ladder(a)]
    why = next((arm.because for arm in ceilings if arm.because), "")
    return f"What the right passage is worth was not measured: {why or 'no arm reads one'}."


def _passage_readers(results: Results) -> set[str]:
    """Return the names of the arms that need a case's right passage."""
    known = catalogue("arms")
    specs = {run.spec.name: run.spec.arm for run in results.runs}
    return {
        name
        for name, arm in specs.items()
        if arm in known and "gold_passage" in load("arms", arm).NEEDS
    }
