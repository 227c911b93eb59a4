"""The verdict as JUnit XML for CI: one test per arm, one for the target."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from tuneworthy.core.escape import visible
from tuneworthy.core.results import Results
from tuneworthy.report import fact_lines
from tuneworthy.report.fact_lines import left_line
from tuneworthy.verdict import phrases


def junit_xml(results: Results) -> str:
    """Return one suite: the verdict (fails if blocked), the target if one is set, and each arm.

    An arm fails if it violates a limit or could not run, and is skipped if it was skipped.
    """
    verdict = results.verdict
    suite = ET.Element("testsuite", name=f"tuneworthy {results.task.name}")
    head = phrases.headline(verdict.use, verdict.status)
    _add_test(suite, "verdict", "" if verdict.status != "blocked" else fact_lines.use_line(results))
    if results.task.success.target is not None:
        line = phrases.target_line(verdict, results.task.success.target)
        _add_test(suite, "target", "" if verdict.target_met else line)
    for arm in results.evidence.arms:
        why = f"violated: {out}" if (out := phrases.violated_limits(arm)) else ""
        told = str(arm.because or "")
        test = _add_test(suite, f"arm {arm.name}", told if arm.state == "failed" else why)
        if arm.state == "skipped":
            ET.SubElement(test, "skipped", message=_xml_text(told))
    suite.set("tests", str(len(suite)))
    suite.set("failures", str(len(suite.findall("*/failure"))))
    suite.set("skipped", str(len(suite.findall("*/skipped"))))
    summary = f"{head} {fact_lines.use_line(results)} {left_line(results)}"
    ET.SubElement(suite, "system-out").text = _xml_text(summary)
    return ET.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _add_test(suite: ET.Element, name: str, failure: str) -> ET.Element:
    test = ET.SubElement(suite, "testcase", name=_xml_text(name), classname="tuneworthy")
    if failure:
        ET.SubElement(test, "failure", message=_xml_text(failure))
    return test


def _xml_text(text: str) -> str:
    """Return text without the characters that XML cannot represent."""
    return visible(text).replace("\ufffe", "\\ufffe").replace("\uffff", "\\uffff")
