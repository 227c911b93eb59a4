"""Make the `Limits` of a request from the settings of a task."""

from __future__ import annotations

from typing import Any

from tuneworthy.core.model import Limits, Model
from tuneworthy.core.task import Task


def limits_for(task: Task, max_tokens: int, **more: Any) -> Limits:
    """Return Limits with the task's thinking settings and `max_tokens` tokens for the answer."""
    return Limits(
        max_tokens=max_tokens,
        thinking=task.thinking,
        thought_tokens=task.thinking_tokens,
        **more,
    )


def reasoning_tokens(task: Task, model: Model) -> int:
    """Return the reasoning tokens that a model may add to its answer, 0 if it does not reason."""
    return task.thinking_tokens if getattr(model, "thinks", False) else 0


def scaled_limits(limits: Limits, factor: int) -> Limits:
    """Return limits with the answer and reasoning tokens multiplied by a factor."""
    tokens = {
        "max_tokens": factor * limits.max_tokens,
        "thought_tokens": factor * limits.thought_tokens,
    }
    return limits.model_copy(update=tokens)
