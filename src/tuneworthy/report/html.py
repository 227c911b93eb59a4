"""The report: one self-contained HTML file that makes no request and prints well."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from tuneworthy.core.escape import for_html, for_script, visible
from tuneworthy.core.results import Results
from tuneworthy.report import _across as reading
from tuneworthy.report import _changes, _curve, _fresh, _money, _robust
from tuneworthy.report import _notes as notes
from tuneworthy.report import _sections as sections
from tuneworthy.report import _words as words
from tuneworthy.report._cautions import cautions
from tuneworthy.report._cells import cells
from tuneworthy.report._data import page_data
from tuneworthy.report._requests import request_lines
from tuneworthy.report._students import student_lines
from tuneworthy.report._tables import visible_line

HERE = Path(__file__).parent
NOT_MEASURED = "not measured"
STEPS = {
    "run": "run",
    "leave out": "not run",
    "stop": "stopped",
    "all folds": "run on all folds",
    "more folds": "run on more folds",
}
WHOLE = Markup('<span class="whole">{}</span>')


def page(results: Results) -> str:
    """Return the whole study as one HTML page.

    The page reads without JavaScript; the script adds sliders (over the precomputed grid only)
    and the matrix of cases. The content security policy allows only this script and this style,
    by hash. Text of rows and answers is escaped, in the page and in the data block.
    """
    matrix = cells(results)
    style, script = _static("report.css"), _static("report.js")
    return _templates().get_template("report.html.j2").render(
        policy=_policy(style, script),
        style=Markup(style),
        script=Markup(script),
        data=Markup(for_script(page_data(results, matrix))),
        results=results,
        verdict=results.verdict,
        task=results.task,
        named=words.arm_named(results),
        ladder=sections.ladder(results, matrix),
        graded=any(v not in (None, 0, 1) for column in matrix.values.values() for v in column),
        meanings=sections.meanings(results),
        margins=sections.margins(results),
        margin_axis=sections.margin_axis(results),
        volume=_volume_range(results),
        forest=sections.forest(results),
        differences=sections.differences(results),
        trade_offs=sections.trade_offs(results),
        trainings=sections.trainings(results),
        failures=sections.failure_map(results, matrix),
        unclaimed=sections.unclaimed(results),
        across=reading.failures_section(results),
        money=_money.money(results),
        learning=_curve.learning(results),
        fresh=_fresh.freshness_section(results),
        students=student_lines(results),
        changes=_changes.changes_section(results),
        robust=_robust.robustness_section(results),
        questions=notes.questions(results),
        missing=notes.missing(results),
        audit=notes.audit(results),
        cautions=cautions(results),
        reproduce=notes.reproduce(results),
        request_lines=request_lines(results),
        task_text=notes.task_text(results),
    ) + "\n"  # fmt: skip


def _volume_range(results: Results) -> dict[str, Any]:
    """Return the range of the volume slider, or why it is fixed."""
    volumes = sorted({p.requests_per_month for p in results.grid if p.requests_per_month})
    if len(volumes) > 1:
        return {"count": len(volumes), "why": ""}
    missing = results.verdict.missing
    why = missing.get("/economics/break_even_per_month") or missing.get("/economics")
    key = "set economics.requests_per_month and economics.value_of_correct in task.yaml"
    return {"count": 0, "why": why or f"volume plays no part without prices: {key}"}


def _policy(style: str, script: str) -> str:
    """Return the content security policy: only this style and this script, by hash."""
    return (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@lru_cache
def _static(name: str) -> str:
    return (HERE / "static" / name).read_text("utf-8")


@lru_cache
def _templates() -> jinja2.Environment:
    jinja = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        finalize=_shown,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    names = ("amount", "confidence", "counted", "duration", "headline", "left_line",
             "limit_lines", "next_line", "not_certain", "pays_line", "points", "score",
             "scored_line", "signed", "span", "status_line", "target_line", "use_line",
             "wide_line")  # fmt: skip
    jinja.globals |= {name: getattr(words, name) for name in names}
    jinja.filters["ticks"] = _ticks
    jinja.globals["step_name"] = STEPS.__getitem__
    jinja.globals |= {"visible_line": visible_line, "not_measured": NOT_MEASURED}
    jinja.globals |= {"whole": WHOLE.format("fine-tune"), "whole_first": WHOLE.format("Fine-tune")}
    return jinja


def _ticks(text: str) -> Markup:
    """Return escaped text with `names` in back-ticks as code elements."""
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", for_html(visible(text))))


def _shown(value: object) -> object:
    """Return a printed value with control and bidi characters made visible."""
    if value is None:
        return NOT_MEASURED
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
