"""Recorded answers of a task: the file of each system, and how its answers match rows."""

from __future__ import annotations

from tuneworthy.core.task import Match, Task


def recorded_files(task: Task) -> dict[str, str]:
    """Return {name of a recorded system: its file}; the system in production is `present`."""
    files = {name: source.file for name, source in task.answers.items()}
    if task.present and task.present.answers:
        files["present"] = task.present.answers
    return files


def match_setting(task: Task, name: str) -> tuple[Match | None, str]:
    """Return the `match` setting of a recorded system, None if unset, and its task.yaml key."""
    if name in task.answers:
        return task.answers[name].match, f"answers.{name}"
    return task.present.match if task.present else None, "present"
