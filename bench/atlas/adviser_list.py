"""List the advisers to score: the plug-ins, and one for each name in files of answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from bench.atlas.advice_input import AdviceInput, input_of

from tuneworthy.records.measured_task import MeasuredTask

ADVISERS = Path(__file__).parent / "advisers"  # each file is one adviser, unless it begins with _
RECORDED_ADVISER = "recorded_answers"


@dataclass(frozen=True)
class Adviser:
    """An adviser: `answer(task)` returns its probabilities, or None if it gives no distribution.

    `skipped` says why it can't be asked at all ("": it can). For people, `sees` says what it looks
    at, `blind` what it can't see and how that counts, `assumes` what it assumes ("": nothing).
    """

    name: str
    label: str
    sees: str
    blind: str
    answer: Callable[[MeasuredTask], Mapping[str, Any] | None]
    skipped: str = ""
    assumes: str = ""


def all_advisers(
    tasks: Sequence[MeasuredTask],
    answers: Mapping[str, Mapping[str, Any]] | None = None,
    run_programs: bool = False,
) -> list[Adviser]:
    """Return every adviser: the plug-ins by name, then the recorded ones.

    `answers` maps the name of a recorded adviser to {task key: probabilities or None}. Of an
    adviser that is another program, only stored answers are used unless `run_programs`.
    """
    inputs = [input_of(task) for task in tasks]
    names = [name for name in adviser_names() if name != RECORDED_ADVISER]
    return [
        *(_plugin_adviser(name, inputs, run_programs) for name in names),
        *(_recorded_adviser(name, by_task) for name, by_task in sorted((answers or {}).items())),
    ]


def adviser_names() -> list[str]:
    """Return the names of the advisers that are files, sorted."""
    return sorted(path.stem for path in ADVISERS.glob("*.py") if path.stem[0] != "_")


def _load(name: str) -> Any:
    return import_module(f"bench.atlas.advisers.{name}")


def _plugin_adviser(name: str, inputs: Sequence[AdviceInput], run_programs: bool) -> Adviser:
    module = _load(name)
    advise = module.advise
    why = getattr(module, "skipped", lambda inputs: "")(inputs)
    if hasattr(module, "recall") and not run_programs:
        advise = module.recall
        why = "" if any(map(advise, inputs)) else "no answer of it is recorded"

    def answer(task: MeasuredTask) -> Mapping[str, Any] | None:
        told: Mapping[str, Any] | None = advise(input_of(task))
        return told

    assumes = getattr(module, "ASSUMES", "")
    return Adviser(name, module.LABEL, module.SEES, module.BLIND, answer, why, assumes)


def _recorded_adviser(name: str, by_task: Mapping[str, Any]) -> Adviser:
    module = _load(RECORDED_ADVISER)

    def answer(task: MeasuredTask) -> Mapping[str, Any] | None:
        seen = input_of(task).model_copy(update={"recorded": by_task.get(task.key)})
        told: Mapping[str, Any] | None = module.advise(seen)
        return told

    return Adviser(name, name, module.SEES, module.BLIND, answer)
