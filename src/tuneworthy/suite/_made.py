"""A generated task: its rows, the content of its task.yaml, and why a bare model fails on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Cause = Literal["format", "convention", "knowledge", "learnable", "capability"]

LORA_OPTIONS = {"epochs": 1}  # three epochs would exceed the demo's time on a slow machine


@dataclass(frozen=True)
class GeneratedTask:
    """A generated task. Rows from index `split` on are test rows; no input occurs in both parts.

    `task` is the content of task.yaml without its `data` paths. `docs` and `schema` are the
    documents and the JSON schema of a task that has them. `cause` is what a bare model lacks.
    """

    rows: tuple[dict[str, Any], ...]
    task: Mapping[str, Any]
    cause: Cause
    split: int
    title: str
    about: str
    docs: tuple[dict[str, Any], ...] = ()
    schema: Mapping[str, Any] | None = None


def two_thirds(n: int) -> int:
    """Return the index of the first test row: two thirds of n."""
    return n - n // 3
