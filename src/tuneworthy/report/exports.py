"""A study as text: the page, the verdict as JSON with its schema, JUnit for CI, answers as CSV."""

from __future__ import annotations

import csv
import io
import json
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any

from tuneworthy.records.answer import Score
from tuneworthy.records.escape import for_csv, visible
from tuneworthy.records.record import canonical
from tuneworthy.records.results import Results
from tuneworthy.records.verdict import Verdict
from tuneworthy.report import fact_lines
from tuneworthy.report.fact_lines import left_line
from tuneworthy.verdict import phrases

if TYPE_CHECKING:  # the report computes no statistics, so it must not import them
    from tuneworthy.explain.two_studies import Repetition

from tuneworthy.records.errors import TaskError

_EXPORT_SUFFIXES = (".html", ".json", ".csv", ".xml")


def export_text(results: Results, suffix: str) -> str:
    """Return the study as text: a page (.html), the verdict (.json), answers (.csv), JUnit (.xml).

    Raises TaskError for any other suffix.
    """
    from tuneworthy.report.html import page

    if suffix == ".html":
        return page(results)
    if suffix == ".json":
        return verdict_json(results.verdict) + "\n"
    if suffix == ".csv":
        return answers_csv(results)
    if suffix == ".xml":
        return junit_xml(results)
    raise TaskError(
        "a report can't be written in this form",
        where="--output",
        got=suffix or "no suffix",
        fix=f"end the file's name in {', '.join(_EXPORT_SUFFIXES)}",
    )


def verdict_json(verdict: Verdict) -> str:
    """Return verdict.json: public names, indent 2, deterministic. Raise ValueError for NaN."""
    plain = verdict.plain()
    text = json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # a lone surrogate in a row can't be written as UTF-8
        text = json.dumps(plain, indent=2, ensure_ascii=True, allow_nan=False)
    return text


def repeated_json(repeated: Repetition) -> str:
    """Return a repeated verdict as JSON text: both verdicts, the differences now minus before."""
    return canonical(
        {
            "verdict": repeated.now.plain(),
            "before": repeated.before.plain(),
            "arm_changed": repeated.changed,
            "difference": "now - before",
            "pairs": [pair.plain() for pair in repeated.pairs],
            "left_out": repeated.left_out,
            "because": repeated.because,
            **({"caution": repeated.caution} if repeated.caution else {}),
        }
    )


def verdict_schema() -> dict[str, Any]:
    """Return the JSON schema of verdict.json, generated from the record."""
    schema = Verdict.model_json_schema(by_alias=True, mode="serialization")
    about = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "verdict.json"}
    return {**about, **{key: value for key, value in schema.items() if key != "title"}}


def schema_text() -> str:
    """Return the JSON schema of verdict.json as text, as it is shipped in this folder."""
    return json.dumps(verdict_schema(), indent=2, sort_keys=True) + "\n"


def junit_xml(results: Results) -> str:
    """Return JUnit XML: the verdict (fails if blocked), the target if one is set, and each arm.

    An arm fails if it violates a limit or could not run, and is skipped if it was skipped.
    """
    verdict = results.verdict
    suite = ET.Element("testsuite", name=f"tuneworthy {results.task.name}")
    head = phrases.headline(verdict.use, verdict.status, verdict.left_on_table is not None)
    add_test(suite, "verdict", "" if verdict.status != "blocked" else fact_lines.use_line(results))
    if results.task.success.target is not None:
        line = phrases.target_line(verdict, results.task.success.target)
        add_test(suite, "target", "" if verdict.target_met else line)
    for arm in results.evidence.arms:
        why = f"violated: {out}" if (out := phrases.violated_limits(arm)) else ""
        told = str(arm.because or "")
        test = add_test(suite, f"arm {arm.name}", told if arm.state == "failed" else why)
        if arm.state == "skipped":
            ET.SubElement(test, "skipped", message=xml_text(told))
    suite.set("tests", str(len(suite)))
    suite.set("failures", str(len(suite.findall("*/failure"))))
    suite.set("skipped", str(len(suite.findall("*/skipped"))))
    summary = f"{head} {fact_lines.use_line(results)} {left_line(results)}"
    ET.SubElement(suite, "system-out").text = xml_text(summary)
    return ET.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def add_test(suite: ET.Element, name: str, failure: str) -> ET.Element:
    """Add a test to a suite of JUnit and return it; it fails where `failure` says why."""
    test = ET.SubElement(suite, "testcase", name=xml_text(name), classname="tuneworthy")
    if failure:
        ET.SubElement(test, "failure", message=xml_text(failure))
    return test


def xml_text(text: str) -> str:
    """Return text without the characters that XML cannot represent."""
    return visible(text).replace("\ufffe", "\\ufffe").replace("\uffff", "\\uffff")


_CSV_COLUMNS = ("case", "arm", "role", "seed", "fold", "score", "valid", "answer", "extracted",
               "target", "why", "error", "tokens_in", "tokens_out", "seconds", "usd")  # fmt: skip


def answers_csv(results: Results) -> str:
    """Return CSV text: a line per answer, its score and reason; unmeasured values are empty."""
    targets = {case.id: case.output for case in results.cases}
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")  # so a lone CR in a cell is quoted too
    writer.writerow(_CSV_COLUMNS)
    for run in results.runs:
        for i, answer in enumerate(run.answers):
            scored = run.scores[i] if i < len(run.scores) else None
            good = scored if isinstance(scored, Score) else None
            why = good.why if good else getattr(scored, "reason", "")
            values = (
                answer.case, run.spec.name, run.spec.role, run.seed, run.fold,
                good.value if good else None, good.valid if good else None, answer.text,
                good.extracted if good else None, targets.get(answer.case), why, answer.error,
                answer.tokens_in, answer.tokens_out, answer.seconds, answer.usd,
            )  # fmt: skip
            writer.writerow([_cell_text(value) for value in values])
    return out.getvalue()


def _cell_text(value: object) -> str:
    if isinstance(value, str):
        return for_csv(value.encode("utf-8", "backslashreplace").decode())
    return "" if value is None else str(value)
