"""The page's section on what was wrong: causes, remedies and their placebos, and how often right.

How often the diagnosis names the right cause was measured on tasks with a planted cause:
`bench/causes.py` writes the figures into `static/`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from markupsafe import Markup

from tuneworthy.measure.further.prompt_search import context_curves
from tuneworthy.records.causes import Diagnosis, Effect
from tuneworthy.records.counting import count_noun, score_text, tenths
from tuneworthy.records.plugins import catalogue
from tuneworthy.records.results import Results
from tuneworthy.records.specs import needs_of_arm
from tuneworthy.records.verdict import Wrong
from tuneworthy.report import _charts as charts
from tuneworthy.report import _svg as svg
from tuneworthy.report import cause_lines as causes
from tuneworthy.report import fact_lines
from tuneworthy.report.page_parts import (
    Cell,
    Columns,
    Details,
    Figure,
    Heading,
    Items,
    Section,
    Shown,
    Span,
    Table,
    Text,
    case_link,
    figure_with,
    fragment,
    score_figure,
    soft,
)
from tuneworthy.verdict import phrases

_EXAMPLE_KINDS = {
    "few": "the same examples for every input",
    "nearest": "the examples nearest the input",
}
_BLOCKED_NOTE = "The study is blocked: what was wrong is not said before that is repaired."
_MOST_DOUBTFUL_ANSWERS = 12  # doubtful answers shown
_CAUSE_SHADES = {
    "metric": "c0", "format": "c1", "convention": "c2", "knowledge": "c3", "retrieval": "c4",
    "reading": "c5", "latent": "c6", "capability": "c7", "learnable": "c8", "label": "c9",
    "hard": "c10", "chance": "c11", "untried": "c12",
}  # fmt: skip
RATES_FILE = Path(__file__).parent / "static" / "cause_rates.json"


def wrong_section(results: Results) -> Section | None:
    """Return the section on what was wrong; None without a diagnosis.

    Of a blocked study it shows only the doubtful right answers, which may be why it is blocked.
    """
    seen = results.evidence.diagnosis
    if seen is None:
        return None
    if results.verdict.status == "blocked":
        seen = Diagnosis(arm=seen.arm, n_fail=seen.n_fail, n_pass=seen.n_pass, doubts=seen.doubts,
                         because=_BLOCKED_NOTE)  # fmt: skip
    parts: list[Any] = [*_cause_parts(seen), *_rate_parts()] if seen.wrong else []
    parts += [Text(phrases.as_sentence(line)) for line in (seen.because, *seen.said) if line]
    parts.append(Text(_right_passage_line(results)))
    parts += [*_doubt_parts(seen), *_context_curve_parts(results), *_effect_parts(seen)]
    return Section("wrong", "What exactly was wrong?", parts)


def _cause_parts(seen: Diagnosis) -> Iterator[Any]:
    yield Text(
        f"Of {seen.n_fail + seen.n_pass:,} cases {seen.arm} fails {seen.n_fail:,}. Each remedy was"
        " tried on them beside a placebo, the same thing with its active ingredient taken out. A"
        " case belongs to the cheapest remedy that rescues it while the placebo does not."
    )
    if few := causes.few_line(seen.wrong):
        no_claim = soft("No claim is made that their remedies act.")
        yield Text((Span(few, "strong", said=True), " ", no_claim))
    if few_tried := causes.few_tried_line(seen):
        yield Text(few_tried)
    rows = [wrong for wrong in seen.wrong if wrong.cause != "few"]
    whole = causes.whole_percents(rows)
    shares = [
        (round(one.share * one.n), _CAUSE_SHADES[one.cause],
         f"{causes.cause_title(one.cause)}: {whole[one.cause]} %")
        for one in rows
    ]  # fmt: skip
    if shares:
        yield Text(svg.shares_bar(shares, "Shares of the failed cases by class"), "causes")
    columns = ("Cause", "#Share of the failures", "What showed it", "#Cases")
    table = [_cause_row(one, seen, whole[one.cause]) for one in rows]
    yield Table(columns, table, "plain stack causes-of")
    if expected := causes.expected_line(seen):
        yield Text(expected)


def _cause_row(one: Wrong, seen: Diagnosis, percent: int) -> tuple[Shown, ...]:
    swatch = Markup('<span class="swatch {}" aria-hidden="true"></span>')
    ends = f"{100 * one.low:.0f} to {100 * one.high:.0f} · " * (one.cause != "untried")
    count = sum(named == one.cause for named in seen.cause.values())
    cases = Span(count_noun(count, "case"), href=fragment("cause", one.cause))
    return (
        Cell((swatch.format(_CAUSE_SHADES[one.cause]), causes.cause_title(one.cause)), "whole"),
        figure_with(f"{percent} %", f"{ends}n {one.n:,}"),
        Span(causes.wrong_line(one, seen, percent), said=True),
        cases if count else soft("—"),
    )


def _rate_parts() -> Iterator[Any]:
    rates = cause_rates()
    sizes = [
        (str(row["failures"]), *(
            figure_with(score_text(row[key]["share"]), f"{score_text(row[key]['low'])} to"
                        f" {score_text(row[key]['high'])} · n {row[key]['n']}")
            for key in ("first", "likely", "false")))
        for row in rates["sizes"]
    ]  # fmt: skip
    named = [
        (cause, *(str(row[name]) if name in row else soft("·") for name in rates["columns"]))
        for cause, row in rates["named"].items()
    ]
    yield Details("How often is this right?", [
        Text("Tasks whose failures have a known cause were made by scripted systems and read across"
             " in the same way; the controls have none that a remedy could act on.", "soft"),
        Table(("Failures", "#The planted cause leads", "#It is among the two likeliest",
               "#False cause on controls"), sizes),
        Text(f"With {rates['sizes'][-1]['failures']} failures, planted down, named across (hard and"
             " nudge are the controls: nothing helps them, or any other wording of the prompt"
             " does):", "soft"),
        Table(("Cause", *(f"#{name}" for name in rates["columns"])), named, "plain wide"),
    ])  # fmt: skip


def _doubt_parts(seen: Diagnosis) -> Iterator[Any]:
    if not seen.doubts:
        return
    more = len(seen.doubts) - _MOST_DOUBTFUL_ANSWERS
    items: list[tuple[str, Shown]] = [
        ("", (case_link(doubt.case), f" {doubt.why}"))
        for doubt in seen.doubts[:_MOST_DOUBTFUL_ANSWERS]
    ]
    yield Heading("Right answers to look at again")
    yield Items(items + [("soft", f"and {more} more")] * (more > 0))
    yield Text("Doubts for a person, not corrections: arms on one model err alike, and rows that"
               " look alike may differ.", "soft")  # fmt: skip


def _context_curve_parts(results: Results) -> Iterator[Any]:
    figures = []
    for curve in context_curves(results.runs, results.evidence):
        points = [(float(p.k), p.score.mean) for p in curve.points if p.score is not None]
        if len(points) < 2:
            continue
        drawn = charts.unnamed_lines_chart([points], [], ("examples in the prompt", "score"),
                                           dots=True)  # fmt: skip
        rows = [
            (
                str(point.k),
                soft(str(point.because or phrases.NOT_MEASURED))
                if point.score is None
                else score_figure(point.score),
                soft("—") if point.tokens is None else f"{point.tokens:,.0f}",
            )
            for point in curve.points
        ]
        table = Table(("Examples", "#Score, 95 %", "#Tokens a prompt"), rows, "plain")
        figures.append(Figure(f"Score by {_EXAMPLE_KINDS[curve.kind]}", drawn, parts=[table]))
    if figures:
        yield Heading("Would more examples help?")
        yield Columns(figures)


def _effect_parts(seen: Diagnosis) -> Iterator[Any]:
    if not seen.effects:
        return
    yield Heading("What was tried")
    columns = ("Remedy", "For", "Rescues", "#Beyond the placebo", "Acts?")
    yield Table(columns, list(map(_effect_row, seen.effects)), "plain stack tried")
    if seen.overlap:
        both = "; ".join(f"{pair.one} and {pair.other} {pair.both}" for pair in seen.overlap)
        yield Text(f"Rescued by two: {both}.", "soft")
    yield Text(
        "A remedy acts where it rescues more of the failures than its placebo does, and all in all"
        " passes more cases than the placebo and than what it was tried on (95 % each). Points are"
        " of 100 failures.",
        "soft",
    )


def _effect_row(effect: Effect) -> tuple[Shown, ...]:
    beyond, contrast = soft("—"), effect.contrast
    if contrast is not None:
        ends = f"{tenths(contrast.low)} to {tenths(contrast.high)} points"
        beyond = figure_with(tenths(contrast.mean), ends)
    acts: Shown = Cell("yes", "answer-yes") if effect.acts else "not shown"
    if effect.because and not effect.acts:
        acts = ("not shown", " ", soft(str(effect.because), said=True))
    remedy = Cell(effect.remedy, "whole")
    return effect.name, remedy, Span(_remedy_line(effect), said=True), beyond, acts


def _remedy_line(effect: Effect) -> str:
    """Return how many failures remedy and placebo rescue: `41 of 57; a random answer: 2`."""
    if effect.rescue is None:
        return effect.because or phrases.UNKNOWN
    saved = f"{round(effect.rescue * effect.n_fail)} of {effect.n_fail}"
    if effect.placebo is None or effect.placebo_rescue is None:
        return f"{saved}; no placebo was asked"
    beside = f"{effect.placebo_rescue * effect.n_fail:.1f}".removesuffix(".0")
    return f"{saved}; {effect.placebo}: {beside}"


def _right_passage_line(results: Results) -> str:
    """Return a sentence on the score with the right passage, or why it was not measured."""
    readers = _passage_readers(results)
    for arm in results.evidence.arms:
        if arm.name in readers and arm.role == "ceiling" and arm.score is not None:
            score = phrases.score_with_bounds(arm.score).removesuffix(")")
            return (
                f"With the right passage in its prompt the model scores {score}, n {arm.n:,};"
                f" {arm.name}): what no retrieval can be expected to exceed."
            )
    arms = [arm for arm in results.evidence.arms if arm.name in readers]
    ceilings = [a for a in arms if a.role == "ceiling" and fact_lines.on_ladder(a)]
    why = next((arm.because for arm in ceilings if arm.because), "")
    return f"What the right passage is worth was not measured: {why or 'no arm reads one'}."


def _passage_readers(results: Results) -> set[str]:
    """Return the names of the arms that need a case's right passage."""
    known = catalogue("arms")
    specs = {run.spec.name: run.spec for run in results.runs}
    return {
        name
        for name, spec in specs.items()
        if spec.arm in known and "gold_passage" in needs_of_arm(spec)
    }


@lru_cache
def cause_rates() -> dict[str, Any]:
    """Return the rates from `cause_rates.json`, and the confusion matrix's columns as `columns`."""
    figures: dict[str, Any] = json.loads(RATES_FILE.read_text("utf-8"))
    columns = dict.fromkeys(name for row in figures["named"].values() for name in row)
    planted = [cause for cause in figures["named"] if cause in columns]
    return {**figures, "columns": planted + [name for name in columns if name not in planted]}
