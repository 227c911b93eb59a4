"""Is a tuned model worth more a month than every other arm, its costs taken off?"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from math import ceil
from statistics import NormalDist

from tuneworthy.explain.questions._findings import (
    MAX_ROW_MULTIPLE,
    NO_TUNED,
    NetValueDifference,
    at_threshold_clause,
    finalists,
    finding,
    missing_keys,
    net_value_difference,
    pair_of,
    pays_from,
    ticked,
)
from tuneworthy.records.evidence import ArmResult, Evidence
from tuneworthy.records.task import TOOLS, TRAINED_TOOLS, Task
from tuneworthy.records.verdict import Finding

QUESTION = "Does tuning pay at your volume?"
PRIOR = None
UNIT = "chance"
SURE_CHANCE, SURE_NOT = 0.9, 0.1  # default: probability that its net value is higher
_TOOLS_WITHOUT_TRAINING = tuple(tool for tool in TOOLS if tool not in TRAINED_TOOLS)
_finding = partial(finding, "economics", PRIOR)


def ask(evidence: Evidence, task: Task) -> Finding:
    """Answer yes if a tuned arm is worth more than each other arm with a probability of .9.

    `value` is that probability against the closest arm, at the user's requests a month.
    """
    tuned, others = finalists(evidence, TRAINED_TOOLS), finalists(evidence, _TOOLS_WITHOUT_TRAINING)
    if not tuned or not others:
        why = NO_TUNED if not tuned else "not measured (nothing to compare the tuned model with)"
        return _finding("not_measured", why, "let a training arm and a simpler arm run")
    if keys := missing_keys(task, [*tuned, *others]):
        why = f"not measured (task.yaml lacks {', '.join(keys)})"
        step = " and ".join(keys) if len(keys) < 3 else "these keys of economics"
        return _finding("not_measured", why, f"write down {step}")
    contests = [list(_compare_with_each(evidence, task, arm, others)) for arm in tuned]
    closest = [min(one, key=lambda found: found[2].chance) for one in contests if one]
    if not closest:
        why = "not measured (the tuned model was not compared with another arm)"
        return _finding("not_measured", why, "let a training arm and a simpler arm run")
    return _finding_on_comparison(task, max(closest, key=lambda found: found[2].chance))


_Comparison = tuple[ArmResult, ArmResult, NetValueDifference, float, int]


def _compare_with_each(
    evidence: Evidence, task: Task, arm: ArmResult, others: list[ArmResult]
) -> Iterator[_Comparison]:
    for other in others:
        if (pair := pair_of(evidence, arm.name, other.name)) is not None:
            yield arm, other, net_value_difference(task, arm, other, pair), pair.mean, pair.n


def _finding_on_comparison(task: Task, found: _Comparison) -> Finding:
    arm, other, value, gain, n = found
    month = value.saves - value.fixed
    more = "more" if month >= 0 else "less"
    because = (
        f"at {task.economics.requests_per_month:,.0f} requests a month {ticked(arm.name)} is worth"
        f" ${abs(month):,.0f} {more} than {ticked(other.name)} (chance that it is worth more:"
        f" {100 * value.chance:.0f} %; n = {n:,}); {_volume_clause(task, arm, other, gain)}"
    )
    if value.chance >= SURE_CHANCE:
        return _finding("yes", because, "", value.chance)
    if value.chance <= SURE_NOT:
        step = f"keep {ticked(other.name)}; ask again when volume or prices change"
        return _finding("no", because, step, value.chance)
    step = f"settle between {ticked(arm.name)} and {ticked(other.name)}"
    return _finding("not_measured", f"{_rows_to_decide(value, n)}; {because}", step, value.chance)


def _rows_to_decide(value: NetValueDifference, n: int) -> str:
    """Return a clause on the rows that bring the probability to .9 or .1 with power .8."""
    month, z = (
        value.saves - value.fixed,
        NormalDist().inv_cdf(SURE_CHANCE) + NormalDist().inv_cdf(0.8),
    )
    rows = ceil(n * (z * value.se / month) ** 2) if month else 0
    if not rows or rows > MAX_ROW_MULTIPLE * n:
        return at_threshold_clause(n)
    return f"too small: needs about {rows:,} scored rows (there are {n:,})"


def _volume_clause(task: Task, arm: ArmResult, other: ArmResult, gain: float) -> str:
    side, volume = pays_from(task, arm, other, gain)
    if side in ("above", "below"):
        return f"it pays {side} {volume:,.0f} a month"
    return f"it pays at {'every' if side == 'always' else 'no'} volume"
