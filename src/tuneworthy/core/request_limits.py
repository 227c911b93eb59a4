"""How the models of a task are asked: one place that turns its settings into Limits."""

from __future__ import annotations

from typing import Any

from tuneworthy.core.model import Limits, Model
from tuneworthy.core.task import Task


def limits_for(task: Task, max_tokens: int, **more: Any) -> Limits:
    """Return limits with the task's settings of thinking; `max_tokens` are those of the answer."""
    return Limits(
        max_tokens=max_tokens,
        thinking=task.thinking,
        thought_tokens=task.thinking_tokens,
        **more,
    )


def thought_room(task: Task, model: Model) -> int:
    """Return the tokens that a model's thought may take beside its answer, 0 where none is due."""
    return task.thinking_tokens if getattr(model, "thinks", False) else 0


def times(limits: Limits, factor: int) -> Limits:
    """Return limits with so many times the tokens, of the answer and of the thought."""
    rooms = {
        "max_tokens": factor * limits.max_tokens,
        "thought_tokens": factor * limits.thought_tokens,
    }
    return limits.model_copy(update=rooms)
