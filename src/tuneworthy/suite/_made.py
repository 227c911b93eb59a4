"""A generated task: its rows, the content of its task.yaml, and what is wrong by construction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Cause = Literal["format", "convention", "knowledge", "learnable"]

LORA = {"epochs": 1}  # three would take the demo past its minutes on a slow machine


@dataclass(frozen=True)
class Made:
    """What a generator made. Rows from `split` on are the test rows; no input stands in both.

    `task` is the content of task.yaml without its `data` paths, `docs` the documents and `schema`
    the JSON schema where the task has them, `cause` what a bare model lacks for it.
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
    """Return where the test rows start: after two thirds of n rows."""
    return n - n // 3
