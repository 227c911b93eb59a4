"""Terminal output of a study: ladder screen, live view, final table, audit and plan."""

from __future__ import annotations

from collections.abc import Iterator

from rich.cells import cell_len
from rich.text import Text

from tuneworthy.core.counting import score_text
from tuneworthy.core.evidence import ArmResult
from tuneworthy.core.results import Results
from tuneworthy.report import _recorded as recorded
from tuneworthy.report import facts
from tuneworthy.report._advice import advice_json, advice_screen
from tuneworthy.report._atlas import atlas_json, atlas_screen
from tuneworthy.report._causes import wrong_lines
from tuneworthy.report._cautions import cautions
from tuneworthy.report._cells import ScoreMatrix, bin_means, score_matrix, scores_hardest_first
from tuneworthy.report._live import Live, live
from tuneworthy.report._live_check import live_check_screen
from tuneworthy.report._own_run import own_run_screen
from tuneworthy.report._plan import money_line, plan_screen
from tuneworthy.report._prompts import prompts_screen
from tuneworthy.report._screens import (
    bar,
    cell,
    escape_line,
    finished,
    shade_strip,
    show,
    terminal_size,
    wrapped,
)
from tuneworthy.report._students import student_texts
from tuneworthy.report._tables import (
    audit_screen,
    compare_screen,
    recompute_screen,
    repeated_screen,
    table,
)
from tuneworthy.report._two_logs import two_logs_json, two_logs_screen
from tuneworthy.report.facts import left_line, request_lines, time_line, timing_line
from tuneworthy.verdict import phrases

__all__ = [
    "Live",
    "advice_json",
    "advice_screen",
    "atlas_json",
    "atlas_screen",
    "audit_screen",
    "compare_screen",
    "ladder_screen",
    "live",
    "live_check_screen",
    "money_line",
    "own_run_screen",
    "plan_screen",
    "prompts_screen",
    "recompute_screen",
    "repeated_screen",
    "show",
    "table",
    "terminal_size",
    "two_logs_json",
    "two_logs_screen",
]


LIMITS_LEFT_OPEN = ("limits.valid", "limits.p95_ms")  # keys of `missing`: why neither state holds


def ladder_screen(results: Results, width: int = 80, plain: bool = False) -> Text:
    """Return the first screen: the verdict in a sentence, the ladder, the next step.

    `width` is the number of columns (80 or more). `plain` drops colours and every character outside
    ASCII. No line is wider than `width`, and no text of a row or an answer can add a line.
    """
    lines = [
        *_verdict_lines(results, width, plain),
        Text(),
        *_ladder_lines(results, width, plain),
        Text(),
        *_limits_lines(results, width, plain),
        *_next_lines(results, width, plain),
    ]
    return finished(lines, plain)


def _verdict_lines(results: Results, width: int, plain: bool) -> Iterator[Text]:
    verdict = results.verdict
    lead, rows = recorded.lead_lines(results)
    head = escape_line(lead, plain) or phrases.headline(verdict.use, verdict.status)
    use = "" if lead else escape_line(facts.use_line(results), plain)
    status = facts.status_line(results)
    line = f"  {head}   {use}".rstrip()
    space = width - len(status) - 2
    if verdict.status != "blocked" and len(line) <= space:
        text = Text(cell(line, space) + "  ")
        text.stylize("bold", 2, 2 + len(head))
        yield text.append(status, "dim")
    else:
        if cell_len(f"  {head}   {status}") <= width:
            yield Text("  ").append(head, "bold").append(f"   {status}", "dim")
        else:
            yield from (Text(each, "bold") for each in wrapped(head, width))
            yield from (Text(each, "dim") for each in wrapped(status, width))
        yield from (Text(each) for each in wrapped(use, width) if use)
    if lead:  # who leads is the question; what to use is the verdict, and stands out as well
        said = f"{phrases.headline(verdict.use, verdict.status)}   {facts.use_line(results)}"
        yield from (Text(each, "bold") for each in wrapped(escape_line(said, plain), width))
    lines = (
        rows,
        facts.scored_line(results),
        left_line(results),
        time_line(results),
        _unrun_or_pays(results, lead),
    )
    more = " ".join(filter(None, lines)) if verdict.status != "blocked" else verdict.because
    yield from (Text(each) for each in wrapped(escape_line(more, plain), width))
    for caution in cautions(results):
        yield from (Text(each, "yellow") for each in wrapped(escape_line(caution, plain), width))


def _unrun_or_pays(results: Results, lead: str) -> str:
    """Return the sentence that no prompt or tuned model was run, else the one on costs."""
    if unrun := "" if lead else facts.unrun_line(results):
        return unrun
    if recorded.has_no_prices(results):
        return recorded.worth_line(results)
    return facts.pays_line(results)


def _ladder_lines(results: Results, width: int, plain: bool) -> Iterator[Text]:
    matrix, unit = score_matrix(results), _cost_unit(results)
    length, side = (10, 9) if width < 110 else (16, 9)
    listed = [a for a in facts.ladder_order(results.evidence.arms) if facts.on_ladder(a)]
    if recorded.without_model(results):  # a reference that does not apply tells nothing here
        named = {str(arm) for arm in results.task.arms if results.task.arms != "auto"}
        listed = [a for a in listed if a.score or a.role == "candidate" or a.name in named]
    lacking = [arm for arm in listed if not arm.score and arm.because and arm.because.lacking]
    shown_arms = [arm for arm in listed if arm not in lacking]
    most = max((cell_len(_arm_title(arm, plain)) for arm in shown_arms), default=0)
    name = min(max(most, 14), 24 if width < 110 else 36)
    rest = width - 2 - name - 1 - length - 1 - 4 - 1 - side - 1 - 7 - 2
    head = cell("ladder", name) + " " + cell("score (95 %)", length + 6 + side)
    key = "░ wrong █ right"
    wide = (f"your {len(results.cases):,} cases, hardest left: {key}", f"cases: {key}")
    mine = next((text for text in wide if len(text) <= rest), cell(key, rest))
    mine = escape_line(mine, plain)
    yield Text("  " + head + " " + cell(unit, 7, right=True) + "  " + mine.rstrip(), "dim")
    pairs = {pair.arm: pair for pair in facts.differences_to_named(results)}
    told = ""
    for arm in shown_arms:
        if arm.score is None:
            why = f"{arm.state}: {arm.because or phrases.UNKNOWN}"
            said = f"{arm.state}: for the same reason" if why == told else why
            yield from _lines_of_unmeasured(_arm_title(arm, plain), said, (width, name), plain)
            told = why
            continue
        told = ""
        yield _arm_line(arm, results, matrix, (name, length, side, rest, plain))
        notes = [facts.unanswered_line(arm)] if arm.errors else []
        notes += [facts.cut_line(arm.cut, arm.n)] if arm.cut and arm.cut.gain > 0 else []
        notes += [arm.repeats.text] if arm.repeats else []
        notes += [figure.text for figure in arm.figures.values() if figure.mean]
        for note in notes:
            lines = wrapped(escape_line(note, plain), width, " " * (name + 3))
            yield from (Text(line, "dim") for line in lines)
        if out := [limit for limit, state in arm.limits.items() if state == "violated"]:
            why = escape_line(f"out: {', '.join(out)} violated", plain)
            yield Text(" " * (name + 3) + cell(why, width - name - 3).rstrip(), "dim")
        if arm.because and arm.fit_seconds:
            for line in wrapped(escape_line(str(arm.because), plain), width, " " * (name + 3)):
                yield Text(line, "dim")
        pair = pairs.get(arm.name)
        if pair and pair.high > 0 and results.verdict.arm not in (None, arm.name):
            note = facts.rival_line(pair, results.task.success.margin)
            yield Text(" " * (name + 3) + note, "dim")
    if needs := recorded.needs_line(arm.because for arm in lacking):
        yield from (Text(line, "dim") for line in wrapped(escape_line(needs, plain), width))
    if unit == "p50" and (said := escape_line(timing_line(results), plain)):
        yield from (Text(line, "dim") for line in wrapped(said, width))


def _arm_line(
    arm: ArmResult, results: Results, matrix: ScoreMatrix, sizes: tuple[int, int, int, int, bool]
) -> Text:
    name, length, side, rest, plain = sizes
    assert arm.score is not None
    named = arm.name == results.verdict.arm
    cost = _cost_text(arm, _cost_unit(results))
    text = Text().append("▶ " if named else "  ", "bold")
    text.append(cell(_arm_title(arm, plain), name) + " ", "bold" if named else "")
    text.append(bar(arm.score.mean, length) + " ", "cyan" if named else "")
    text.append(cell(score_text(arm.score.mean), 4, right=True) + " ", "bold" if named else "")
    ends = f"{score_text(arm.score.low)}–{score_text(arm.score.high)}"
    text.append(cell(ends, side) + " ", "dim").append(cell(cost, 7, right=True) + "  ")
    text.append(
        shade_strip(bin_means(scores_hardest_first(matrix, arm.name), rest)),
        "cyan" if named else "dim",
    )
    return text


def _arm_title(arm: ArmResult, plain: bool) -> str:
    name = escape_line(arm.name, plain)
    detail = escape_line(facts.options_text(arm.options), plain)
    role = "" if arm.role == "candidate" else f" ({arm.role})"
    return f"{name}{role}" if not detail or detail in name else f"{name}{role} {detail}"


def _lines_of_unmeasured(
    title: str, why: str, sizes: tuple[int, int], plain: bool
) -> Iterator[Text]:
    width, name = sizes
    for at, line in enumerate(wrapped(escape_line(why, plain), width - name - 3, "")):
        left = cell(title, name) if at == 0 else " " * name
        yield Text(f"  {left} {line}", "dim")


def _cost_unit(results: Results) -> str:
    arms = results.evidence.arms
    if any(arm.usd_per_1k is not None for arm in arms):
        return "$ / 1k"
    return "p50" if any(arm.latency_ms for arm in arms) else ""


def _cost_text(arm: ArmResult, unit: str) -> str:
    if unit == "$ / 1k":
        return phrases.amount(arm.usd_per_1k) if arm.usd_per_1k is not None else "—"
    if unit == "p50":
        return phrases.duration(arm.latency_ms.p50 / 1000) if arm.latency_ms else "—"
    return ""


def _limits_lines(results: Results, width: int, plain: bool) -> Iterator[Text]:
    arm = facts.arm_named(results)
    parts = [f"{bound} {state}" for bound, state in facts.limit_lines(arm, results)] if arm else []
    if arm:
        parts += [why for name in LIMITS_LEFT_OPEN if (why := arm.missing.get(name))]
    if results.task.success.target is not None:
        parts.append(phrases.target_line(results.verdict, results.task.success.target))
    if parts:
        text = escape_line("Limits: " + " · ".join(parts), plain)
        yield from (Text(line) for line in wrapped(text, width))


def _next_lines(results: Results, width: int, plain: bool) -> Iterator[Text]:
    silent = recorded.tells_no_cause(results)
    if said := "" if silent else wrong_lines(results):
        text = escape_line(f"What was wrong: {said}", plain)
        yield from (Text(line) for line in wrapped(text, width))
    for line in student_texts(results):
        yield from (Text(each) for each in wrapped(escape_line(line, plain), width))
    yield from (Text(line) for line in _checklist_lines(results, width, plain))
    for note in request_lines(results):
        text = escape_line(f"Note: {note}.", plain)
        yield from (Text(line, "dim") for line in wrapped(text, width))
    for line in wrapped(escape_line(facts.next_line(results), plain), width):
        yield Text(line, "bold")


def _checklist_lines(results: Results, width: int, plain: bool) -> list[str]:
    """Return the lines on the checklist; without a model only its answered questions."""
    if recorded.without_model(results):
        five = recorded.answered_questions(results)
        text = f"Answered of the five questions before tuning: {five}."
    else:
        five = facts.checklist_summary(results.verdict)
        text = f"Five questions before tuning: {five}."
    return wrapped(escape_line(text, plain), width) if five else []
