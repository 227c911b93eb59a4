"""Terminal screens and JSON of the atlas and of the advisers' scores; the lab tells the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.text import Text

from tuneworthy.records.counting import count_noun
from tuneworthy.report.screen import Screen, cell
from tuneworthy.verdict.phrases import duration

if TYPE_CHECKING:  # the report computes no statistics, so it must not import them
    from tuneworthy.records.interval import Interval
    from tuneworthy.report.atlas_file import AdviceTable, AdviserScore, Atlas, AtlasTask

_NOTE_INDENT = 15
INTERVALS_NOTE = (
    "In brackets: 95 % intervals, or `too few` where they leave more than half of the scale open;"
    " tasks of a group count together."
)
NOT_SCORED_AGAIN = "figures only, not scored again"
_TELLING = 0.5  # the widest interval that tells something, as a share of the scale
_COLUMN_WIDTHS = (12, 16, 21, 16)  # columns of right/wrong/open, the share, Brier, points lost


def atlas_screen(atlas: Atlas, width: int = 80, plain: bool = False) -> Text:
    """Return the screen of the map: each cell's winner with its score, bound and status."""
    screen = Screen(width, plain)
    measured = sum(each.key is not None for each in atlas.cells)
    screen.add(Text(f"  {measured} of {len(atlas.cells)} cells are measured", "bold"))
    tasks = {task.card.key: task for task in atlas.tasks}
    for kind, cells in atlas.rows.items():
        screen.add("", Text("  ").append(screen.safe(kind), "bold"))
        for each in cells:
            rows = f"    {cell(f'{each.size:,} rows', 11)}"
            if each.key is None:
                screen.add(Text(rows).append(f"not measured yet ({each.id})", "dim"))
                continue
            _task_rows(screen, rows, tasks[each.key])
            absent = f"without {', '.join(each.without)}" if each.without else ""
            screen.say(absent, style="dim", indent=_NOTE_INDENT)
    if atlas.outside_map:
        screen.add("", Text("  Beside the grid", "bold"))
        for task in atlas.outside_map:
            _task_rows(screen, f"    {cell(f'{task.card.size:,} rows', 11)}", task)
            screen.say(f"{task.card.key}: {task.card.kind}", style="dim", indent=_NOTE_INDENT)
    screen.add()
    screen.say(*atlas.all_notes)
    return screen.text()


def _task_rows(screen: Screen, rows: str, task: AtlasTask) -> None:
    chosen, card = task.chosen_arm(), task.card
    score = next((arm.score for arm in card.arms if arm.name == chosen.arm), None)
    what = chosen.why
    if score is not None:
        what = f"{chosen.arm} {score.mean:.2f} ({score.low:.2f}–{score.high:.2f})"
    head = Text(rows).append(screen.safe(what), "bold")
    screen.add(head.append(f"  {card.use}, {card.status}"))
    again = NOT_SCORED_AGAIN * task.figures_only
    screen.say(task.bound, task.line, again, style="dim", indent=_NOTE_INDENT)


def atlas_json(atlas: Atlas) -> dict[str, Any]:
    """Return the map as JSON-ready data: every cell, its figures null if not measured yet."""
    cards = {task.card.key: task.card.plain() for task in atlas.tasks}
    grid = [
        {"cell": each.id, "kind": each.kind, "size": each.size,
         "measured": cards.get(each.key or ""), "without": list(each.without)}
        for each in atlas.cells
    ]  # fmt: skip
    beside = [task.card.plain() for task in atlas.outside_map]
    return {"cells": grid, "beside": beside, "models": list(atlas.models),
            "notes": atlas.all_notes}  # fmt: skip


def ranked(table: AdviceTable) -> list[AdviserScore]:
    """Return the advisers, the one most often shown right first, those without a score last."""

    def key(score: AdviserScore) -> tuple[float, float]:
        share = score.shown_right
        return (-1.0 if share is None else share.mean, -score.wrong / max(score.n, 1))

    return sorted(table.advisers, key=key, reverse=True)


def headline(table: AdviceTable) -> str:
    """Return the sentence on the leading adviser."""
    scored = [one for one in ranked(table) if one.shown_right is not None]
    if not scored:
        tasks = count_noun(table.tasks, "measured task")
        return f"{tasks}, and on none of them the tool that an adviser names was measured."
    first = scored[0]
    label = first.label[:1].upper() + first.label[1:]
    return f"{label} leads: right on {first.right} of {first.n}, wrong on {first.wrong}."


def lead_line(table: AdviceTable) -> str:
    """Return whether the leading adviser is shown to be ahead; "" without two to compare."""
    shares = [one.shown_right for one in ranked(table) if one.shown_right is not None]
    if len(shares) < 2:
        return ""
    if all(shares[0].low > other.high for other in shares[1:]):
        return "It is shown to be ahead: its interval lies above all others."
    return "Its lead is not shown: on so few tasks the intervals overlap."


def scope_line(table: AdviceTable) -> str:
    """Return how many tasks and groups of tasks were scored, and how many were left out."""
    tasks, groups = count_noun(table.tasks, "measured task"), count_noun(table.groups, "group")
    text = f"{tasks} in {groups} (types of task, or sets of rows), {table.firm} of them firm"
    return text + (f"; {table.left_out} left out (blocked)" if table.left_out else "")


def adviser_notes(score: AdviserScore) -> list[str]:
    """Return notes on an adviser: tasks it can't be judged on, trainings that it wasted."""
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
            (score.timed, "timed", "" if score.seconds is None else duration(score.seconds)),
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
    screen = Screen(width, plain)
    screen.say(headline(table), style="bold")
    screen.say(lead_line(table), scope_line(table), style="dim")
    heads = _number_cells(("r / w / o", "% right", "Brier", "points lost"))
    screen.add("", Text("  " + cell("adviser", width - 2 - sum(_COLUMN_WIDTHS)) + heads, "dim"))
    for score in ranked(table):
        if score.skipped:
            screen.say(f"{score.label}: not asked, {score.skipped}", style="dim")
        else:
            _adviser_rows(screen, score)
    screen.add()
    uniform = table.uniform_brier
    even = "" if uniform is None else f" Equal probabilities score {uniform:.2f}."
    screen.say(
        "r / w / o: right, the named tool's best arm is shown to be within the margin of the best"
        " arm (the verdict may still name a simpler one); wrong, shown not to be; open, neither."
        f" % right: of the tasks where the named tool was measured. {INTERVALS_NOTE}",
        f"Brier: 0 is best, 2 is worst, on the firm tasks.{even}",
        "points lost: mean score (of 100) that following the advice costs.",
        table.predictor,
        style="dim",
    )
    return screen.text()


def _adviser_rows(screen: Screen, score: AdviserScore) -> None:
    """Add an adviser's label and numbers, on two lines if one is too narrow, and its notes."""
    label, room = screen.safe(score.label), screen.width - 2 - sum(_COLUMN_WIDTHS)
    numbers = _number_cells([screen.safe(text) for text in (
        f"{score.right} / {score.wrong} / {score.open}",
        *score_texts(score),
    )])  # fmt: skip
    if cell_len(label) <= room:
        screen.add(Text("  ").append(cell(label, room), "bold").append(numbers))
    else:
        screen.add(Text("  ").append(cell(label, screen.width - 2).rstrip(), "bold"),
                   " " * (screen.width - sum(_COLUMN_WIDTHS)) + numbers)  # fmt: skip
    assumed = [f"assumes, {score.assumes}"] if score.assumes else []
    screen.say("; ".join([*adviser_notes(score), *assumed]), style="dim", indent=4)


def _number_cells(texts: Sequence[str]) -> str:
    return "".join(cell(text, size, True) for text, size in zip(texts, _COLUMN_WIDTHS, strict=True))


def score_texts(score: AdviserScore) -> tuple[str, str, str]:
    """Return an adviser's share of right answers in %, its Brier score and its points lost."""
    return (
        _telling_text(score.shown_right, 1.0, 100, 0),
        _telling_text(score.brier, 2.0),
        _telling_text(score.lost, 1.0, 100, 0),
    )


def _telling_text(interval: Interval | None, size: float, scale: float = 1, digits: int = 2) -> str:
    """Return a mean with its bounds, or `too few` for bounds that leave most of the scale open."""
    if interval is None or interval.high - interval.low <= _TELLING * size:
        return _span_text(interval, scale, digits)
    return f"{_number_text(scale * interval.mean, digits)} (too few)"


def advice_json(table: AdviceTable) -> dict[str, Any]:
    """Return the table as JSON-ready data, with its headline."""
    return {"headline": headline(table), "interval": "two-sided 95 %", **table.plain()}


def _span_text(interval: Interval | None, scale: float = 1, digits: int = 2) -> str:
    """Return a mean with its bounds as text, `0.52 (0.31 to 0.70)`; "—" for None."""
    if interval is None:
        return "—"
    ends = (interval.mean, interval.low, interval.high)
    mean, low, high = (_number_text(scale * value, digits) for value in ends)
    return f"{mean} ({low} to {high})"


def behind_text(behind: Interval | None) -> str:
    """Return how far an arm is behind the best, in points with bounds; "" for None (the best)."""
    return "" if behind is None else _span_text(behind, 100, 1)


def _number_text(value: float, digits: int) -> str:
    text = f"{abs(value):.{digits}f}"
    return f"−{text}" if value < 0 and float(text) else text
