"""Terminal screen and JSON of the advisers' table, and the sentences that its pages share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rich.text import Text

from tuneworthy.core.counting import count_noun
from tuneworthy.report import _words as words
from tuneworthy.report._screens import cell, escape_line, finished, wrapped

if TYPE_CHECKING:  # the report computes no statistics, so it must not import them
    from tuneworthy.advice.scoring import AdviceTable, AdviserScore
    from tuneworthy.core.interval import Interval

CHECKLIST = "checklist"
NOTHING = "There is no measured task yet, so no adviser can be judged."
HOW = "Measure tasks and pass them as a file of JSON lines: tuneworthy advice --tasks FILE.jsonl"


def headline(table: AdviceTable) -> str:
    """Return how often the checklist is shown to name the winner: x of N, with its interval."""
    one = next((each for each in table.advisers if each.name == CHECKLIST), None)
    if one is None or one.shown_right is None:
        return NOTHING
    ends = f"{100 * one.shown_right.low:.0f} to {100 * one.shown_right.high:.0f} %"
    return f"The checklist predicts the measured winner in {one.right} of {one.n} ({ends})."


def no_advice() -> dict[str, str]:
    """Return what is said where there is no measured task: that, and how to get some."""
    return {"headline": NOTHING, "fix": HOW}


def scope_line(table: AdviceTable) -> str:
    """Return how many tasks and sets of rows were scored, and what was left out."""
    text = f"{count_noun(table.tasks, 'measured task')} from {count_noun(table.sets, 'set')} of"
    text += f" rows, {table.firm} of them firm"
    if table.left_out:
        text += f"; {table.left_out} left out (blocked)"
    return text


def notes(score: AdviserScore) -> list[str]:
    """Return what stands beside an adviser's numbers: what could not be judged, what was wasted."""
    said = [f"names the verdict's own tool {count_noun(score.winners, 'time')}"]
    for n, text in (
        (score.unmeasured, "named a tool that was not measured there"),
        (score.silent, "named no tool"),
        (score.uniform, "no distribution, counted as uniform"),
    ):
        if n:
            said.append(f"{n} × {text}")
    if score.needless:
        cost = [words.duration(score.seconds)] if score.seconds is not None else []
        cost += [f"${score.usd:,.2f}"] if score.usd is not None else []
        spent = f" ({', '.join(cost)})" if cost else " (not timed)"
        said.append(f"{count_noun(score.needless, 'training')} not needed{spent}")
    return said


def advice_screen(table: AdviceTable, width: int = 80, plain: bool = False) -> Text:
    """Return the table of advisers; no line is wider than `width`."""
    lines = [
        *(Text(line, "bold") for line in wrapped(escape_line(headline(table), plain), width)),
        *(Text(line, "dim") for line in wrapped(escape_line(scope_line(table), plain), width)),
        Text(),
        *_rows(table, width, plain),
        Text(),
        *_key(table, width, plain),
    ]
    return finished(lines, plain)


def advice_json(table: AdviceTable) -> dict[str, Any]:
    """Return the table as JSON-ready data, with its headline."""
    return {"headline": headline(table), "interval": "two-sided 95 %", **table.plain()}


def span_text(interval: Interval | None, scale: float = 1, digits: int = 2) -> str:
    """Return a mean with its bounds: `.52 (.31 to .70)` or `52 (31 to 70)`; — if not measured."""
    if interval is None:
        return "—"
    ends = (interval.mean, interval.low, interval.high)
    mean, low, high = (f"{scale * value:.{digits}f}" for value in ends)
    return f"{mean} ({low} to {high})"


def _rows(table: AdviceTable, width: int, plain: bool) -> Iterator[Text]:
    name = width - 2 - 6 - 6 - 6 - 22 - 14
    head = cell("adviser", name) + "".join(cell(t, 6, True) for t in ("right", "wrong", "open"))
    yield Text("  " + head + cell("Brier (95 %)", 22, True) + cell("points lost", 14, True), "dim")
    for score in table.advisers:
        label = cell(escape_line(score.label, plain), name)
        if score.skipped:
            yield Text("  " + label + "  not asked", "dim")
            text = escape_line(score.skipped, plain)
            yield from (Text(line, "dim") for line in wrapped(text, width, "    "))
            continue
        counts = "".join(cell(str(n), 6, True) for n in (score.right, score.wrong, score.open))
        lost = "—" if score.lost is None else words.points(score.lost.mean)
        brier = cell(escape_line(span_text(score.brier), plain), 22, True)
        yield Text("  " + label + counts + brier + cell(lost, 14, True))
        if said := "; ".join(notes(score)):
            text = escape_line(said, plain)
            yield from (Text(line, "dim") for line in wrapped(text, width, "    "))


def _key(table: AdviceTable, width: int, plain: bool) -> Iterator[Text]:
    uniform = table.uniform_brier
    even = "" if uniform is None else f" Equal probabilities score {uniform:.2f}."
    for text in (
        "right: the named tool's best arm is shown to be within the margin of the best arm (the"
        " verdict may still name a simpler one); wrong: shown not to be; open: neither.",
        f"Brier: 0 is best, 2 is worst, on the firm tasks.{even}",
        "points lost: mean score (of 100) that following the advice costs.",
    ):
        yield from (Text(line, "dim") for line in wrapped(escape_line(text, plain), width))
