"""The pages of the atlas as HTML: the map, and each measured task with its recorded answers.

Every number comes from the shipped atlas. The templates escape all text. No server is needed: a
page holds all its views.
"""

from __future__ import annotations

from typing import Any

from tuneworthy.lab.pages import Site, render
from tuneworthy.lab.problem import Problem
from tuneworthy.records.counting import score_text
from tuneworthy.records.measured_task import MeasuredArm, MeasuredTask
from tuneworthy.report.atlas import behind_text
from tuneworthy.report.atlas_file import (
    COST_VIEWS,
    NOT_MEASURED,
    AtlasCell,
    AtlasTask,
    ChosenArm,
    RecordedCase,
    read_atlas,
    read_cases,
)
from tuneworthy.verdict import phrases

STYLE, SCRIPTS = "atlas", ("lab", "atlas")
KEYS = ((("j", "k"), "next and previous measured task"), (("Enter",), "open it"))
_MOST_ANSWER_CHARACTERS = 600  # characters of an answer that a page shows


def atlas_page(site: Site) -> str:
    """Return the page of the map: types of task by sizes, with the arm that each view names."""
    atlas = read_atlas()
    tasks = {task.card.key: task for task in atlas.tasks}
    rows = [
        (kind, [_cell_data(cell, tasks.get(cell.key or ""), site) for cell in cells])
        for kind, cells in atlas.rows.items()
    ]
    return render(
        "atlas.html.j2", site, here="Atlas", style=STYLE, scripts=SCRIPTS, data=(), keys=KEYS,
        sizes=sorted({cell.size for cell in atlas.cells}), rows=rows, costs=COST_VIEWS,
        measured=sum(cell.key is not None for cell in atlas.cells), cells=len(atlas.cells),
        beside=[_task_figures(task, site) for task in atlas.outside_map],
        not_measured=NOT_MEASURED, lines=atlas.all_notes,
    )  # fmt: skip


def measured_page(key: str, site: Site) -> str:
    """Return the page of a measured task. Raises Problem (404) for an unknown key."""
    task = read_atlas().task(key)
    if task is None:
        raise Problem(404, "the atlas has no such task", where="the address", got=key,
                      fix="open the map and choose one")  # fmt: skip
    return render(
        "atlas_task.html.j2", site, here="Atlas", style=STYLE, scripts=SCRIPTS, data=(),
        keys=KEYS, card=task.card, task=task, costs=COST_VIEWS,
        cases=[_case_row(case) for case in read_cases(key)],
        arms=[_arm_row(arm, task) for arm in task.card.arms], views=_view_list(task),
    )  # fmt: skip


def _cell_data(cell: AtlasCell, task: AtlasTask | None, site: Site) -> dict[str, Any]:
    """Return the template values of a cell of the map; "task" is None if it was not measured."""
    figures = _task_figures(task, site) if task else {}
    return {"size": cell.size, "task": None, **figures, "missing": cell.without}


def _task_figures(task: AtlasTask, site: Site) -> dict[str, Any]:
    return {
        "task": task,
        "card": task.card,
        "address": site.page("atlas", task.card.key),
        "views": _view_list(task),
        "missing": (),
    }


def _view_list(task: AtlasTask) -> list[dict[str, Any]]:
    """Return the template values of each view's arm; equal views are one, with all their names."""
    return [_view_values(task.card, chosen) for chosen in task.chosen]


def _view_values(card: MeasuredTask, chosen: ChosenArm) -> dict[str, Any]:
    arm = next((arm for arm in card.arms if arm.name == chosen.arm), None)
    return {"names": chosen.views, "why": chosen.why, "name": chosen.arm or "",
            "out": chosen.left_out, **(_arm_figures(arm) if arm else {})}  # fmt: skip


def _arm_figures(arm: MeasuredArm) -> dict[str, Any]:
    """Return an arm's figures as text: score with bounds, distance, time, money; "" if unknown."""
    score = arm.score
    return {
        "score": score_text(score.mean) if score else "",
        "bounds": f"{score_text(score.low)}–{score_text(score.high)}" if score else "",
        "span": score,
        "rows": f"{arm.n:,}" if arm.n is not None else "",
        "behind": behind_text(arm.behind),
        "time": phrases.duration(arm.seconds) if arm.seconds is not None else "",
        "usd": f"${phrases.amount(arm.usd_per_1k)}" if arm.usd_per_1k is not None else "",
    }


def _arm_row(arm: MeasuredArm, task: AtlasTask) -> dict[str, Any]:
    role = "reference" if arm.name in task.references else "not given"
    row = {"name": arm.name, "tool": arm.tool or role, "named": arm.name == task.card.arm,
           "out": arm.name in task.holds_facts, "seeds": arm.seeds, "because": arm.because,
           "breaks": ", ".join(arm.breaks_limits), **_arm_figures(arm)}  # fmt: skip
    return row | {"behind": row["behind"] or _why_no_distance(arm, task.card)}


def _why_no_distance(arm: MeasuredArm, card: MeasuredTask) -> str:
    able = [each for each in card.arms if each.tool and not each.breaks_limits]
    scores = [each.score.mean for each in able if each.score]
    leads = arm in able and arm.score and arm.score.mean >= max(scores)
    return "the best" if leads else "not compared"


def _case_row(case: RecordedCase) -> dict[str, Any]:
    """Return the template values of a case, with the answers behind the arms' scores."""
    answers = [
        {"arm": given.arm, "shade": _score_shade(given.score),
         "text": "no answer came back" if given.text is None else _shortened(given.text)}
        for given in case.answers
    ]  # fmt: skip
    return {"id": case.id, "input": _shortened(case.input), "gold": _shortened(case.gold),
            "answers": answers,
            "right": sum(one["shade"][0] == "right" for one in answers)}  # fmt: skip


def _shortened(text: str) -> str:
    return (
        text
        if len(text) <= _MOST_ANSWER_CHARACTERS
        else f"{text[:_MOST_ANSWER_CHARACTERS]} … ({len(text):,} characters)"
    )


def _score_shade(score: float | None) -> tuple[str, str, str]:
    """Return (CSS class, words, sign) of a score: right, partly right, wrong or not scored."""
    if score is None:
        return "none", "not scored", "–"
    if score >= 1:
        return "right", "right", "✓"
    if score <= 0:
        return "wrong", "wrong", "✕"
    return "partly", f"partly right, {score_text(score)}", "~"
