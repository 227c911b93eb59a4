"""A gate's verdict as terminal screen, JSON, one Markdown comment and JUnit; its flip rate."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any

from rich.text import Text

from tuneworthy.records.counting import count_noun, percent, points, score_text
from tuneworthy.records.escape import for_html, quoted, visible
from tuneworthy.records.own_files import OwnKind
from tuneworthy.report.comparisons import wide_line
from tuneworthy.report.exports import add_test, xml_text
from tuneworthy.report.screen import Screen, bar, cell
from tuneworthy.verdict import phrases
from tuneworthy.verdict.gate_flips import FLIP_GOAL

if TYPE_CHECKING:  # the report computes no statistics, so it must not import them
    from tuneworthy.explain.two_logs import AnsweredCase, LogComparison
    from tuneworthy.verdict.gate_flips import FlipRate, FlipReport
    from tuneworthy.verdict.gate_rule import Gate

MARKER = "<!-- tuneworthy gate: {} -->"
COMMENT = OwnKind("a comment of a gate", lambda head: head.startswith(b"<!-- tuneworthy gate: "))
_ICONS = {"better": "✅", "no worse": "✅", "worse": "❌", "cannot say": "❔"}
_SHOWN_ROWS = 5  # rows lost, and rows won, in the comment
_CELL_LETTERS = 80


def _look_sentence(gate: Gate) -> str:
    """Return which look this was, and what the bounds pay for it."""
    look, level = gate.look, gate.policy.level
    whose = f" of change {quoted(gate.change, 40)}" if gate.change else ""
    sure = phrases.confidence(2 * gate.verdict.pair.level)
    told = f"Look {look.number} at these rows{whose}: the interval is two-sided {sure}"
    if look.counted:
        return f"{told}; the same answers were seen before, which is no new look."
    if look.number == 1:
        return f"{told}."
    again = " continues earlier looks and" if look.earlier else ""
    return (
        f"{told}. It{again} pays for every look before it, so that all looks of one change together"
        f" say better of an equal system in at most {percent(level)} of changes."
    )


def gate_screen(gate: Gate, width: int = 80, plain: bool = False) -> Text:
    """Return the screen: the outcome, why, what would settle it, both systems, the look."""
    screen, verdict, compared = Screen(width, plain), gate.verdict, gate.compared
    count = count_noun(verdict.pair.n, "row")
    head = f"{verdict.outcome.upper()}: {'does not pass' if gate.exit_code else 'passes'}"
    screen.add(Text("  ").append(cell(head, width - len(count) - 4), "bold").append(count, "dim"))
    screen.say(verdict.sentence, verdict.next_step, wide_line(compared.result))
    screen.add()
    room = width - 2 - 3 - 10 - 1 - 4 - 2
    names = zip("AB", compared.result.names, compared.result.score_intervals, strict=True)
    for letter, full, score in names:
        line = f"  {letter}  {cell(screen.safe(full), room)} {bar(score.mean, 10)} "
        screen.add(Text(line).append(cell(score_text(score.mean), 4, right=True), "bold"))
    screen.say(_counts_sentence(gate))
    screen.add()
    counted = f"Looks are counted in {quoted(gate.looks, 60)}: keep it from run to run."
    screen.say(f"{_look_sentence(gate)} {counted}", style="dim")
    screen.say(*_notes(compared), style="yellow")
    return screen.text()


def _counts_sentence(gate: Gate) -> str:
    pair, compared = gate.verdict.pair, gate.compared
    guess = " (guessed)" if compared.guessed else ""
    return (
        f"B won {pair.wins:,}, lost {pair.losses:,}, equal on {compared.result.rows_scored_equal:,}"
        f" rows, scored by {compared.metric}{guess}."
    )


def _notes(compared: LogComparison) -> list[str]:
    """Return sentences on rows left out, on a guessed metric, and the comparison's own notes."""
    out = compared.left_out.items()
    guess = (
        "The metric is guessed from the rows and these answers, so another commit may get another"
        f" one: name it with --metric {compared.metric}."
    )
    return [
        *(f"Not counted: {count_noun(n, 'row')}, {why}." for why, n in out),
        *([guess] if compared.guessed else []),
        *map(phrases.as_sentence, compared.notes),
    ]


def gate_json(gate: Gate) -> str:
    """Return the verdict as JSON, all numbers of the difference b - a in [-1, 1]."""
    verdict, policy, pair = gate.verdict, gate.policy, gate.verdict.pair
    body: dict[str, Any] = {
        "gate": verdict.outcome,
        "passes": gate.exit_code == 0,
        "exit_code": gate.exit_code,
        "because": verdict.sentence,
        "next": verdict.next_step,
        "doubts": [*verdict.doubts],
        "margin": policy.margin,
        "level": policy.level,
        "difference": "b - a",
        **{key: getattr(pair, key) for key in ("n", "mean", "low", "high", "wins", "losses")},
        "holds": verdict.holds,
        "more_rows": verdict.rows.more(pair.n) if verdict.rows else None,
        "repeats": None if pair.repeats is None else pair.repeats.k,
        "repeats_needed": verdict.repeats,
        "look": gate.look.number,
        "look_counted_before": gate.look.counted,
        "looks_file": gate.looks,
        "bound_level": pair.level,
        "change": gate.change,
        "metric": gate.compared.metric,
        "left_out": gate.compared.left_out,
        "notes": [*gate.compared.notes],
    }
    systems = zip("ab", gate.compared.result.names, gate.compared.result.score_intervals,
                  strict=True)  # fmt: skip
    body |= {key: {"name": name, "score": score.plain()} for key, name, score in systems}
    return json.dumps(body, indent=2)


def _gate_name(gate: Gate) -> str:
    """Return the name by which a gate's comment is found again: that of its rows."""
    return re.sub(r"[^\w.-]+", "-", gate.rows) or "rows"


def gate_markdown(gate: Gate) -> str:
    """Return the comment on a pull request, which begins with the line that finds it again."""
    verdict, result = gate.verdict, gate.compared.result
    lines = [
        MARKER.format(_gate_name(gate)),
        f"### {_ICONS[verdict.outcome]} {verdict.outcome} · tuneworthy gate",
        "",
        _markdown(verdict.sentence),
        *([_markdown(verdict.next_step)] if verdict.next_step else []),
        "",
        "| | system | score | 95 % |",
        "|---|---|---|---|",
    ]
    for letter, name, score in zip("AB", result.names, result.score_intervals, strict=True):
        ends = phrases.bounds_text(score) if verdict.holds else "–"
        lines.append(f"| {letter} | {_cell(name)} | {score_text(score.mean)} | {ends} |")
    lines += ["", _markdown(_counts_sentence(gate)), *_row_table(gate)]
    lines += ["", *(f"- {_markdown(note)}" for note in _notes(gate.compared)), "",
              f"<sub>{_markdown(_look_sentence(gate))} Margin"
              f" {points(verdict.margin)}.</sub>"]  # fmt: skip
    return "\n".join(lines) + "\n"


def _row_table(gate: Gate) -> list[str]:
    """Return a folded table of rows that B lost and won, the largest differences first."""
    cases = sorted((c for c in gate.compared.result.cases if c.difference),
                   key=lambda c: c.difference)  # fmt: skip
    lost = [case for case in cases if case.difference < 0][:_SHOWN_ROWS]
    won = [case for case in reversed(cases) if case.difference > 0][:_SHOWN_ROWS]
    if not cases:
        return []
    head = f"{len(lost)} rows that B lost, {len(won)} that it won"
    return [
        "",
        f"<details><summary>{head}</summary>",
        "",
        "| | row | input | right | A | B |",
        "|---|---|---|---|---|---|",
        *(_row_line("lost", case) for case in lost),
        *(_row_line("won", case) for case in won),
        "",
        "</details>",
    ]


def _row_line(kind: str, row: AnsweredCase) -> str:
    texts = row.case.id, row.case.input, row.case.output, *(one.text for one in row.answers)
    return f"| {kind} | " + " | ".join(map(_cell, texts)) + " |"


def _cell(text: str) -> str:
    return _markdown(quoted(" ".join(text.split()), _CELL_LETTERS)) or "(empty)"


def _markdown(text: str) -> str:
    """Return data as Markdown that shows it: no markup, no mention, no link, no HTML of its own."""
    safe = re.sub(r"([\\`*_{}\[\]#|~])", r"\\\1", for_html(visible(text)).replace("&#x27;", "'"))
    return safe.replace("@", "@\u200b").replace("://", ":\u200b//")


def gate_junit(gate: Gate) -> str:
    """Return JUnit XML with one test: failed if worse; *cannot say* is skipped if it passes."""
    verdict = gate.verdict
    told = f"{verdict.outcome}: {verdict.sentence} {verdict.next_step}".strip()
    unsure = verdict.outcome == "cannot say"
    suite = ET.Element("testsuite", name=f"tuneworthy gate {xml_text(_gate_name(gate))}")
    test = add_test(suite, "gate", told if gate.exit_code and not unsure else "")
    if unsure:
        ET.SubElement(test, "failure" if gate.exit_code else "skipped", message=xml_text(told))
    for kind in ("failure", "skipped"):
        suite.set({"failure": "failures"}.get(kind, kind), str(len(suite.findall(f"*/{kind}"))))
    suite.set("tests", "1")
    ET.SubElement(suite, "system-out").text = xml_text(f"{told} {_look_sentence(gate)}")
    return ET.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def flips_screen(
    compared: LogComparison, report: FlipReport, width: int = 80, plain: bool = False
) -> Text:
    """Return the screen of a system against itself: flips by answers to each row."""
    screen, n = Screen(width, plain), compared.result.pair.n
    head, count = _flips_sentence(report), count_noun(n, "row")
    screen.say(head, style="bold")
    screen.say(
        f"{compared.result.names[0]} against itself on {count}, scored by {compared.metric}."
    )
    if report.rates:
        screen.add()
        screen.say("answers to a row    flips   better  no worse    worse  cannot say", style="dim")
    for rate in report.rates:
        told = [percent(rate.shares.get(one, 0.0)) for one in
                ("better", "no worse", "worse", "cannot say")]  # fmt: skip
        mark = "recorded" if rate.recorded else "predicted"
        cells = "".join(cell(text, wide, right=True)
                        for text, wide in zip(told, (9, 10, 9, 12), strict=True))  # fmt: skip
        screen.add(f"  {rate.k:>4} {mark:<12}{cell(percent(rate.flips), 8, right=True)}{cells}")
    return screen.text()


def _flips_sentence(report: FlipReport) -> str:
    """Return what is known of a gate's own flip rate, and how many answers bring it under 2 %."""
    goal = percent(FLIP_GOAL)
    if report.alike > 1:
        return (
            f"Flips: 0. All {report.alike} answers to each row are alike, so another run has the"
            " same outcome."
        )
    if report.most is not None:
        return (
            f"Flips: between 0 and {percent(report.most.flips)}. With one answer to each row nobody"
            " can tell how far answers vary: 0 if the system always answers alike. Record each row"
            " twice or more (five times is enough to tell) and ask again."
        )
    now = report.now
    told = "" if now is None else (
        f"Flips: {percent(now.flips)} with {report.k} answers to each row, as in this log. "
    )  # fmt: skip
    if report.needed is None:
        most = report.rates[-1].k
        return (
            f"{told}No number of answers up to {most} brings it under {goal} and lets it pass: more"
            " rows do, or a larger margin."
        )
    if report.needed <= report.k:
        return f"{told}{count_noun(report.needed, 'answer')} to each row keep it under {goal}."
    return f"{told}{report.needed} answers to each row bring it under {goal}."


def flips_json(compared: LogComparison, report: FlipReport) -> str:
    """Return the flip rates as JSON; shares in [0, 1], null where nothing can be told."""
    now = report.now
    body = {
        "flips": None if now is None else round(now.flips, 4),
        "at_most": None if report.most is None else round(report.most.flips, 4),
        "answers_per_row": report.k,
        "answers_needed": report.needed,
        "goal": FLIP_GOAL,
        "because": _flips_sentence(report),
        "n": compared.result.pair.n,
        "metric": compared.metric,
        "rates": [_plain_rate(rate) for rate in report.rates],
    }
    return json.dumps(body, indent=2)


def _plain_rate(rate: FlipRate) -> dict[str, Any]:
    shares = {name: round(share, 4) for name, share in rate.shares.items()}
    return {"answers_per_row": rate.k, "flips": round(rate.flips, 4), "outcomes": shares,
            "recorded": rate.recorded}  # fmt: skip
