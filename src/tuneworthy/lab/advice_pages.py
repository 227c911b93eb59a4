"""The pages on advice: guess which tool wins, and the advisers' scores. Computes no statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tuneworthy.advice.advice_input import TOOL_CHOICES, input_of
from tuneworthy.advice.adviser_list import Adviser
from tuneworthy.advice.asking import TOOL_MEANINGS
from tuneworthy.advice.scoring import AdviceTable, best_arm, group_of, judge_answer, outcome
from tuneworthy.advising import advice_table, advisers_of
from tuneworthy.atlas.atlas_map import model_lines, model_name, scored_rows_text
from tuneworthy.core.measured_task import MeasuredTask
from tuneworthy.core.record import digest
from tuneworthy.lab.pages import Site, json_block, render
from tuneworthy.report import _advice as texts

STYLE = "guess.css"
SCRIPTS = ("svg", "keys", "state", "guess")
KEYS = (
    (("1", "9"), "choose a tool by its number"),
    (("n", "→"), "next task"),
    (("←",), "the task before"),
    (("c",), "copy a link to my guesses"),
)
SHOWN_CHARACTERS = 600  # characters of an input or output that are shown


@dataclass(frozen=True)
class ShownAdvice:
    """Measured tasks that are not blocked, and the advisers' table on them."""

    tasks: Sequence[MeasuredTask]
    advisers: Sequence[Adviser]
    table: AdviceTable


def shown_advice(tasks: Sequence[MeasuredTask]) -> ShownAdvice:
    """Return the tasks to show, the advisers and their scores; runs no adviser's program."""
    advisers = advisers_of(list(tasks))
    known = [task for task in tasks if task.status != "blocked"]
    known.sort(key=lambda task: (not task.shown, task.key))  # tasks with rows to look at come first
    return ShownAdvice(known, advisers, advice_table(list(tasks), advisers))


def guess_page(shown: ShownAdvice, site: Site) -> str:
    """Return the page where a visitor guesses the winning tool, then sees the measured one."""
    there = bool(shown.tasks)
    return render(
        "guess.html.j2",
        site,
        here="Guess first",
        style=STYLE,
        scripts=SCRIPTS if there else (),
        data=("guess",) if there and not site.live else (),
        keys=KEYS,
        tasks=len(shown.tasks),
        lines=model_lines(models_of(shown)),
        how=texts.no_advice()["fix"],
        guess_data=json_block(guess_data(shown)) if there and site.live else "",
    )


def advice_page(shown: ShownAdvice, site: Site) -> str:
    """Return the page with the advisers' scores."""
    rows = [
        {
            **score.plain(),
            "share": texts.span_text(score.shown_right, 100, 0),
            "brier_text": texts.span_text(score.brier),
            "lost_text": texts.span_text(score.lost, 100, 1),
            "notes": texts.adviser_notes(score),
        }
        for score in shown.table.advisers
    ]
    return render(
        "advice.html.j2",
        site,
        here="Guess first",
        style=STYLE,
        scripts=(),
        data=(),
        keys=(),
        table=shown.table,
        rows=rows,
        lines=model_lines(models_of(shown)),
        headline=texts.headline(shown.table),
        scope=texts.scope_line(shown.table),
        how=texts.no_advice()["fix"],
    )


def models_of(shown: ShownAdvice) -> list[str]:
    """Return the models that the tasks were measured with, each once."""
    return sorted({task.model for task in shown.tasks})


def guess_data(shown: ShownAdvice) -> dict[str, Any]:
    """Return the data for the guess page's script: tasks, tools, and the tool each adviser named.

    `version` identifies the tasks, so that a link with guesses is not read on other data.
    """
    asked = [adviser for adviser in shown.advisers if not adviser.skipped]
    return {
        "version": digest([[task.key, task.measured.isoformat()] for task in shown.tasks], 8),
        "tools": [{"name": name, "means": TOOL_MEANINGS[name]} for name in TOOL_CHOICES],
        "advisers": [adviser.label for adviser in asked],
        "tasks": [_task_data(task, asked) for task in shown.tasks],
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
