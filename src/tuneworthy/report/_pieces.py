"""The values of the report's sections, and the environment of its templates and the lab's."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jinja2
from markupsafe import Markup

from tuneworthy.core.counting import count_noun, score_text, tenths
from tuneworthy.core.escape import for_html, visible
from tuneworthy.core.reason import Reason
from tuneworthy.core.results import Results
from tuneworthy.report import _across as reading
from tuneworthy.report import _changes, _curve, _fresh, _money, _robust, facts
from tuneworthy.report import _notes as notes
from tuneworthy.report import _recorded as recorded
from tuneworthy.report import _sections as sections
from tuneworthy.report._cautions import cautions
from tuneworthy.report._cells import ScoreMatrix
from tuneworthy.report._students import student_lines
from tuneworthy.report._tables import visible_line
from tuneworthy.report.facts import request_lines
from tuneworthy.verdict import phrases

TEMPLATES = Path(__file__).parent / "templates"
STEP_NAMES = {
    "run": "run",
    "leave out": "not run",
    "stop": "stopped",
    "all folds": "run on all folds",
    "more folds": "run on more folds",
}
UNBROKEN = Markup('<span class="whole">{}</span>')
PHRASES = ("amount", "duration", "headline", "signed", "span", "target_line")
FACTS = (
    "left_line", "limit_lines", "next_line", "pays_line", "scored_line", "status_line",
    "unrun_line", "use_line", "wide_line",
)  # fmt: skip
NUMBERS = {"counted": count_noun, "points": tenths, "score": score_text}
SECTIONS: dict[str, Callable[[Results, ScoreMatrix], Any]] = {
    "lead": lambda results, matrix: recorded.lead_lines(results),
    "no_prices": lambda results, matrix: recorded.has_no_prices(results),
    "named": lambda results, matrix: facts.arm_named(results),
    "ladder": sections.ladder_rows,
    "graded": lambda results, matrix: sections.has_partial_scores(matrix),
    "meanings": lambda results, matrix: sections.arm_descriptions(results),
    "margins": lambda results, matrix: sections.margin_ranges(results),
    "margin_axis": lambda results, matrix: sections.margin_axis(results),
    "forest": sections.forest_plot,
    "differences": lambda results, matrix: sections.difference_groups(results),
    "trade_offs": lambda results, matrix: sections.trade_off_charts(results),
    "trainings": lambda results, matrix: sections.training_sections(results),
    "failures": sections.failure_map,
    "unclaimed": lambda results, matrix: sections.uncompared_arms(results),
    "across": lambda results, matrix: reading.failures_section(results),
    "money": lambda results, matrix: _money.money_section(results),
    "learning": lambda results, matrix: _curve.learning_section(results),
    "fresh": lambda results, matrix: _fresh.freshness_section(results),
    "students": lambda results, matrix: student_lines(results),
    "changes": lambda results, matrix: _changes.changes_section(results),
    "robust": lambda results, matrix: _robust.robustness_section(results),
    "questions": lambda results, matrix: notes.questions_section(results),
    "missing": lambda results, matrix: notes.missing_values(results),
    "audit": lambda results, matrix: notes.audit_section(results),
    "cautions": lambda results, matrix: cautions(results),
    "reproduce": lambda results, matrix: notes.reproduce_rows(results),
    "request_lines": lambda results, matrix: request_lines(results),
    "task_text": lambda results, matrix: notes.task_text(results),
}


def section_values(results: Results, matrix: ScoreMatrix) -> dict[str, Any]:
    """Return the template values of all sections, with results, verdict and task."""
    common = {"results": results, "verdict": results.verdict, "task": results.task}
    return {**common, **{name: value(results, matrix) for name, value in SECTIONS.items()}}


def template_environment(loader: jinja2.BaseLoader) -> jinja2.Environment:
    """Return a Jinja environment with the report's functions that escapes every printed text."""
    jinja = jinja2.Environment(
        loader=loader,
        autoescape=True,
        finalize=_printable,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    jinja.globals |= {name: getattr(phrases, name) for name in PHRASES} | NUMBERS
    jinja.globals |= {name: getattr(facts, name) for name in FACTS}
    jinja.filters["ticks"] = _code_ticks
    jinja.globals["step_name"] = STEP_NAMES.__getitem__
    jinja.globals |= {"visible_line": visible_line, "not_measured": phrases.NOT_MEASURED}
    jinja.globals |= {
        "case_href": partial(_fragment, "case"),
        "cause_href": partial(_fragment, "cause"),
    }
    jinja.globals |= {
        "whole": UNBROKEN.format("fine-tune"),
        "whole_first": UNBROKEN.format("Fine-tune"),
    }
    return jinja


def _fragment(key: str, value: str) -> str:
    """Return a link within the page, encoded as the script's URLSearchParams reads it."""
    return f"#{urlencode({key: value}, errors='replace')}"


def _code_ticks(text: str) -> Markup:
    """Return escaped text; words in back-ticks become code elements."""
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", for_html(visible(text))))


def _printable(value: object) -> object:
    """Return a value to print: control and bidi characters escaped, None as "not measured"."""
    if value is None:
        return phrases.NOT_MEASURED
    if isinstance(value, Reason):
        value = str(value)
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
