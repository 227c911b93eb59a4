"""Select the arms for a question, by tool and role alone, and compare two of them."""

from __future__ import annotations

from collections.abc import Sequence

from tuneworthy.core.escape import quoted
from tuneworthy.core.evidence import ArmResult, Evidence, Pair
from tuneworthy.core.task import TRAINED_TOOLS, Task, Tool

SIMPLER_TOOLS: tuple[Tool, ...] = ("classifier", "prompt", "schema", "context")
LEARNING_TOOLS: tuple[Tool, ...] = ("classifier", *TRAINED_TOOLS)
PROMPT_TOOLS: tuple[Tool, ...] = ("prompt", "schema", "context")
NO_TUNE = "not measured (no tuned model was measured on these rows)"


def finalists(evidence: Evidence, tools: Sequence[Tool]) -> list[ArmResult]:
    """Return the scored finalists with one of these tools, today's system included."""
    return [
        arm
        for arm in evidence.arms
        if arm.finalist and arm.role == "candidate" and arm.score and arm.tool in tools
    ]


def trained_here(evidence: Evidence) -> list[ArmResult]:
    """Return the finalists trained in this study: neither what runs today nor recorded answers."""
    trained = finalists(evidence, TRAINED_TOOLS)
    return [arm for arm in trained if not arm.present and not arm.recorded]


def learners(evidence: Evidence) -> list[ArmResult]:
    """Return the arms that learn from these rows, or would if they could run."""
    return [
        arm
        for arm in evidence.arms
        if arm.role == "candidate" and not arm.present and not arm.recorded
        if arm.learned or arm.tool in LEARNING_TOOLS
    ]


def same_model(evidence: Evidence, task: Task) -> list[ArmResult]:
    """Return the untrained finalists on the model that a tuned arm starts from."""
    start = task.tune or task.model
    same = finalists(evidence, PROMPT_TOOLS) if task.model == start else []
    is_present = task.present is not None and task.present.model == start
    return same + [arm for arm in finalists(evidence, ("keep",)) if is_present]


def pair_of(evidence: Evidence, arm: str, versus: str) -> Pair | None:
    """Return the pair `arm` minus `versus`; None if the two were not compared."""
    for pair in evidence.pairs:
        if (pair.arm, pair.versus) == (arm, versus):
            return pair
    for pair in evidence.pairs:
        if (pair.arm, pair.versus) == (versus, arm):
            return _reversed_pair(pair)
    return None


def _reversed_pair(pair: Pair) -> Pair:
    ends = {"mean": -pair.mean, "low": -pair.high, "high": -pair.low}
    names = {"arm": pair.versus, "versus": pair.arm}
    return pair.model_copy(update={**ends, **names, "wins": pair.losses, "losses": pair.wins})


def ticked(name: str) -> str:
    """Return an arm's name for a sentence: in backticks, at most 60 characters."""
    return f"`{quoted(name, 60)}`"


def listed(names: Sequence[str]) -> str:
    """Return names as a list in a sentence: `a`, `b` and `c`."""
    if len(names) < 2:
        return "".join(map(ticked, names))
    return f"{', '.join(map(ticked, names[:-1]))} and {ticked(names[-1])}"
