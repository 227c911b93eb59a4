"""The report's text sections: missing values, questions, audit of the rows, how to reproduce."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from tuneworthy.core.finding import Finding
from tuneworthy.core.look_text import look_line
from tuneworthy.core.plugins import catalogue, load
from tuneworthy.core.results import Results
from tuneworthy.questions import CHECKLIST
from tuneworthy.report import _svg as svg
from tuneworthy.report._cells import null_pointers
from tuneworthy.report.checks import most_serious_first
from tuneworthy.verdict import phrases

NOT_MEASURED = re.compile(r"^not measured \((.*?)\)")
MAY_NOT_APPLY = ("next/rows", "next/clicks", "next/usd", "next/minutes", "/tool", "/prior",
                 "/placebo")  # fmt: skip


def missing_values(results: Results) -> list[dict[str, Any]]:
    """Return the values of the verdict that were not measured, grouped by arms and reason."""
    reasons = dict(results.verdict.missing)
    for pointer in null_pointers(results.verdict.plain()):
        if pointer not in reasons and not pointer.endswith(MAY_NOT_APPLY):
            covered = next((r for p, r in reasons.items() if pointer.startswith(f"{p}/")), None)
            reasons[pointer] = covered or _missing_reason(results, pointer)
    grouped: dict[tuple[str, str], list[str]] = defaultdict(list)
    for pointer, reason in reasons.items():
        place, what = _owner_and_field(results, pointer)
        grouped[what, reason].append(place)
    merged: dict[tuple[tuple[str, ...], str], list[str]] = defaultdict(list)
    for (what, reason), places in grouped.items():
        merged[tuple(place for place in places if place), reason].append(what)
    return [
        {"what": ", ".join(whats), "where": list(where), "why": reason}
        for (where, reason), whats in merged.items()
    ]


def questions_section(results: Results) -> dict[str, list[dict[str, Any]]]:
    """Return the checklist of five and the other questions, each with its answer."""
    rows = [_question_row(finding) for finding in results.verdict.questions]
    five = [row for row in rows if row["name"] in CHECKLIST]
    return {"five": five, "others": [row for row in rows if row not in five]}


def _question_row(finding: Finding) -> dict[str, Any]:
    """Return a finding as a table row; `wrong` says why tuning is wrong where the answer is no."""
    known = finding.name in catalogue("questions")
    module = load("questions", finding.name) if known else None
    because = NOT_MEASURED.sub(r"\1", finding.because, count=1)
    return {
        "name": finding.name,
        "question": module.QUESTION if module else finding.name.replace("_", " "),
        "answer": finding.answer,
        "tone": _answer_tone(finding, getattr(module, "AGAINST", "no")),
        "number": phrases.finding_quantity(finding, getattr(module, "UNIT", "")),
        "wrong": getattr(module, "WRONG", "") if finding.answer == "no" else "",
        "because": because[:1].upper() + because[1:],
        "next": finding.next,
        "prior": finding.prior,
    }


def _answer_tone(finding: Finding, against: str) -> str:
    """Return the colour class: `yes` if the answer speaks for tuning, `no`, or `not_measured`."""
    if finding.answer == "not_measured":
        return finding.answer
    return "no" if finding.answer == against else "yes"


def _owner_and_field(results: Results, pointer: str) -> tuple[str, str]:
    """Return (name of the arm or question or "", field) for a JSON pointer into the verdict."""
    parts = pointer.strip("/").split("/")
    lists: dict[str, Any] = {"arms": results.verdict.arms, "questions": results.verdict.questions}
    if len(parts) > 2 and parts[0] in lists and parts[1].isdigit():
        rows = lists[parts[0]]
        name = rows[int(parts[1])].name if int(parts[1]) < len(rows) else parts[1]
        return name, "/".join(parts[2:])
    return "", "/".join(parts)


def _missing_reason(results: Results, pointer: str) -> str:
    parts = pointer.strip("/").split("/")
    arms = {arm.name: arm for arm in results.evidence.arms}
    if parts[0] == "arms" and parts[1].isdigit():
        arm = arms.get(results.verdict.arms[int(parts[1])].name)
        if arm and (why := arm.missing.get(parts[2]) or arm.because):
            return str(why)
        if parts[2] == "delta":
            return "it is the named arm or was not compared: no paired claim is made"
        if parts[2] == "fit_seconds":
            return "nothing is fitted"
        if parts[2] == "seed":
            return "it has no seed"
    if parts[0] == "questions":
        return results.verdict.questions[int(parts[1])].because
    return phrases.UNKNOWN


def audit_section(results: Results) -> dict[str, Any]:
    """Return the template values of the audit: observations by severity, class sizes as bars."""
    report = results.audit
    sizes = sorted((report.classes or {}).items(), key=lambda item: -item[1])
    most = max((n for _, n in sizes), default=1)
    return {
        "audit": report,
        "observations": most_serious_first(report),
        "classes": [
            (name, n, svg.drawing(8, f"{name}: {n}", svg.block(0, 100 * n / most, 0, 100, "bar")))
            for name, n in sizes[:30]
        ],
        "more": max(len(sizes) - 30, 0),
    }


def reproduce_rows(results: Results) -> list[tuple[str, str]]:
    """Return versions, hardware, hashes and commands as (name, text) pairs."""
    seen = results.evidence
    looks = look_line(results.verdict.looks, seen.looks_scope, seen.locked)
    rows = [
        ("task", results.task.hash),
        ("evidence", results.evidence.hash),
        ("rows", results.plan.rows),
        ("looks at these cases", looks),
    ]
    if results.verdict.seconds is not None:
        rows.append(("seconds of all units", phrases.duration(results.verdict.seconds)))
    return rows + list(_flat_pairs(results.reproduce))


def _flat_pairs(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flat_pairs(item, f"{name} {key}".strip())
    elif isinstance(value, list | tuple):
        yield name, "  ".join(str(item) for item in value)
    else:
        yield name, "not recorded" if value is None else str(value)


def task_text(results: Results) -> list[str]:
    """Return the measured task as lines of JSON, without keys at their default."""
    plain = results.task.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return json.dumps(plain, indent=2, ensure_ascii=False).split("\n")
