"""The pieces of a study's page: the values of each section, and the templates that lay them out.

The report puts all of them into one file; the lab puts some on each of a study's pages.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from tuneworthy.core.escape import for_html, visible
from tuneworthy.core.results import Results
from tuneworthy.report import _across as reading
from tuneworthy.report import _changes, _curve, _fresh, _money, _robust
from tuneworthy.report import _notes as notes
from tuneworthy.report import _recorded as recorded
from tuneworthy.report import _sections as sections
from tuneworthy.report import _words as words
from tuneworthy.report._cautions import cautions
from tuneworthy.report._cells import Cells
from tuneworthy.report._left import left_line
from tuneworthy.report._requests import request_lines
from tuneworthy.report._students import student_lines
from tuneworthy.report._tables import visible_line

TEMPLATES = Path(__file__).parent / "templates"
NOT_MEASURED = "not measured"
STEPS = {
    "run": "run",
    "leave out": "not run",
    "stop": "stopped",
    "all folds": "run on all folds",
    "more folds": "run on more folds",
}
WHOLE = Markup('<span class="whole">{}</span>')
WORDS = ("amount", "confidence", "counted", "duration", "headline", "limit_lines",
         "next_line", "not_certain", "pays_line", "points", "score", "scored_line", "signed",
         "span", "status_line", "target_line", "unrun_line", "use_line", "wide_line")  # fmt: skip
PIECES: dict[str, Callable[[Results, Cells], Any]] = {
    "lead": lambda results, matrix: recorded.lead(results),
    "priceless": lambda results, matrix: recorded.priceless(results),
    "named": lambda results, matrix: words.arm_named(results),
    "ladder": sections.ladder,
    "graded": lambda results, matrix: _graded(matrix),
    "meanings": lambda results, matrix: sections.meanings(results),
    "margins": lambda results, matrix: sections.margins(results),
    "margin_axis": lambda results, matrix: sections.margin_axis(results),
    "forest": lambda results, matrix: sections.forest(results),
    "differences": lambda results, matrix: sections.differences(results),
    "trade_offs": lambda results, matrix: sections.trade_offs(results),
    "trainings": lambda results, matrix: sections.trainings(results),
    "failures": sections.failure_map,
    "unclaimed": lambda results, matrix: sections.unclaimed(results),
    "across": lambda results, matrix: reading.failures_section(results),
    "money": lambda results, matrix: _money.money(results),
    "learning": lambda results, matrix: _curve.learning(results),
    "fresh": lambda results, matrix: _fresh.freshness_section(results),
    "students": lambda results, matrix: student_lines(results),
    "changes": lambda results, matrix: _changes.changes_section(results),
    "robust": lambda results, matrix: _robust.robustness_section(results),
    "questions": lambda results, matrix: notes.questions(results),
    "missing": lambda results, matrix: notes.missing(results),
    "audit": lambda results, matrix: notes.audit(results),
    "cautions": lambda results, matrix: cautions(results),
    "reproduce": lambda results, matrix: notes.reproduce(results),
    "request_lines": lambda results, matrix: request_lines(results),
    "task_text": lambda results, matrix: notes.task_text(results),
}


def pieces(
    results: Results, matrix: Cells, names: Collection[str] = tuple(PIECES)
) -> dict[str, Any]:
    """Return the values of the named sections, with what all of them read."""
    common = {"results": results, "verdict": results.verdict, "task": results.task}
    return {**common, **{name: PIECES[name](results, matrix) for name in names}}


def templates(loader: jinja2.BaseLoader) -> jinja2.Environment:
    """Return templates with the report's words; every printed text is escaped and visible."""
    jinja = jinja2.Environment(
        loader=loader,
        autoescape=True,
        finalize=_printable,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    jinja.globals |= {name: getattr(words, name) for name in WORDS} | {"left_line": left_line}
    jinja.filters["ticks"] = _ticks
    jinja.globals["step_name"] = STEPS.__getitem__
    jinja.globals |= {"visible_line": visible_line, "not_measured": NOT_MEASURED}
    # Where a case and the cases of a cause are shown: in the same file, unless a page says where.
    jinja.globals |= {"case_href": "#case={}".format, "cause_href": "#cause={}".format}
    jinja.globals |= {"whole": WHOLE.format("fine-tune"), "whole_first": WHOLE.format("Fine-tune")}
    return jinja


def _graded(matrix: Cells) -> bool:
    """Return whether some answers are partly right."""
    return any(v not in (None, 0, 1) for column in matrix.values.values() for v in column)


def _ticks(text: str) -> Markup:
    """Return escaped text with `names` in back-ticks as code elements."""
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", for_html(visible(text))))


def _printable(value: object) -> object:
    """Return a printed value with control and bidi characters made visible."""
    if value is None:
        return NOT_MEASURED
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
