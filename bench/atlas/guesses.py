"""Make the data of the page where visitors guess the winning tool before they see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.atlas.advice_input import TOOL_CHOICES, input_of
from bench.atlas.adviser_list import Adviser
from bench.atlas.asking import TOOL_MEANINGS
from bench.atlas.atlas_map import model_name, scored_rows_text
from bench.atlas.scoring import best_arm, group_of, judge_answer, outcome

from tuneworthy.records.measured_task import MeasuredTask
from tuneworthy.records.record import digest

SHOWN_CHARACTERS = 600  # characters of an input or output that are shown


def guess_data(cards: Sequence[MeasuredTask], advisers: Sequence[Adviser]) -> dict[str, Any]:
    """Return the data for the page's script: tasks, tools, and the tool each adviser named.

    Blocked tasks are left out; tasks with rows to look at come first. `version` identifies the
    tasks, so that a link with guesses is not read on other data.
    """
    tasks = [task for task in cards if task.status != "blocked"]
    tasks.sort(key=lambda task: (not task.shown, task.key))
    asked = [adviser for adviser in advisers if not adviser.skipped]
    return {
        "version": digest([[task.key, task.measured.isoformat()] for task in tasks], 8),
        "tools": [{"name": name, "means": TOOL_MEANINGS[name]} for name in TOOL_CHOICES],
        "advisers": [adviser.label for adviser in asked],
        "tasks": [_task_data(task, asked) for task in tasks],
    }


def _task_data(task: MeasuredTask, advisers: Sequence[Adviser]) -> dict[str, Any]:
    seen = input_of(task)
    judged = [judge_answer(adviser.answer(task), task) for adviser in advisers]
    return {
        "key": task.key,
        "title": task.title,
        "kind": task.kind,
        "set": group_of(task),
        "instruction": task.instruction,
        "rows": [
            {"input": row.input[:SHOWN_CHARACTERS], "output": row.output[:SHOWN_CHARACTERS]}
            for row in seen.rows
        ],
        "size": task.size,
        "base": task.base,
        "metric": task.metric,
        "margin": task.margin,
        "judged": f"{scored_rows_text(task)}, {model_name(task.model)}",
        "use": task.use,
        "arm": task.arm,
        "status": task.status,
        "tools": [
            _tool_data(task, name)
            for name in TOOL_CHOICES
            if best_arm(task, name) or name == "none"
        ],
        "named": [{"tool": each.named, "outcome": each.outcome} for each in judged],
    }


def _tool_data(task: MeasuredTask, name: str) -> Mapping[str, Any]:
    arm = best_arm(task, name)
    return {
        "name": name,
        "arm": arm.name if arm else None,
        "score": arm.score.plain() if arm and arm.score else None,
        "behind": arm.behind.plain() if arm and arm.behind else None,
        "outcome": outcome(name, task),
    }
