"""The page's sections on questions, rows, minutes, what is missing and how to reproduce it."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from tuneworthy.explain.questions import CHECKLIST
from tuneworthy.matrix.look_text import look_line
from tuneworthy.records.audit_report import Audit, Observation
from tuneworthy.records.counting import count_noun
from tuneworthy.records.plugins import catalogue, load
from tuneworthy.records.results import Results
from tuneworthy.records.verdict import Finding
from tuneworthy.report import _svg as svg
from tuneworthy.report.checks import detectable_line, most_serious_first
from tuneworthy.report.page_parts import (
    Cell,
    Columns,
    Details,
    Facts,
    Heading,
    Items,
    Preformatted,
    Section,
    Shown,
    Span,
    Table,
    Text,
    soft,
    strong,
)
from tuneworthy.verdict import phrases
from tuneworthy.verdict.missing import json_pointer, null_paths

_STEP_NAMES = {
    "run": "run",
    "leave out": "not run",
    "stop": "stopped",
    "all folds": "run on all folds",
    "more folds": "run on more folds",
}
NOT_MEASURED = re.compile(r"^not measured \((.*?)\)")


def missing_values(results: Results) -> list[dict[str, Any]]:
    """Return [{"what", "where", "why"}] of the verdict's unmeasured values, grouped by reason."""
    told = results.verdict.missing
    nulls = map(json_pointer, null_paths(results.verdict.plain()))
    reasons = {**told, **{null: phrases.UNKNOWN for null in nulls if null not in told}}
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


def missing_section(results: Results) -> Section:
    """Return the section on what was not measured, and why."""
    title, rows = "Not measured, and why", missing_values(results)
    if not rows:
        return Section("missing", title, [Text("Every value of this verdict was measured.")])
    table = [(Span(row["what"], "code"), ", ".join(row["where"]), Span(row["why"], said=True))
             for row in rows]  # fmt: skip
    about = Text("A number that was not measured is empty, never 0.")
    return Section("missing", title, [about, Table(("Value", "Of", "Why"), table)])


def questions_section(results: Results) -> Section | None:
    """Return the section with the checklist of five and other questions; None without answers."""
    found = results.verdict.questions
    five = [one for one in found if one.name in CHECKLIST]
    about = (
        "A yes takes away a reason against tuning, and calls for none; a no is a reason to do"
        " something else first. What to use is decided by the scores: the verdict above says"
        f" “{phrases.headline_and_arm(results.verdict)}”. The known prior decides nothing either."
    )
    columns = ("Question", "Answer", "#Measured", "The known prior", "Because")
    parts: list[Any] = []
    for title, listed in (("The five-question checklist", five),
                          ("Four more", [one for one in found if one not in five])):  # fmt: skip
        if listed:
            parts += [Heading(title)] + [Text(about, "soft")] * (not parts)
            parts.append(Table(columns, list(map(_question_row, listed))))
    return Section("questions", "The questions, answered on your rows", parts) if found else None


def _question_row(finding: Finding) -> tuple[Shown, ...]:
    """Return a finding as a table row, with why tuning is wrong where the answer is no."""
    known = finding.name in catalogue("questions")
    module = load("questions", finding.name) if known else None
    because = NOT_MEASURED.sub(r"\1", finding.because, count=1)
    wrong = getattr(module, "WRONG", "") if finding.answer == "no" else ""
    number = phrases.finding_quantity(finding, getattr(module, "UNIT", ""))
    tone = _answer_tone(finding, getattr(module, "AGAINST", "no"))
    return (
        module.QUESTION if module else finding.name.replace("_", " "),
        Cell(finding.answer.replace("_", " "), f"answer-{tone}"),
        number or soft("—"),
        soft(f"prior: {finding.prior}") if finding.prior else "",
        (
            *((strong(wrong), " ") if wrong else ()),
            Span(f"{because[:1].upper()}{because[1:]}.", said=True),
            *((" ", soft(f"Next: {finding.next}.", said=True)) if finding.next else ()),
        ),
    )


def _answer_tone(finding: Finding, against: str) -> str:
    """Return the colour class: "yes" if the answer speaks for tuning, "no", or "not_measured"."""
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


def rows_section(results: Results) -> Section:
    """Return the section on the rows: what was seen in them, sizes of classes, lengths."""
    audit = results.audit
    folds = f" in {audit.folds} folds, every one by an arm that never saw it"
    about = (
        f"{audit.used:,} of {count_noun(audit.rows, 'row')} used, {audit.scored:,} scored"
        f"{folds * (audit.folds > 1)}. Contradictory answers touch"
        f" {100 * audit.conflict_share:.1f} % of them. {detectable_line(audit.visible)}"
    )
    measured = results.evidence.soundness
    known = measured is not None and measured.differ is not None
    items: list[tuple[str, Shown]] = [
        (seen.level, (strong(seen.level), " ", Span(_observed(
            # the count of rows in its repair was assumed; the question on evaluation measured it
            seen.model_copy(update={"fix": ""}) if known and seen.kind == "few_rows" else seen
        ), said=True), *_ids_of(seen)))
        for seen in most_serious_first(audit)
    ]  # fmt: skip
    items = items or [("", "Nothing to mend was seen.")]
    items += [("note", (strong("left out"), f" {count_noun(n, 'row')}: {why}"))
              for why, n in audit.excluded.items() if n]  # fmt: skip
    columns = (f"Length, {audit.unit}", "#least", "#median", "#95 %", "#most")
    lengths = [(what, *(f"{size:,}" for size in sizes)) for what, sizes in audit.lengths.items()]
    right = [*_class_parts(audit), Table(columns, lengths, "plain")]
    parts: list[Any] = [Text(about), Columns([[Items(items)], right])]
    if more := results.verdict.next.rows:
        parts.insert(1, Text(
            f"To label next: {count_noun(more, 'more row')}, which decide between two arms as they"
            " were measured. The question on evaluation counts others: those that show any"
            " difference of the margin."
        ))  # fmt: skip
    return Section("rows", "What do the rows look like?", parts)


def _observed(seen: Observation) -> str:
    colon = "" if seen.text.endswith("?") else ":"
    return f"{seen.text}{f'{colon} {seen.fix}' if seen.fix else ''}."


def _ids_of(seen: Observation) -> Iterator[Shown]:
    for case in seen.ids:
        yield " "
        yield Span(case, "code")
    if seen.count > len(seen.ids) > 0:
        yield " and more"


def _class_parts(audit: Audit) -> Iterator[Any]:
    if not audit.classes:
        return
    sizes = sorted(audit.classes.items(), key=lambda item: -item[1])
    rows = [
        (name, Cell(svg.drawing(8, f"{name}: {n}", svg.block(0, 100 * n / sizes[0][1], 0, 100,
                                                              "bar")), "drawn"), f"{n:,}")
        for name, n in sizes[:30]
    ]  # fmt: skip
    yield Table(("Label", "Share", "#Rows"), rows, "plain classes")
    if len(sizes) > 30:
        yield Text(f"and {len(sizes) - 30} more", "soft")


def minutes_section(results: Results) -> Section | None:
    """Return the section on which arms were run, when and why; None if no rule chose among them."""
    about = (
        "Cheap arms run first. A rule that was fixed before the first answer was scored decides"
        " which others are worth their minutes."
    )
    rows = [(step.arm, _STEP_NAMES[step.do], f"{step.minutes:.1f} min", step.why)
            for step in results.steps]  # fmt: skip
    parts = [Text(about), Table(("arm", "decision", "after", "why"), rows, "")]
    return Section("minutes", "How were the minutes spent?", parts) if rows else None


def reproduce_section(results: Results) -> Section:
    """Return the section on versions, hardware, hashes, commands, and the task as measured."""
    rows: list[tuple[str, Shown]] = [
        (name, Span(str(text), "code")) for name, text in _reproduce_rows(results)
    ]
    if results.plan.cuts:
        rows.append(("left out to fit the minutes", "; ".join(results.plan.cuts)))
    inferred = ", ".join(results.task.inferred)
    title = (
        f"The task as it was measured{f' (inferred from the rows: {inferred})' * bool(inferred)}"
    )
    task = Preformatted(_task_text(results))
    return Section("reproduce", "How to reproduce this", [Facts(rows), Details(title, [task])])


def _reproduce_rows(results: Results) -> list[tuple[str, str]]:
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
    told = dict(rows)
    more = [pair for pair in _flat_pairs(results.reproduce) if told.get(pair[0]) != pair[1]]
    return rows + more


def _flat_pairs(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flat_pairs(item, f"{name} {key}".strip())
    elif isinstance(value, list | tuple):
        yield name, ", ".join(str(item) for item in value)
    else:
        yield name, "not recorded" if value is None else str(value)


def _task_text(results: Results) -> list[str]:
    """Return the measured task as lines of JSON, without keys at their default."""
    plain = results.task.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return json.dumps(plain, indent=2, ensure_ascii=False).split("\n")
