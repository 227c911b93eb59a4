"""The sentence on how many points another arm could gain over the named one."""

from __future__ import annotations

from tuneworthy.core.escape import visible
from tuneworthy.core.results import Results
from tuneworthy.report import _words as words


def left_line(results: Results) -> str:
    """Return a sentence on how many points another arm could gain at most, and which arm."""
    verdict, ahead = results.verdict, words.differences_to_named(results)
    left = verdict.left_on_table
    if left is None:
        why = visible(verdict.missing.get("/left_on_table", words.UNKNOWN))
        return f"How much better another arm could be is not measured: {why}."
    sure = words.confidence(left.level)
    if left.points <= 0 or not ahead:
        return f"No other measured arm can be better ({sure} sure)."
    arm = next(a for a in results.evidence.arms if a.name == ahead[0].arm)
    kind = words.TOOL_NAMES.get(arm.tool or "", "Another system")
    if verdict.arm is None:
        return (
            f"{kind} ({visible(arm.name)}) is not shown to be better than"
            f" {visible(ahead[0].versus)}: by at most {words.points(left.points)} points, as far as"
            f" these rows can show ({sure} sure)."
        )
    return (
        f"{kind} ({visible(arm.name)}) could be at most {words.points(left.points)} points "
        f"better ({sure} sure){_beyond_perfect(results, left.points)}."
    )


def _beyond_perfect(results: Results, left: float) -> str:
    """Return a clause on a bound `left` above the points missing to a perfect score; or "".

    The bound holds for rows like these, among which there may be harder ones; on these rows
    themselves no arm can gain more than the points missing to a perfect score.
    """
    named = words.arm_named(results)
    if named is None or named.score is None or left <= (room := 1 - named.score.mean):
        return ""
    here = f"on these rows at most the {words.points(room)} to a perfect score"
    return f": {here}, more only where others are harder"
