"""The pages of the atlas as HTML: the map, and each measured task with its recorded answers.

Every number is one of an entry; which arm a view names is chosen in `atlas/atlas_map.py`. All text
is escaped by the templates. Needs no server: the views are all in the page.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tuneworthy.atlas.atlas_data import Atlas, Listed
from tuneworthy.atlas.atlas_map import (
    COSTS,
    NOT_MEASURED,
    VERDICT_ARM,
    Cost,
    MapCell,
    behind_text,
    card_line,
    choose,
    held_out,
    left_text,
    map_of,
    model_lines,
)
from tuneworthy.atlas.cells import TEST_ROWS
from tuneworthy.atlas.entry import Entry
from tuneworthy.core.errors import TuneworthyError
from tuneworthy.core.measured_task import MeasuredArm, MeasuredTask
from tuneworthy.lab.pages import Site, render
from tuneworthy.lab.problem import Problem, problem_of
from tuneworthy.report import _words as words

STYLE, SCRIPTS = "atlas.css", ("svg", "keys", "atlas")
KEYS = ((("j", "k"), "next and previous measured task"), (("Enter",), "open it"))
MOST_TEXT = 600  # characters of an answer that a page shows
VIEWS: tuple[tuple[Cost, bool], ...] = tuple(
    (cost, facts) for cost, _ in COSTS for facts in (False, True)
)


def atlas_page(atlas: Atlas, site: Site) -> str:
    """Return the map: types of task by sizes, what each view names, what is not measured yet."""
    found = map_of(atlas)
    rows = [(kind, [_square(cell, site) for cell in cells]) for kind, cells in found.rows]
    return render(
        "atlas.html.j2", site, here="Atlas", style=STYLE, scripts=SCRIPTS, data=(), keys=KEYS,
        sizes=found.sizes, rows=rows, costs=COSTS, measured=found.measured, cells=found.cells,
        beside=[_beside(listed, site) for listed in found.beside], not_measured=NOT_MEASURED,
        test_rows=TEST_ROWS,
        lines=[*model_lines(found.models), *found.notes],
    )  # fmt: skip


def measured_page(atlas: Atlas, key: str, site: Site) -> str:
    """Return the page of a measured task. Raises Problem (404) for an unknown key."""
    if key not in atlas.entries:
        raise Problem(404, "the atlas has no such task", where="the address", got=key,
                      fix="open the map and choose one")  # fmt: skip
    try:
        entry = atlas.entry(key)
    except TuneworthyError as error:
        raise problem_of(error) from None
    card = entry.card
    out = held_out(card)
    return render(
        "atlas_task.html.j2", site, here="Atlas", style=STYLE, scripts=SCRIPTS, data=(),
        keys=KEYS, card=card, line=card_line(card), lines=model_lines([card.model]),
        left=left_text(card), entry=entry, costs=COSTS, cases=_cases(entry),
        arms=[_arm(arm, card, arm.name in out) for arm in card.arms],
        views=_views(card),
        shipped=atlas.entries[key].shipped,
    )  # fmt: skip


def _square(cell: MapCell, site: Site) -> dict[str, Any]:
    """Return a cell of the map as its template shows it."""
    shown: dict[str, Any] = {"id": cell.id, "size": cell.size, "listed": cell.listed}
    if cell.listed is None or cell.card is None:
        return shown
    return {**shown, **_figures(cell.listed, site), "missing": cell.missing}


def _beside(listed: Listed, site: Site) -> dict[str, Any]:
    return {"kind": listed.head.card.kind, "key": listed.key, **_figures(listed, site)}


def _figures(listed: Listed, site: Site) -> dict[str, Any]:
    card = listed.head.card
    return {
        "card": card,
        "address": site.measured(listed.key),
        "line": card_line(card),
        "left": left_text(card),
        "figures_only": listed.head.figures_only,
        "views": _views(card),
    }


def _views(card: MeasuredTask) -> list[dict[str, Any]]:
    """Return what each view shows; views that show the same stand once, with all their names."""
    shown: list[dict[str, Any]] = []
    for cost, facts in VIEWS:
        one, name = _view(card, cost, facts), f"{cost}-{int(facts)}"
        same = next((each for each in shown if {**each, "names": []} == {**one, "names": []}), None)
        if same is None:
            shown.append({**one, "names": [name]})
        else:
            same["names"].append(name)
    return shown


def _view(card: MeasuredTask, cost: Cost, facts: bool) -> dict[str, Any]:
    chosen = choose(card, cost, facts)
    arm = chosen.arm
    return {"why": "" if chosen.why == VERDICT_ARM else chosen.why, "name": arm.name if arm else "",
            "out": sorted(held_out(card)) if facts else [],
            **(_numbers(arm) if arm else {})}  # fmt: skip


def _numbers(arm: MeasuredArm) -> dict[str, Any]:
    """Return an arm's figures as text: score with bounds, distance, time, money; "" for none."""
    score = arm.score
    return {
        "score": words.score(score.mean) if score else "",
        "bounds": f"{words.score(score.low)}–{words.score(score.high)}" if score else "",
        "span": score,
        "rows": f"{arm.n:,}" if arm.n is not None else "",
        "behind": behind_text(arm.behind),
        "time": words.duration(arm.seconds) if arm.seconds is not None else "",
        "usd": f"${words.amount(arm.usd_per_1k)}" if arm.usd_per_1k is not None else "",
    }


def _arm(arm: MeasuredArm, card: MeasuredTask, out: bool) -> dict[str, Any]:
    return {"name": arm.name, "tool": arm.tool or "", "named": arm.name == card.arm, "out": out,
            "seeds": arm.seeds, "because": arm.because, **_numbers(arm)}  # fmt: skip


def _cases(entry: Entry) -> list[dict[str, Any]]:
    """Return each case with the answers that the arms' scores are made of, from the entry."""
    given: dict[str, list[dict[str, Any]]] = {case.id: [] for case in entry.cases}
    for run in entry.runs:
        if run.counts:
            for case, text, score in zip(run.cases, run.answers, run.scores, strict=True):
                shown = "no answer came back" if text is None else _short(text)
                given[case].append({"arm": run.arm, "text": shown, "shade": _shade(score)})
    return [
        {"id": case.id, "input": _short(case.input), "gold": _short(case.output),
         "answers": given[case.id], "right": _right(given[case.id])}
        for case in entry.cases
    ]  # fmt: skip


def _short(text: str) -> str:
    return text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]} … ({len(text):,} characters)"


def _shade(score: float | None) -> tuple[str, str, str]:
    """Return class, words and sign of a score: right, partly, wrong."""
    if score is None:
        return "none", "not scored", "–"
    if score >= 1:
        return "right", "right", "✓"
    if score <= 0:
        return "wrong", "wrong", "✕"
    return "partly", f"partly right, {words.score(score)}", "~"


def _right(answers: Sequence[dict[str, Any]]) -> int:
    return sum(answer["shade"][0] == "right" for answer in answers)
