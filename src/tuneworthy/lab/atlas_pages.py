"""The pages of the atlas as HTML: the map, and each measured task with its recorded answers.

Every number comes from an entry; `atlas/atlas_map.py` chooses the arm that a view names. The
templates escape all text. No server is needed: a page holds all its views.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tuneworthy.atlas.atlas_data import Atlas, ListedEntry
from tuneworthy.atlas.atlas_map import (
    COST_VIEWS,
    NOT_MEASURED,
    VERDICT_ARM_REASON,
    Cost,
    MapCell,
    arms_holding_facts,
    behind_text,
    build_map,
    card_line,
    choose_arm,
    is_reference,
    model_lines,
    verdict_bound_text,
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
MOST_ANSWER_CHARACTERS = 600  # characters of an answer that a page shows
VIEWS: tuple[tuple[Cost, bool], ...] = tuple(
    (cost, facts) for cost, _ in COST_VIEWS for facts in (False, True)
)


def atlas_page(atlas: Atlas, site: Site) -> str:
    """Return the page of the map: types of task by sizes, with the arm that each view names."""
    found = build_map(atlas)
    rows = [(kind, [_cell_data(cell, site) for cell in cells]) for kind, cells in found.rows]
    return render(
        "atlas.html.j2", site, here="Atlas", style=STYLE, scripts=SCRIPTS, data=(), keys=KEYS,
        sizes=found.sizes, rows=rows, costs=COST_VIEWS, measured=found.measured_cells,
        cells=found.cell_count,
        beside=[_outside_entry(listed, site) for listed in found.outside_grid],
        not_measured=NOT_MEASURED,
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
    out = arms_holding_facts(card)
    return render(
        "atlas_task.html.j2", site, here="Atlas", style=STYLE, scripts=SCRIPTS, data=(),
        keys=KEYS, card=card, line=card_line(card), lines=model_lines([card.model]),
        left=verdict_bound_text(card), entry=entry, costs=COST_VIEWS, cases=_case_rows(entry),
        arms=[_arm_row(arm, card, arm.name in out) for arm in card.arms],
        views=_view_list(card),
        shipped=atlas.entries[key].shipped,
    )  # fmt: skip


def _cell_data(cell: MapCell, site: Site) -> dict[str, Any]:
    """Return the template values of a cell of the map."""
    shown: dict[str, Any] = {"id": cell.id, "size": cell.size, "listed": cell.listed}
    if cell.listed is None or cell.card is None:
        return shown
    return {**shown, **_entry_figures(cell.listed, site), "missing": cell.unscored_arms}


def _outside_entry(listed: ListedEntry, site: Site) -> dict[str, Any]:
    return {"kind": listed.head.card.kind, "key": listed.key, **_entry_figures(listed, site)}


def _entry_figures(listed: ListedEntry, site: Site) -> dict[str, Any]:
    card = listed.head.card
    return {
        "card": card,
        "address": site.measured(listed.key),
        "line": card_line(card),
        "left": verdict_bound_text(card),
        "figures_only": listed.head.figures_only,
        "views": _view_list(card),
    }


def _view_list(card: MeasuredTask) -> list[dict[str, Any]]:
    """Return the values of each view; equal views appear once, with all their names."""
    shown: list[dict[str, Any]] = []
    for cost, facts in VIEWS:
        one, name = _view_values(card, cost, facts), f"{cost}-{int(facts)}"
        same = next((each for each in shown if {**each, "names": []} == {**one, "names": []}), None)
        if same is None:
            shown.append({**one, "names": [name]})
        else:
            same["names"].append(name)
    return shown


def _view_values(card: MeasuredTask, cost: Cost, facts: bool) -> dict[str, Any]:
    chosen = choose_arm(card, cost, facts)
    arm = chosen.arm
    return {"why": "" if chosen.why == VERDICT_ARM_REASON else chosen.why,
            "name": arm.name if arm else "",
            "out": sorted(arms_holding_facts(card)) if facts else [],
            **(_arm_figures(arm) if arm else {})}  # fmt: skip


def _arm_figures(arm: MeasuredArm) -> dict[str, Any]:
    """Return an arm's figures as text: score with bounds, distance, time, money; "" if unknown."""
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


def _arm_row(arm: MeasuredArm, card: MeasuredTask, out: bool) -> dict[str, Any]:
    role = "reference" if is_reference(arm) else "not given"
    row = {"name": arm.name, "tool": arm.tool or role, "named": arm.name == card.arm, "out": out,
           "seeds": arm.seeds, "because": arm.because, "breaks": ", ".join(arm.breaks_limits),
           **_arm_figures(arm)}  # fmt: skip
    return row | {"behind": row["behind"] or _why_no_distance(arm, card)}


def _why_no_distance(arm: MeasuredArm, card: MeasuredTask) -> str:
    able = [each for each in card.arms if each.tool and not each.breaks_limits]
    scores = [each.score.mean for each in able if each.score]
    leads = arm in able and arm.score and arm.score.mean >= max(scores)
    return "the best" if leads else "not compared"


def _case_rows(entry: Entry) -> list[dict[str, Any]]:
    """Return each case of an entry, with the answers behind the arms' scores."""
    given: dict[str, list[dict[str, Any]]] = {case.id: [] for case in entry.cases}
    for run in entry.runs:
        if run.counts:
            for case, text, score in zip(run.cases, run.answers, run.scores, strict=True):
                shown = "no answer came back" if text is None else _shortened(text)
                given[case].append({"arm": run.arm, "text": shown, "shade": _score_shade(score)})
    return [
        {"id": case.id, "input": _shortened(case.input), "gold": _shortened(case.output),
         "answers": given[case.id], "right": _count_right(given[case.id])}
        for case in entry.cases
    ]  # fmt: skip


def _shortened(text: str) -> str:
    return (
        text
        if len(text) <= MOST_ANSWER_CHARACTERS
        else f"{text[:MOST_ANSWER_CHARACTERS]} … ({len(text):,} characters)"
    )


def _score_shade(score: float | None) -> tuple[str, str, str]:
    """Return (CSS class, words, sign) of a score: right, partly right, wrong or not scored."""
    if score is None:
        return "none", "not scored", "–"
    if score >= 1:
        return "right", "right", "✓"
    if score <= 0:
        return "wrong", "wrong", "✕"
    return "partly", f"partly right, {words.score(score)}", "~"


def _count_right(answers: Sequence[dict[str, Any]]) -> int:
    return sum(answer["shade"][0] == "right" for answer in answers)
