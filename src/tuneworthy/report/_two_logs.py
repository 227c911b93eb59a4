"""Terminal screen and JSON of two systems compared by their recorded answers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.text import Text

from tuneworthy.core.counting import chance_text, count_noun, score_text, tenths
from tuneworthy.report._screens import bar, cell, escape_line, finished, wrapped
from tuneworthy.verdict import phrases
from tuneworthy.verdict.phrases import as_sentence

if TYPE_CHECKING:  # the report computes no statistics, so it must not import them
    from tuneworthy.compare.two_logs import AnsweredCase, LogComparison, SliceDifference, TwoLogs

INTERVAL_TEXT = "two-sided 95 %"
SHOWN_SLICES, SHOWN_CASES = 4, 3  # the most slices, and the most rows won or lost, on the screen
CASE_INDENT = "         "
LIKELY_CHANCE = 0.75  # forecasts aim at a chance of .8; below this they reached the most rows tried


def two_logs_screen(compared: LogComparison, width: int = 80, plain: bool = False) -> Text:
    """Return the screen: who leads and by how much, rows to show it, slices, rows to read."""
    result = compared.result
    lines = [
        *_lead_lines(result, width, plain),
        Text(),
        *_system_lines(compared, width, plain),
        Text(),
        *_slice_lines(result, width, plain),
        *_cases_lines(result, width, plain),
        *_note_lines(compared, width, plain),
    ]
    return finished(lines, plain)


def lead_line(
    mean: float, low: float, high: float, names: tuple[str, str], holds: bool = True
) -> str:
    """Return who leads: `B leads by 5 points, not shown (−1 to +11)`.

    mean, low, high are of the second name minus the first; the text shows leader minus other.
    Where no bound holds (`holds`), none is printed.
    """
    first, second = names
    if tenths(mean) in ("0", "-0"):
        ends = f"({phrases.signed(low)} to {phrases.signed(high)})"
        return f"{first} and {second} score the same: no difference shown {ends}"
    leader = second if mean > 0 else first
    if mean < 0:
        mean, low, high = -mean, -high, -low
    shown = "shown" if low > 0 else "not shown"
    ends = f"{shown} ({phrases.signed(low)} to {phrases.signed(high)})" if holds else "not shown"
    size = tenths(mean)
    return f"{leader} leads by {size} point{'s' * (size != '1')}, {ends}"


def more_line(result: TwoLogs) -> str:
    """Return how many more rows would show the difference; "" if it is shown or all are alike."""
    if result.is_shown or result.gave_same_answers or result.dependent:
        return ""
    if result.more is None:
        most = max(4 * result.pair.n, 1000)
        return f"Up to {most:,} rows are unlikely to show a difference between the two."
    rows = count_noun(_round_forecast(result.more.more(result.pair.n)), "more row")
    if result.more.chance < LIKELY_CHANCE:
        return f"Even {rows} would show it only with a chance of {chance_text(result.more.chance)}."
    return f"About {rows} would show it (with a chance of {chance_text(result.more.chance)})."


def wide_line(result: TwoLogs) -> str:
    """Return why the interval is wider than for as many independent rows; or ""."""
    if (why := result.grouped) is None:
        return ""
    half = tenths((why.high - why.low) / 2)
    named = any(row.case.group is not None for row in result.cases)
    way_out = "" if named else (
        " If the rows are made from a template and independent, give each its own `group`."
    )  # fmt: skip
    return (
        f"It is wide because the {result.pair.n:,} rows come in {why.groups:,} groups"
        f" ({'near-copies, or one `group`' if named else 'near-copies'}):"
        f" it is as wide as {why.worth:,.0f} independent rows would leave it, and"
        f" {result.pair.n:,} would leave about ±{half}.{way_out}"
    )


def _round_forecast(n: int) -> int:
    """Return a forecast number of rows, rounded to two digits."""
    return round(n, 2 - len(str(n)))


def _lead_lines(result: TwoLogs, width: int, plain: bool) -> Iterator[Text]:
    pair = result.pair
    count = count_noun(pair.n, "row")
    lead = lead_line(pair.mean, pair.low, pair.high, ("A", "B"), result.dependent is None)
    head = cell(lead, width - len(count) - 4)
    yield Text("  ").append(escape_line(head, plain), "bold").append(count, "dim")
    text = (
        f"The interval is {INTERVAL_TEXT}, of the paired difference on the rows that both answered."
        f" {wide_line(result)} {more_line(result)}"
    )
    text = " ".join(text.split())
    yield from (Text(x) for x in wrapped(escape_line(text, plain), width))


def _system_lines(compared: LogComparison, width: int, plain: bool) -> Iterator[Text]:
    result = compared.result
    name = width - 2 - 3 - 10 - 1 - 4 - 1 - 9 - 2
    for letter, full, score in zip("AB", result.names, result.scores, strict=True):
        shown = cell(escape_line(full, plain), name)
        ends = f"{score_text(score.low)}–{score_text(score.high)}"
        line = f"  {letter}  {shown} {bar(score.mean, 10)} "
        yield (
            Text(line)
            .append(cell(score_text(score.mean), 4, right=True), "bold")
            .append(f" {ends}", "dim")
        )
    pair = result.pair
    guess = " (guessed; --metric chooses another)" if compared.guessed else ""
    text = (
        f"B won {pair.wins:,}, lost {pair.losses:,}, equal on {result.rows_scored_equal:,}. Answers"
        f" are {compared.type}, scored by {compared.metric}{guess}."
    )
    yield from (Text(x) for x in wrapped(escape_line(text, plain), width))


def _slice_lines(result: TwoLogs, width: int, plain: bool) -> Iterator[Text]:
    """Yield lines on the slices with a shown difference; the JSON holds all slices."""
    if not result.slices:
        return
    shown = [part for part in result.slices if part.delta.low > 0 or part.delta.high < 0]
    looked = f"{count_noun(result.looked_at, 'slice')} of 20 rows or more"
    text = f"Where they differ, B − A ({looked}; the intervals pay for all of them):"
    if not shown:
        text = f"On no slice is a difference shown ({looked} looked at; all of them with --json)."
    yield from (Text(x, "dim") for x in wrapped(escape_line(text, plain), width))
    for part in shown[:SHOWN_SLICES]:
        label = escape_line(_slice_name(part), plain)
        shift = escape_line(phrases.span(part.delta), plain)
        rows = count_noun(part.n, "row")
        yield Text(f"  {cell(label, width - 40)} {cell(shift, 24, right=True)} {rows:>11}")
    yield Text()


def _slice_name(part: SliceDifference) -> str:
    if part.kind == "rare words":
        return "without the rarest words" if part.name == "the rest" else part.name
    return f"{part.kind} {part.name}"


def _cases_lines(result: TwoLogs, width: int, plain: bool) -> Iterator[Text]:
    kinds = {"lost": [c for c in result.cases if c.difference < 0],
             "won": [c for c in result.cases if c.difference > 0]}  # fmt: skip
    if not any(kinds.values()):
        return
    parts = [
        f"{min(len(own), SHOWN_CASES)} of {len(own):,} {kind}" for kind, own in kinds.items() if own
    ]
    text = f"Rows to read, seen from B: {', '.join(parts)}; all of them with --json."
    yield from (Text(x, "dim") for x in wrapped(escape_line(text, plain), width))
    for kind, own in kinds.items():
        for row in sorted(own, key=lambda c: -abs(c.difference))[:SHOWN_CASES]:
            yield from _case_lines(kind, row, width, plain)
    yield Text()


def _case_lines(kind: str, row: AnsweredCase, width: int, plain: bool) -> Iterator[Text]:
    one_line = " ".join(row.case.input.split())
    head = escape_line(f"{row.case.id}  {one_line}", plain)
    yield Text(f"  {cell(kind, 6)} {cell(head, width - 10)}".rstrip())
    said = {"right": row.case.output, "A": row.answers[0].text, "B": row.answers[1].text}
    room = (width - len(CASE_INDENT) - 2 * 3 - sum(len(key) + 1 for key in said)) // 3
    parts = [f"{key} {_shortened(text, room, plain)}" for key, text in said.items()]
    yield Text(f"{CASE_INDENT}{' · '.join(parts)}", "dim")


def _shortened(text: str, room: int, plain: bool) -> str:
    line = " ".join(text.split())
    shown = escape_line(line, plain) or "(empty)"
    return cell(shown, room).rstrip()


def _note_lines(compared: LogComparison, width: int, plain: bool) -> Iterator[Text]:
    lines = [f"Not counted: {count_noun(n, 'row')}, {why}."
             for why, n in compared.left_out.items()]  # fmt: skip
    lines += map(as_sentence, compared.notes)
    for line in lines:
        yield from (Text(x, "yellow") for x in wrapped(escape_line(line, plain), width))


def two_logs_json(compared: LogComparison) -> str:
    """Return the whole comparison as JSON; `difference` is b - a."""
    result = compared.result
    systems = {
        key: {"name": name, "score": score.plain()}
        for key, name, score in zip("ab", result.names, result.scores, strict=True)
    }
    body: dict[str, Any] = {
        **systems,
        "difference": "b - a",
        "interval": INTERVAL_TEXT,
        "n": result.pair.n,
        "mean": result.pair.mean,
        "low": result.pair.low,
        "high": result.pair.high,
        "shown": result.is_shown,
        "grouped": None if result.grouped is None else asdict(result.grouped),
        "won": result.pair.wins,
        "lost": result.pair.losses,
        "equal": result.rows_scored_equal,
        "more_rows": _rows_to_decide(result),
        "metric": compared.metric,
        "type": compared.type,
        "guessed": compared.guessed,
        "slices_looked_at": result.looked_at,
        "slices": [
            {"kind": s.kind, "name": s.name, "n": s.n, **s.delta.plain()} for s in result.slices
        ],
        "left_out": compared.left_out,
        "notes": list(compared.notes),
        "cases": _plain_cases(result.cases),
    }
    return json.dumps(body, indent=2)


def _rows_to_decide(result: TwoLogs) -> dict[str, float] | None:
    if result.more is None:
        return None
    return {"rows": result.more.more(result.pair.n), "chance": round(result.more.chance, 4)}


def _plain_cases(cases: Sequence[AnsweredCase]) -> list[dict[str, Any]]:
    """Return the rows whose scores differ, B's losses first."""
    differing = sorted((c for c in cases if c.difference), key=lambda c: c.difference)
    return [
        {
            "id": row.case.id,
            "input": row.case.input,
            "right": [row.case.output, *row.case.accepted],
            "a": row.answers[0].text,
            "b": row.answers[1].text,
            "score_a": row.scores[0],
            "score_b": row.scores[1],
        }
        for row in differing
    ]
