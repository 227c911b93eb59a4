"""The report as one HTML page: a self-contained file, or a page that the lab serves."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from tuneworthy.records.counting import count_noun, score_text, tenths
from tuneworthy.records.escape import for_html, for_script, visible
from tuneworthy.records.reason import Reason
from tuneworthy.records.results import Results
from tuneworthy.report import (
    fact_lines,
    row_sections,
    score_sections,
    steadiness_sections,
    training_sections,
)
from tuneworthy.report._data import ScoreMatrix, page_data, score_matrix
from tuneworthy.report.column_names import name_cells
from tuneworthy.report.confidence_section import confidence_section
from tuneworthy.report.cost_section import cost_section
from tuneworthy.report.page_parts import Cell, Section, Shown, Span
from tuneworthy.report.view import opening
from tuneworthy.report.wrong_section import wrong_section
from tuneworthy.verdict import phrases

_REPORT_FOLDER = Path(__file__).parent
TEMPLATES = _REPORT_FOLDER / "templates"
_UNBROKEN = Markup('<span class="whole">{}</span>')
_FUNCTIONS = {
    "amount": phrases.amount,
    "counted": count_noun,
    "left_line": fact_lines.left_line,
    "next_line": fact_lines.next_line,
    "not_measured": phrases.NOT_MEASURED,
    "points": tenths,
    "score": score_text,
    "wide_line": fact_lines.wide_line,
    "whole": _UNBROKEN.format("fine-tune"),
    "whole_first": _UNBROKEN.format("Fine-tune"),
}
SECTIONS: tuple[Callable[[Results, ScoreMatrix], Section | None], ...] = (
    score_sections.scores_section,
    score_sections.differences_section,
    lambda results, matrix: confidence_section(results),
    cost_section,
    lambda results, matrix: training_sections.learning_section(results),
    lambda results, matrix: training_sections.training_section(results),
    lambda results, matrix: training_sections.students_section(results),
    lambda results, matrix: training_sections.changes_section(results),
    lambda results, matrix: steadiness_sections.robustness_section(results),
    lambda results, matrix: wrong_section(results),
    lambda results, matrix: steadiness_sections.freshness_section(results),
    score_sections.failures_section,
    lambda results, matrix: row_sections.questions_section(results),
    lambda results, matrix: row_sections.rows_section(results),
)
"""The sections above the list of cases, in order; one that measures nothing is None."""
_LAST_SECTIONS: tuple[Callable[[Results], Section | None], ...] = (
    score_sections.unclaimed_section,
    row_sections.minutes_section,
    row_sections.missing_section,
    row_sections.reproduce_section,
)


STYLES = ("base.css", "report.css")


@dataclass(frozen=True)
class ServedPage:
    """Links, and addresses in place of inline style and script, of a report that a server shows."""

    links: tuple[tuple[str, str], ...]
    """(name, address) of the server's menu; the first is its home."""

    styles: tuple[str, ...]
    """The addresses of the style sheets, in the order of `STYLES`."""

    script: str
    """The address of report.js."""

    policy: str = ""
    """The content security policy, where no server sends one."""

    here: str = ""
    """The name in the menu under which the page stands."""

    tabs: tuple[tuple[str, str], ...] = ()
    """(name, address) of the pages beside it; "" is the address of the page itself."""


def page(results: Results, served: ServedPage | None = None) -> str:
    """Return the whole study as one HTML page.

    The page reads without JavaScript; the script adds sliders (over the precomputed grid only)
    and the matrix of cases. The content security policy of a file allows only this script and this
    style, by hash; that of a served page is the server's. Texts of rows and answers are escaped in
    the page and in the data block.
    """
    matrix = score_matrix(results)
    data = page_data(results, matrix)
    listed = len(data["cases"])
    style, script = "".join(map(_static_text, STYLES)), _static_text("report.js")
    html = (
        _report_templates()
        .get_template("report.html.j2")
        .render(
            served=served,
            policy=served.policy if served else _security_policy(style, script),
            style=Markup(style),
            script=Markup(script),
            data=Markup(for_script(data)),
            volume=_volume_range(results),
            more_cases=listed if listed < len(results.cases) else 0,
            **_section_values(results, matrix),
        )
    )
    return name_cells(html) + "\n"


def _volume_range(results: Results) -> dict[str, Any]:
    """Return {"count", "why"} of the volume slider: its positions, or 0 and why it is fixed."""
    volumes = sorted({p.requests_per_month for p in results.grid if p.requests_per_month})
    if len(volumes) > 1:
        return {"count": len(volumes), "why": ""}
    missing = results.verdict.missing
    why = missing.get("/economics/break_even_per_month") or missing.get("/economics")
    key = "set economics.requests_per_month and economics.value_of_correct in task.yaml"
    return {"count": 0, "why": why or f"volume plays no part without prices: {key}"}


def _security_policy(style: str, script: str) -> str:
    """Return the content security policy: only this style and this script, by hash."""
    return (
        f"default-src 'none'; script-src '{_csp_hash(script)}'; style-src '{_csp_hash(style)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _csp_hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@lru_cache
def _static_text(name: str) -> str:
    return (_REPORT_FOLDER / "static" / name).read_text("utf-8")


@lru_cache
def _report_templates() -> jinja2.Environment:
    return template_environment(jinja2.FileSystemLoader(TEMPLATES))


def _section_values(results: Results, matrix: ScoreMatrix) -> dict[str, Any]:
    """Return the values of the page's template: first screen, ladder, sections."""
    return {
        "results": results,
        "verdict": results.verdict,
        "task": results.task,
        "view": opening(results),
        "ladder": score_sections.ladder_drawings(results, matrix),
        "graded": score_sections.has_partial_scores(matrix),
        "meanings": score_sections.arm_descriptions(results),
        "margins": score_sections.margin_ranges(results),
        "margin_axis": score_sections.margin_axis(results),
        "sections": [part for make in SECTIONS if (part := make(results, matrix))],
        "last_sections": [part for make in _LAST_SECTIONS if (part := make(results))],
    }


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
    jinja.filters |= {
        "ticks": _code_ticks,
        "shown": _shown,
        "said": _said,
        "sentence": phrases.as_sentence,
    }
    jinja.globals |= {"css_of": lambda shown: getattr(shown, "css", "")}
    jinja.globals |= _FUNCTIONS
    return jinja


LOOKS = {"strong": "<b>{}</b>", "soft": '<span class="soft">{}</span>', "code": "<code>{}</code>"}


def _shown(value: Shown) -> Markup:
    """Return what a part shows as HTML: escaped texts, spans and drawings."""
    if isinstance(value, Cell):
        return _shown(value.shown)
    if isinstance(value, tuple):
        return Markup().join(map(_shown, value))
    if not isinstance(value, Span):
        return Markup("{}").format(_printable(value))
    inner = _code_ticks(value.text) if value.said else Markup("{}").format(visible(value.text))
    inner = Markup(LOOKS.get(value.look, "{}")).format(inner)
    return Markup('<a href="{}">{}</a>').format(value.href, inner) if value.href else inner


def _said(value: Shown) -> Markup:
    """Return a paragraph as HTML; a string is a sentence, in which back-ticks mark code."""
    plain = isinstance(value, str) and not isinstance(value, Markup)
    return _code_ticks(value) if plain else _shown(value)


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
