"""Which files of recorded answers a task names, by the name of the system that gave them."""

from __future__ import annotations

from tuneworthy.core.task import Task


def recorded_files(task: Task) -> dict[str, str]:
    """Return {name of a recorded system: its file}; what runs today is `present`."""
    files = {name: source.file for name, source in task.answers.items()}
    if task.present and task.present.answers:
        files["present"] = task.present.answers
    return files
