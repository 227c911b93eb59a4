"""The instruction alone, with the label list or a short schema."""

from __future__ import annotations

from tuneworthy.arms._prompted import prompted
from tuneworthy.core.arm import Fitted, Recipe, Setup
from tuneworthy.core.record import Record

TOOL, ROLE, SIMPLICITY = "prompt", "candidate", 10
NEEDS = frozenset({"model"})


class Options(Record):
    """None: the prompt is the task's instruction and output form."""


def fit(setup: Setup, options: Options, seed: int) -> Fitted:  # noqa: ARG001
    """Return the arm; it learns nothing from the rows."""
    return prompted(setup, Recipe(kind="zero"))
