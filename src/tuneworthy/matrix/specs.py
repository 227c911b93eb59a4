"""Which arms a task gets: from `arms:` in task.yaml, else every arm whose needs are met."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tuneworthy.core.errors import TaskError
from tuneworthy.core.plugins import catalogue, load
from tuneworthy.core.run import Spec
from tuneworthy.core.task import Task

_KEYS = {
    "labels": "output.labels (a closed set of answers)",
    "schema": "output.schema (JSON answers)",
    "docs": "data.docs",
    "gold_passage": "rows with `context`",
    "bigger": "bigger",
    "teacher": "teacher",
    "unlabelled": "data.unlabelled",
    "present": "present",
}


def specs(task: Task) -> list[Spec]:
    """Return the arms of a task in ladder order, recorded systems one each.

    Raises TaskError for an unknown arm, unknown options, a doubled name or an empty list.
    """
    if task.arms == "auto":
        wanted: list[tuple[str, dict[str, Any]]] = [
            (name, {})
            for name in catalogue("arms")
            if name != "answers" and not getattr(load("arms", name), "BY_NAME", False)
        ]
        wanted += [("answers", {"name": name}) for name in task.answers]
    else:
        wanted = [pair for entry in task.arms for pair in _entry(entry, task)]
    if not wanted:
        raise TaskError("`arms` is an empty list", got="[]", fix="name an arm, or write `auto`")
    found = [_spec(name, options, task) for name, options in wanted]
    names = [spec.name for spec in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise TaskError(
            "two arms have one name",
            where="task.yaml arms",
            got=", ".join(twice),
            fix="give them different options, or leave one out",
        )
    return sorted(found, key=_order)


def _entry(entry: str | dict[str, dict[str, Any]], task: Task) -> list[tuple[str, dict[str, Any]]]:
    pairs = [(entry, {})] if isinstance(entry, str) else list(entry.items())
    wide: list[tuple[str, dict[str, Any]]] = []
    for name, options in pairs:
        if name in task.answers:
            wide.append(("answers", {"name": name}))
        elif name == "answers" and not options:
            wide += [("answers", {"name": each}) for each in task.answers]
        else:
            wide.append((name, dict(options or {})))
    return wide


def _spec(name: str, options: dict[str, Any], task: Task) -> Spec:
    arm = load("arms", name)
    try:
        filled = arm.Options.model_validate(options).plain()
    except ValueError as error:
        first = error.errors()[0] if hasattr(error, "errors") else {"loc": (), "msg": str(error)}
        raise TaskError(
            f"the options of arm `{name}` are wrong: {first['msg']}",
            where=f"task.yaml arms.{name}.{'.'.join(map(str, first['loc']))}",
            got=str(options),
            fix=f"options of `{name}`: {', '.join(arm.Options.model_fields) or 'none'}",
        ) from None
    tool, label = arm.TOOL or None, name
    if name == "answers":
        label = options["name"]
        tool = task.answers[label].tool
    elif name == "present" and task.present and task.present.tool:
        tool = task.present.tool
    if extra := [f"{key}={value}" for key, value in options.items() if key != "name"]:
        label = f"{name}({', '.join(extra)})"
    return Spec(
        name=label, arm=name, options=filled, tool=tool, role=arm.ROLE, simplicity=arm.SIMPLICITY
    )


def _order(spec: Spec) -> tuple[int, int, int, str]:
    """Place references first and a ceiling in front of the context arms, after the prompts.

    A ceiling stands on the best prompt, so prompts are measured before it.
    """
    from tuneworthy.core.task import TOOLS

    ceiling = spec.role == "ceiling"
    rung = TOOLS.index(spec.tool or "context") if spec.tool or ceiling else -1
    return rung, 0 if ceiling else 1, spec.simplicity, spec.name


def lacking(spec: Spec, available: Mapping[str, str]) -> str:
    """Return why an arm can't be measured here, or "" where all its needs are met.

    `available` maps a need to "" (met) or to the reason that it is not.
    """
    needs = load("arms", spec.arm).NEEDS
    reasons = [available[need] for need in sorted(needs) if available.get(need)]
    return "; ".join(reasons)


def needs_of(task: Task, *, model: str, training: str, gold: bool) -> dict[str, str]:
    """Return {need: reason it is not met, or ""}; `model` and `training` are such reasons."""
    met = {
        "labels": task.output.type == "label",
        "schema": task.output.type == "json",
        "docs": task.data.docs is not None,
        "gold_passage": gold,
        "bigger": task.bigger is not None,
        "teacher": task.teacher is not None,
        "unlabelled": task.data.unlabelled is not None,
        "present": task.present is not None,
    }
    reasons = {need: "" if ok else f"needs {_KEYS[need]}" for need, ok in met.items()}
    return {**reasons, "model": model, "training": training or model}
