"""Any system by its recorded answers: a hosted tune, an agent, a rule engine, a human."""

from __future__ import annotations

from tuneworthy.arms._prompted import recorded_arm
from tuneworthy.records.arm import Fitted, Setup
from tuneworthy.records.errors import DoesNotApply
from tuneworthy.records.record import Record

TOOL, ROLE, SIMPLICITY = "", "candidate", 5
NEEDS: frozenset[str] = frozenset()
WITHOUT_GOLD = True


class Options(Record):
    """`name` is the key under `answers:` in task.yaml, which also declares the tool."""

    name: str = ""


def fit(setup: Setup, options: Options, seed: int) -> Fitted:  # noqa: ARG001
    """Return the arm of recorded answers. Raises DoesNotApply if the file holds none."""
    if not setup.recorded:
        raise DoesNotApply(f"`answers.{options.name}` holds no answer")
    return recorded_arm(setup)
