"""The instruction alone, with the label list or a short schema."""

from __future__ import annotations

from tuneworthy.arms._prompted import prompting_arm
from tuneworthy.core.arm import Fitted, Recipe, Setup, Sizes, Work
from tuneworthy.core.record import Record

TOOL, ROLE, SIMPLICITY = "prompt", "candidate", 10
NEEDS = frozenset({"model"})
CONTEXT = True


class Options(Record):
    """No options: the prompt is the task's instruction and output form."""


def fit(setup: Setup, options: Options, seed: int) -> Fitted:  # noqa: ARG001
    """Return the fitted arm; no training row is used."""
    return prompting_arm(setup, Recipe(kind="zero"))


def estimate(sizes: Sizes, options: Options) -> Work:  # noqa: ARG001
    """Return the cost: the shared prefix once, then each input; answers may run to the cap."""
    read = sizes.shared + sizes.cases * sizes.own
    return Work(requests=sizes.cases, read=read, written=sizes.cases * sizes.cap)
