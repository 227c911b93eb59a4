"""Terminal screen and JSON of the advisers' scores, with sentences that the lab's pages share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.text import Text

from tuneworthy.core.counting import count_noun
from tuneworthy.report._screens import cell, escape_line, finished, wrapped
from tuneworthy.verdict.phrases import duration

if TYPE_CHECKING:  # the report computes no statistics, so it must not import them
    from tuneworthy.atlas.atlas_file import AdviceTable, AdviserScore
    from tuneworthy.core.interval import Interval

CHECKLIST_ADVISER = "checklist"


def headline(table: AdviceTable) -> str:
    """Return how often the checklist is shown to name the winner: x of N, with its interval."""
    one = next((each for each in table.advisers if each.name == CHECKLIST_ADVISER), None)
    if one is None or one.shown_right is None:
        tasks = count_noun(table.tasks, "measured task")
        return f"{tasks}, and on none of them the tool that the checklist names was measured."
    ends = f"{100 * one.shown_right.low:.0f} to {100 * one.shown_right.high:.0f} %"
    return f"The checklist predicts the measured winner in {one.right} of {one.n} ({ends})."


def scope_line(table: AdviceTable) -> str:
    """Return how many tasks and groups of tasks were scored, and how many were left out."""
    text = (
        f"{count_noun(table.tasks, 'measured task')} in {count_noun(table.groups, 'group')} (types"
    )
    text += f" of task, or sets of rows), {table.firm} of them firm"
    if table.left_out:
        text += f"; {table.left_out} left out (blocked)"
    return text


def adviser_notes(score: AdviserScore) -> list[str]:
    """Return notes on an adviser: tasks it can't be judged on, and trainings it wasted."""
    said = [f"names the verdict's own tool {count_noun(score.winners, 'time')}"]
    for n, text in (
        (score.unmeasured, "named a tool that was not measured there"),
        (score.silent, "named no tool"),
        (score.uniform, "no distribution, counted as uniform"),
    ):
        if n:
            said.append(f"{n} × {text}")
    if score.needless:
        sums = (
            (
                score.timed,
                "timed",
                "" if score.seconds is None else duration(score.seconds),
            ),
            (score.priced, "priced", "" if score.usd is None else f"${score.usd:,.2f}"),
        )
        cost = [
            text if n == score.needless else f"{text} of the {n} {known}"
            for n, known, text in sums
            if text
        ]
        spent = f" ({', '.join(cost)})" if cost else " (not timed)"
        said.append(f"{count_noun(score.needless, 'training')} not needed{spent}")
    return said


def advice_screen(table: AdviceTable, width: int = 80, plain: bool = False) -> Text:
    """Return the table of advisers; no line is wider than `width`."""
    lines = [
        *(Text(line, "bold") for line in wrapped(escape_line(headline(table), plain), width)),
        *(Text(line, "dim") for line in wrapped(escape_line(scope_line(table), plain), width)),
        Text(),
        *_table_lines(table, width, plain),
        Text(),
        *_legend_lines(table, width, plain),
    ]
    return finished(lines, plain)


def advice_json(table: AdviceTable) -> dict[str, Any]:
    """Return the table as JSON-ready data, with its headline."""
    return {"headline": headline(table), "interval": "two-sided 95 %", **table.plain()}


def span_text(interval: Interval | None, scale: float = 1, digits: int = 2) -> str:
    """Return a mean with its bounds: `0.52 (0.31 to 0.70)`, `52 (31 to 70)`; — without one."""
    if interval is None:
        return "—"
    ends = (interval.mean, interval.low, interval.high)
    mean, low, high = (_number_text(scale * value, digits) for value in ends)
    return f"{mean} ({low} to {high})"


def behind_text(behind: Interval | None) -> str:
    """Return how far an arm is behind the best, in points with bounds; "" for the best itself."""
    if behind is None:
        return ""
    mean, low, high = (f"{100 * value:.1f}" for value in (behind.mean, behind.low, behind.high))
    return f"{mean} ({low} to {high})".replace("-", "−")


def _number_text(value: float, digits: int) -> str:
    text = f"{abs(value):.{digits}f}"
    return f"−{text}" if value < 0 and float(text) else text


COLUMN_WIDTHS = (12, 16, 21, 16)  # columns of right/wrong/open, the share, Brier, points lost


def _table_lines(table: AdviceTable, width: int, plain: bool) -> Iterator[Text]:
    heads = ("r / w / o", "% right", "Brier", "points lost")
    yield Text("  " + cell("adviser", width - 2 - sum(COLUMN_WIDTHS)) + _number_cells(heads), "dim")
    for score in table.advisers:
        if score.skipped:
            text = escape_line(f"{score.label}: not asked, {score.skipped}", plain)
            yield from (Text(line, "dim") for line in wrapped(text, width))
            continue
        yield from _adviser_lines(score, width, plain)


def _adviser_lines(score: AdviserScore, width: int, plain: bool) -> Iterator[Text]:
    """Yield an adviser's label and numbers, on two lines if one is too narrow, and its notes."""
    label, room = escape_line(score.label, plain), width - 2 - sum(COLUMN_WIDTHS)
    numbers = _number_cells([escape_line(text, plain) for text in (
        f"{score.right} / {score.wrong} / {score.open}",
        span_text(score.shown_right, 100, 0),
        span_text(score.brier),
        span_text(score.lost, 100, 0),
    )])  # fmt: skip
    if cell_len(label) <= room:
        yield Text("  ").append(cell(label, room), "bold").append(numbers)
    else:
        yield Text("  ").append(cell(label, width - 2).rstrip(), "bold")
        yield Text(" " * (width - sum(COLUMN_WIDTHS)) + numbers)
    said = "; ".join(adviser_notes(score)) + (
        f"; assumes, {score.assumes}" if score.assumes else ""
    )
    yield from (Text(line, "dim") for line in wrapped(escape_line(said, plain), width, "    "))


def _number_cells(texts: Sequence[str]) -> str:
    return "".join(cell(text, size, True) for text, size in zip(texts, COLUMN_WIDTHS, strict=True))


def _legend_lines(table: AdviceTable, width: int, plain: bool) -> Iterator[Text]:
    uniform = table.uniform_brier
    even = "" if uniform is None else f" Equal probabilities score {uniform:.2f}."
    for text in (
        "r / w / o: right, the named tool's best arm is shown to be within the margin of the best"
        " arm (the verdict may still name a simpler one); wrong, shown not to be; open, neither."
        " % right: of the tasks where the named tool was measured. In brackets: 95 % intervals;"
        " tasks of a group count together.",
        f"Brier: 0 is best, 2 is worst, on the firm tasks.{even}",
        "points lost: mean score (of 100) that following the advice costs.",
        table.predictor,
    ):
        yield from (Text(line, "dim") for line in wrapped(escape_line(text, plain), width))
