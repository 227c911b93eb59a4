"""tuneworthy's own first look: what the arms without training score on at most 75 cases.

The probability of a measured tool is the chance that its best arm lies within the margin of the
look's best arm (normal approximation of the paired interval), times the chance that no simpler tool
does. Tools that the look does not run share a part that grows with the room above its best score.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

from bench.atlas.advice_input import AdviceInput

from tuneworthy.records.measured_task import MeasuredArm
from tuneworthy.records.task import TOOLS

LABEL = "first look (tuneworthy, 75 cases)"
SEES = "the scores of the arms without training, on at most 75 of the cases it is judged on"
BLIND = (
    "tools that train, retrieve or need a larger model: they share (1 - margin - best score) times"
    " their part of all tools, a rule that is not calibrated"
)


def skipped(inputs: Sequence[AdviceInput]) -> str:
    """Return why this adviser can't be asked; "" if a task has a first look."""
    return "" if any(each.first_look for each in inputs) else "no task has a recorded first look"


def advise(shown: AdviceInput) -> dict[str, float] | None:
    """Return the probabilities of the measured tools; the other tools share the rest."""
    best = _best_by_tool(shown.first_look)
    scores = [arm.score.mean for arm in best.values() if arm.score is not None]
    if not scores:
        return None
    other = [tool for tool in TOOLS if tool not in best]
    room = max(0.0, 1 - shown.margin - max(scores)) * len(other) / len(TOOLS)
    chances, left = {}, 1.0
    for tool in best:
        within = _chance_within_margin(best[tool], shown.margin)
        chances[tool] = left * within
        left *= 1 - within
    total = sum(chances.values())
    if total <= 0:  # no arm was compared with the best arm of the look
        return None
    measured = {tool: (1 - room) * chance / total for tool, chance in chances.items()}
    return measured | {tool: room / len(other) for tool in other}


def _best_by_tool(arms: Sequence[MeasuredArm]) -> dict[str, MeasuredArm]:
    """Return the best measured arm of each tool, in the order of the ladder."""
    best: dict[str, MeasuredArm] = {}
    for tool in TOOLS:
        own = [(arm.score.mean, arm) for arm in arms if arm.tool == tool and arm.score]
        if own:
            best[tool] = max(own, key=lambda pair: pair[0])[1]
    return best


def _chance_within_margin(arm: MeasuredArm, margin: float) -> float:
    """Return the chance that an arm lies within the margin of the look's best arm."""
    if arm.behind is None:
        return 1.0
    error = (arm.behind.high - arm.behind.low) / (2 * NormalDist().inv_cdf(0.975))
    if error <= 0:
        return float(arm.behind.mean <= margin)
    return NormalDist(arm.behind.mean, error).cdf(margin)
