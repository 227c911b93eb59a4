"""What the study says of time: breaks in the lead of the named arm. Words only."""

from __future__ import annotations

from tuneworthy.core.escape import visible
from tuneworthy.core.results import Results
from tuneworthy.core.trend import Trend
from tuneworthy.verdict.drift import break_line, said
from tuneworthy.verdict.policy import policy_of
from tuneworthy.verdict.rule import boards


def time_line(results: Results) -> str:
    """Return what moves with time between the named arm and another, "" where nothing does."""
    policy = results.policy or policy_of(results.task)
    board = boards(results.evidence, policy).seen
    arm = next((one for one in board.order if one.name == results.verdict.arm), None)
    return visible(said(board, policy, results.evidence.trends, arm))


def trend_lines(results: Results) -> list[str]:
    """Return a line for each arm that the named one was compared with over time."""
    name = results.verdict.arm
    own = [trend for trend in results.evidence.trends if name in (trend.arm, trend.versus)]
    return [visible(_line(trend.seen_from(name or ""))) for trend in own]


def _line(trend: Trend) -> str:
    if trend.p is None:
        return f"{trend.arm} beside {trend.versus} over time: not measured ({trend.because})."
    chance = f"chance alone shows a break as large in {100 * trend.p:.2g} % of orders of the rows"
    return f"{break_line(trend)}; {chance}."
