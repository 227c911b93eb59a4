"""The instruction alone, with the label list or a short schema."""

from __future__ import annotations

from tuneworthy.arms._prompted import prompting_arm
from tuneworthy.records.arm import Asks, Fitted, Recipe, Setup, Sizes, Work
from tuneworthy.records.record import Record

TOOL, ROLE, SIMPLICITY = "prompt", "candidate", 10
NEEDS = frozenset({"model"})
WITHOUT_GOLD = True
CONTEXT = True


class Options(Record):
    """No options: the prompt is the task's instruction and output form."""


def fit(setup: Setup, options: Options, seed: int) -> Fitted:  # noqa: ARG001
    """Return the fitted arm; no training row is used."""
    return prompting_arm(setup, Recipe(kind="zero"))


def estimate(sizes: Sizes, options: Options) -> Work:  # noqa: ARG001
    """Return one request for each case; on this machine an answer may run to its limit."""
    cases = Asks(requests=sizes.cases, shared=sizes.shared, own=sizes.own)
    return Work(asks=(cases,), answer=sizes.cap)
