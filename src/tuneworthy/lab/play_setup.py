"""Check a request to the playground: a task, one input, two to four ways to answer it.

Knows no model and no HTTP.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

from tuneworthy.core.failure import DEFAULTS, LabRow, LabRows
from tuneworthy.lab.cases import LabCase
from tuneworthy.lab.problem import Problem

PLAY_KIND, STRENGTH_KIND = "play", "strength"  # the kinds of jobs of the playground
LEAST_ARMS, MOST_ARMS = 2, 4
MOST_SHOTS, MOST_TEMPERATURE, MOST_STRENGTH = 16, 2.0, 1.5
MOST_INPUT = 2000
SHOWN_INPUTS = 8  # new rows that the page offers as inputs
SEED = 0  # the seed of the rows and of the adapter


@dataclass(frozen=True)
class PlayArm:
    """One way to answer: number of examples, schema, passage, temperature, adapter strength."""

    shots: int = 0
    schema: bool = False
    passage: bool = False
    temperature: float = 0.0
    strength: float = 0.0


FIRST_TASK = "support_tickets"
FIRST_ARMS = (PlayArm(), PlayArm(shots=6), PlayArm(strength=1.0))  # shown first, from a record


@dataclass(frozen=True)
class _TaskModule:
    """Stands for a failure mode's module: names a task, so a LabCase can draw its clean rows."""

    TASK: str


TITLES = {"support_tickets": "Tickets to JSON", "policy_faq": "Questions on office rules"}
TASKS = {name: LabCase("playground", _TaskModule(name)) for name in TITLES}


@lru_cache(maxsize=4)
def task_rows(name: str) -> LabRows:
    """Return the rows of a task of the playground, which are those of the lab's clean run."""
    return TASKS[name].rows(DEFAULTS, SEED)


def has_schema(name: str) -> bool:
    """Return whether the answers of a task have a schema, which a grammar can enforce."""
    return TASKS[name].task().output.type == "json"


def has_docs(name: str) -> bool:
    """Return whether a task has documents, so that a prompt can hold a passage."""
    return bool(TASKS[name].docs())


def known_row(name: str, text: str) -> LabRow | None:
    """Return the new row with this input (its right answer is known), None for other texts."""
    return next((row for row in task_rows(name).new if row.input == text), None)


def play_config(name: str, text: str, arms: Sequence[PlayArm]) -> dict[str, Any]:
    """Return the configuration of a play. Raises Problem (422) for values out of bounds."""
    if name not in TASKS:
        raise Problem(422, "the playground has no such task", where="task", got=name,
                      fix=f"one of: {', '.join(TASKS)}")  # fmt: skip
    if not text.strip() or len(text) > MOST_INPUT:
        got = "nothing" if not text.strip() else f"{len(text)} characters"
        raise Problem(422, "the input is empty or too long", where="input", got=got,
                      fix=f"1 to {MOST_INPUT} characters")  # fmt: skip
    if not LEAST_ARMS <= len(arms) <= MOST_ARMS:
        raise Problem(422, "too few or too many columns", where="arms", got=len(arms),
                      fix=f"{LEAST_ARMS} to {MOST_ARMS}")  # fmt: skip
    for at, arm in enumerate(arms):
        _check_arm(name, arm, f"arms.{at}")
    rounded = [{**asdict(arm), "temperature": round(arm.temperature, 2),
                "strength": round(arm.strength, 2)} for arm in arms]  # fmt: skip
    return {"does": PLAY_KIND, "task": name, "input": text, "arms": rounded}


def strength_config(strength: float) -> dict[str, Any]:
    """Return the configuration of measuring one adapter strength. Raises Problem (422)."""
    _check_bounds("strength", strength, MOST_STRENGTH)
    return {"does": STRENGTH_KIND, "strength": round(strength, 2)}


def _check_arm(task: str, arm: PlayArm, where: str) -> None:
    _check_bounds(f"{where}.shots", arm.shots, MOST_SHOTS)
    _check_bounds(f"{where}.temperature", arm.temperature, MOST_TEMPERATURE)
    _check_bounds(f"{where}.strength", arm.strength, MOST_STRENGTH)
    if arm.schema and not has_schema(task):
        raise Problem(422, "this task has no schema: its answers are free text",
                      where=f"{where}.schema", got="true", fix="turn it off")  # fmt: skip
    if arm.passage and not has_docs(task):
        raise Problem(422, "this task has no documents", where=f"{where}.passage", got="true",
                      fix="turn it off, or choose policy_faq")  # fmt: skip


def _check_bounds(where: str, value: float, most: float) -> None:
    if not 0 <= value <= most:  # NaN fails too
        raise Problem(422, "this value is out of bounds", where=where, got=value,
                      fix=f"a number from 0 to {most:g}")  # fmt: skip


def playground_data() -> dict[str, Any]:
    """Return the page's data: tasks with a few new rows, bounds of settings, the first arms."""
    return {
        "tasks": [
            {
                "name": name,
                "title": title,
                "schema": has_schema(name),
                "docs": has_docs(name),
                "rows": [
                    {"input": row.input, "gold": row.output}
                    for row in task_rows(name).new[:SHOWN_INPUTS]
                ],
            }
            for name, title in TITLES.items()
        ],
        "most": {"shots": MOST_SHOTS, "temperature": MOST_TEMPERATURE, "strength": MOST_STRENGTH,
                 "arms": MOST_ARMS, "input": MOST_INPUT},
        "least": {"arms": LEAST_ARMS},
        "first": [asdict(arm) for arm in FIRST_ARMS],
    }  # fmt: skip
