"""Terminal screens of a study: the first screen with its ladder, and the table of all arms."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.text import Text

from tuneworthy.records.counting import score_text
from tuneworthy.records.evidence import ArmResult, Pair
from tuneworthy.records.results import Results
from tuneworthy.report import fact_lines
from tuneworthy.report._data import ScoreMatrix, bin_means, score_matrix, scores_hardest_first
from tuneworthy.report.screen import Screen, bar, cell, shade_strip
from tuneworthy.report.view import LadderRow, Opening, opening
from tuneworthy.verdict import phrases


def ladder_screen(results: Results, width: int = 80, plain: bool = False) -> Text:
    """Return the first screen: the verdict in a sentence, the ladder, the next step.

    `width` is the number of columns (80 or more). `plain` drops colours and every character outside
    ASCII. No line is wider than `width`, and no text of a row or an answer can add a line.
    """
    screen, view = Screen(width, plain), opening(results)
    _verdict_lines(screen, view, results.verdict.status == "blocked")
    screen.add()
    _ladder_lines(screen, view, results)
    screen.add()
    limits = [*(f"{bound} {state}" for bound, state in view.limits), *view.unshown, view.target]
    if said := " · ".join(filter(None, limits)):
        screen.say(f"Limits: {said}")
    screen.say(f"What was wrong: {view.wrong}" if view.wrong else "", *view.students,
               view.checklist)  # fmt: skip
    screen.say(*(f"Note: {note}." for note in view.notes), style="dim")
    screen.say(view.next, style="bold")
    return screen.text()


def _verdict_lines(screen: Screen, view: Opening, blocked: bool) -> None:
    head, use = screen.safe(view.lead) or view.head, "" if view.lead else screen.safe(view.use)
    line, space = f"  {head}   {use}".rstrip(), screen.width - len(view.status) - 2
    if not blocked and len(line) <= space:
        text = Text(cell(line, space) + "  ")
        text.stylize("bold", 2, 2 + len(head))
        screen.add(text.append(view.status, "dim"))
    else:
        if cell_len(f"  {head}   {view.status}") <= screen.width:
            screen.add(Text("  ").append(head, "bold").append(f"   {view.status}", "dim"))
        else:
            screen.say(head, style="bold")
            screen.say(view.status, style="dim")
        screen.say(use)
    if view.lead:  # who leads is the question; what to use is the verdict, and stands out as well
        screen.say(f"{view.head}   {view.use}", style="bold")
    screen.say(" ".join(filter(None, view.told.values())))
    screen.say(*view.cautions, style="yellow")


def _ladder_lines(screen: Screen, view: Opening, results: Results) -> None:
    matrix, rows = score_matrix(results), [row for row in view.ladder if not row.lacks]
    unit, wide = _cost_unit(view.ladder), screen.width >= 110
    length, side = (16 if wide else 10), 9
    most = max((cell_len(_arm_title(screen, row)) for row in rows), default=0)
    name = min(max(most, 14), 36 if wide else 24)
    rest = screen.width - 2 - name - 1 - length - 1 - 4 - 1 - side - 1 - 7 - 2
    head = (
        cell("ladder", name)
        + " "
        + cell(f"{phrases.score_name(results.task)} (95 %)", length + 6 + side)
    )
    key = "░ invalid █ valid" if results.task.lacks_answers else "░ wrong █ right"
    keys = (f"your {len(results.cases):,} cases, hardest left: {key}", f"cases: {key}")
    shown = screen.safe(next((text for text in keys if len(text) <= rest), cell(key, rest)))
    screen.add(Text(f"  {head} {cell(unit, 7, right=True)}  {shown.rstrip()}", "dim"))
    told = ""
    for row in rows:
        if row.why:
            said = f"{row.arm.state}: for the same reason" if row.why == told else row.why
            title = cell(_arm_title(screen, row), name)
            screen.beside(Text(f"  {title} ", "dim"), said, "dim")
        else:
            screen.add(_arm_line(screen, row, matrix, (name, length, side, rest, unit)))
        told = row.why
        for kind, note in row.notes:
            if kind == "out":
                room = screen.width - name - 3
                screen.add(Text(" " * (name + 3) + cell(screen.safe(note), room).rstrip(), "dim"))
            elif kind == "beside":
                screen.add(Text(" " * (name + 3) + note, "dim"))
            else:
                screen.say(note, style="dim", indent=name + 3)
    screen.say(view.needs, fact_lines.timing_line(results) if unit == "p50" else "", style="dim")


def _arm_line(
    screen: Screen, row: LadderRow, matrix: ScoreMatrix, sizes: tuple[int, int, int, int, str]
) -> Text:
    (name, length, side, rest, unit), arm = sizes, row.arm
    assert arm.score is not None
    cost = {"$ / 1k": row.cost or "—", "p50": row.wait or "—"}.get(unit, "")
    bold = "bold" if row.named else ""
    text = Text().append("▶ " if row.named else "  ", "bold")
    text.append(cell(_arm_title(screen, row), name) + " ", bold)
    text.append(bar(arm.score.mean, length) + " ", "cyan" if row.named else "")
    text.append(cell(score_text(arm.score.mean), 4, right=True) + " ", bold)
    ends = f"{score_text(arm.score.low)}–{score_text(arm.score.high)}"
    text.append(cell(ends, side) + " ", "dim").append(cell(cost, 7, right=True) + "  ")
    strip = shade_strip(bin_means(scores_hardest_first(matrix, arm.name), rest))
    return text.append(strip, "cyan" if row.named else "dim")


def _arm_title(screen: Screen, row: LadderRow) -> str:
    role = "" if row.arm.role == "candidate" else f"({row.arm.role})"
    return screen.safe(" ".join(filter(None, (row.arm.name, role, row.options))))


def _cost_unit(rows: Sequence[LadderRow]) -> str:
    if any(row.cost for row in rows):
        return "$ / 1k"
    return "p50" if any(row.wait for row in rows) else ""


def table(results: Results, width: int = 80, plain: bool = False) -> Text:
    """Return the table of all arms: score, difference to the named arm, validity, cost, time."""
    screen, wide = Screen(width, plain), width >= 110
    titles = ("arm", "score", "95 %", "− named", "valid", "$ / 1k", "p50", "fit", "n")
    screen.add(Text(_table_line(titles, width), "dim"))
    pairs = {pair.arm: pair for pair in fact_lines.differences_to_named(results)}
    arms = fact_lines.ladder_order(results.evidence.arms)
    for arm in arms:
        named = arm.name == results.verdict.arm
        values = _table_values(arm, pairs.get(arm.name), named, wide)
        line = _table_line((screen.safe(arm.name), *values), width)
        screen.add(Text("▶" + line[1:], "bold") if named else Text(line))
    why = [f"{a.name} {phrases.because_of(a)}" for a in arms if a.state != "measured"]
    screen.say(*why, style="dim")
    for arm in arms:
        missing = f"{fact_lines.unanswered_line(arm)}; `valid` is the share of the others"
        screen.say(
            f"{arm.name}: {missing}" if arm.valid and arm.errors else "",
            f"{arm.name}, 95 %: {fact_lines.wide_line(arm)}" if arm.wide else "",
            style="dim",
        )
    screen.say(fact_lines.timing_line(results), style="dim")
    return screen.text()


def _table_line(values: Sequence[str], width: int) -> str:
    wide = width >= 110
    widths = (5, 9, 22 if wide else 8, 6, 7, 8, 8, 6)
    kept = range(1, 9) if wide else (1, 2, 3, 4, 5, 6)
    name = cell(values[0], width - 2 - (81 if wide else 54))
    return "  " + " ".join([name, *(cell(values[i], widths[i - 1], right=True) for i in kept)])


def _table_values(arm: ArmResult, pair: Pair | None, named: bool, wide: bool) -> Sequence[str]:
    delta = "named" if named else "—"
    if pair and not named:
        delta = phrases.span(pair) if wide else phrases.signed(pair.mean)
    return (
        score_text(arm.score.mean) if arm.score else "—",
        f"{score_text(arm.score.low)}–{score_text(arm.score.high)}" if arm.score else "—",
        delta,
        score_text(arm.valid.mean) if arm.valid else "—",
        phrases.amount(arm.usd_per_1k) if arm.usd_per_1k is not None else "—",
        phrases.duration(arm.latency_ms.p50 / 1000) if arm.latency_ms else "—",
        phrases.duration(arm.fit_seconds) if arm.fit_seconds is not None else "—",
        f"{arm.n:,}",
    )
