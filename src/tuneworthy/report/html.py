"""The report as one HTML page: a self-contained file, or a page that the lab serves."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from tuneworthy.core.escape import for_script
from tuneworthy.core.results import Results
from tuneworthy.report._cells import score_matrix
from tuneworthy.report._column_names import name_cells
from tuneworthy.report._data import page_data
from tuneworthy.report._pieces import TEMPLATES, section_values, template_environment

REPORT_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class ServedPage:
    """Links, and addresses in place of inline style and script, of a report that a server shows."""

    links: tuple[tuple[str, str], ...]
    """(name, address) of the server's pages that it links to."""

    style: str
    """The address of report.css."""

    script: str
    """The address of report.js."""


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
    style, script = _static_text("report.css"), _static_text("report.js")
    html = (
        _report_templates()
        .get_template("report.html.j2")
        .render(
            served=served,
            policy=_security_policy(style, script),
            style=Markup(style),
            script=Markup(script),
            data=Markup(for_script(data)),
            volume=_volume_range(results),
            more_cases=listed if listed < len(results.cases) else 0,
            **section_values(results, matrix),
        )
    )
    return name_cells(html) + "\n"


def _volume_range(results: Results) -> dict[str, Any]:
    """Return the range of the volume slider, or why it is fixed."""
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
    return (REPORT_FOLDER / "static" / name).read_text("utf-8")


@lru_cache
def _report_templates() -> jinja2.Environment:
    return template_environment(jinja2.FileSystemLoader(TEMPLATES))
