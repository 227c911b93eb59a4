"""Output of a study: terminal, one HTML page, JSON, CSV, JUnit. Computes no statistics."""

from __future__ import annotations

from tuneworthy.core.errors import TaskError
from tuneworthy.core.results import Results

EXPORT_SUFFIXES = (".html", ".json", ".csv", ".xml")


def export_text(results: Results, suffix: str) -> str:
    """Return the study as text: a page (.html), the verdict (.json), answers (.csv), JUnit (.xml).

    Raises TaskError for any other suffix.
    """
    from tuneworthy.report import csv, html, json, junit

    if suffix == ".html":
        return html.page(results)
    if suffix == ".json":
        return json.verdict_json(results.verdict) + "\n"
    if suffix == ".csv":
        return csv.answers_csv(results)
    if suffix == ".xml":
        return junit.junit_xml(results)
    raise TaskError(
        "a report can't be written in this form",
        where="--output",
        got=suffix or "no suffix",
        fix=f"end the file's name in {', '.join(EXPORT_SUFFIXES)}",
    )
