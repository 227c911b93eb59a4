"""Sentences on time: breaks in the named arm's lead, and how requests were timed."""

from __future__ import annotations

from tuneworthy.core.difference_trend import Trend
from tuneworthy.core.escape import visible
from tuneworthy.core.evidence import Latency
from tuneworthy.core.results import Results
from tuneworthy.verdict.drift import break_line, sentences
from tuneworthy.verdict.policy import policy_of
from tuneworthy.verdict.rule import apply_rule, ladder_scenarios


def time_line(results: Results) -> str:
    """Return the sentences on what no bound allows for: breaks over time, rows that depend."""
    policy = results.policy or policy_of(results.task)
    board = ladder_scenarios(results.evidence, policy).seen
    arm = next((one for one in board.order if one.name == results.verdict.arm), None)
    return visible(" ".join(filter(None, sentences(board, policy, results.evidence, arm))))


def bounds_hold(results: Results) -> bool:
    """Return whether rows and right answers are independent, as every bound assumes."""
    policy = results.policy or policy_of(results.task)
    return not apply_rule(ladder_scenarios(results.evidence, policy), policy).unbounded


def trend_lines(results: Results) -> list[str]:
    """Return a line on the trend over time of each difference between the named arm and another."""
    name = results.verdict.arm
    own = [trend for trend in results.evidence.trends if name in (trend.arm, trend.versus)]
    return [visible(_trend_line(trend.seen_from(name or ""))) for trend in own]


def timed_as(latency: Latency) -> str:
    """Return the load under which requests were timed: `one at a time`, or the concurrency."""
    if latency.concurrency is None:
        return "as recorded"
    if latency.concurrency == 1:
        return "one at a time"
    return f"with up to {latency.concurrency:,} requests under way"


def timing_line(results: Results) -> str:
    """Return which arms were timed under load; "" if all were timed one at a time."""
    by_load: dict[str, list[str]] = {}
    for arm in results.evidence.arms:
        if arm.latency_ms is not None and (arm.latency_ms.concurrency or 1) > 1:
            by_load.setdefault(timed_as(arm.latency_ms), []).append(arm.name)
    return visible("; ".join(f"p50 of {', '.join(names)}: {how}" for how, names in by_load.items()))


def _trend_line(trend: Trend) -> str:
    if trend.p is None:
        return f"{trend.arm} beside {trend.versus} over time: not measured ({trend.because})."
    chance = f"chance alone shows a break as large in {100 * trend.p:.2g} % of orders of the rows"
    return f"{break_line(trend)}; {chance}."
