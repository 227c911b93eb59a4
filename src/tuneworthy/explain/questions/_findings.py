"""Helpers of the questions: build a finding, select its arms, price them, count rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from tuneworthy.explain.costs import breakeven, chance_better
from tuneworthy.records.counting import Bounded
from tuneworthy.records.escape import quoted
from tuneworthy.records.evidence import ArmResult, Evidence, Pair
from tuneworthy.records.task import TRAINED_TOOLS, Task, Tool
from tuneworthy.records.verdict import Finding

MAX_ROW_MULTIPLE = 100  # largest multiple of the present rows that is reported as a plan

_ROWS_FACTOR = 2.0

"""Ratio of the rows for power .8 to the rows for power .5, at which the bound meets the threshold:
(1 + .84 / z)^2 is 1.8 to 2.3 for bounds at .05 to .008."""


def finding(
    name: str,
    prior: str | None,
    answer: str,
    because: str,
    step: str,
    value: Bounded | float | None = None,
) -> Finding:
    """Return the Finding of question `name`; `value`: a mean with bounds, a number or None."""
    ends = {"value": value} if isinstance(value, float | int) else {}
    if value is not None and not isinstance(value, float | int):
        ends = {"value": value.mean, "low": value.low, "high": value.high}
    return Finding.model_validate(
        {"name": name, "answer": answer, "because": because, "next": step, "prior": prior,
         **{key: round(float(end), 6) for key, end in ends.items()}}
    )  # fmt: skip


def rows_needed(found: Bounded, n: int, below: float, above: float) -> int | None:
    """Return how many rows show `found` below `below` or above `above` with a power of about .8.

    Takes the observed mean as true and lets the bounds shrink with the square root of the rows:
    2 n (bound - mean)^2 / (threshold - mean)^2. None if the mean lies between the two thresholds,
    or so near one that more than 100 times the rows would be needed.
    """
    wanted = []
    if found.mean < below:
        wanted.append(((found.high - found.mean) / (below - found.mean)) ** 2)
    if found.mean > above:
        wanted.append(((found.mean - found.low) / (found.mean - above)) ** 2)
    if not wanted or not n or _ROWS_FACTOR * min(wanted) > MAX_ROW_MULTIPLE:
        return None
    return max(n + 1, ceil(_ROWS_FACTOR * n * min(wanted)))


def at_threshold_clause(n: int, what: str = "scored rows") -> str:
    """Return a clause on a number so near its threshold that no row count can be named."""
    return f"at the threshold: more {what} may show either side (there are {n:,})"


def rows_needed_clause(
    found: Bounded, n: int, below: float, above: float, what: str = "scored rows"
) -> str:
    """Return a clause: how many rows would show a number below `below` or above `above`."""
    rows = rows_needed(found, n, below, above)
    if rows is None:
        return at_threshold_clause(n, what)
    return f"too small: needs about {rows:,} {what} (there are {n:,})"


def unmeasured(missing: Mapping[str, str], field: str, otherwise: str) -> str:
    """Return `not measured (why)`: the reason recorded for a field, else `otherwise`."""
    return f"not measured ({missing.get(field) or otherwise})"


SIMPLER_TOOLS: tuple[Tool, ...] = ("classifier", "prompt", "schema", "context")

_PROMPT_TOOLS: tuple[Tool, ...] = ("prompt", "schema", "context")

NO_TUNED = "not measured (no tuned model was measured on these rows)"


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


def untrained_on_same_model(evidence: Evidence, task: Task) -> list[ArmResult]:
    """Return the untrained finalists on the model that a tuned arm starts from."""
    start = task.tune or task.model
    same = finalists(evidence, _PROMPT_TOOLS) if task.model == start else []
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


_COST_KEYS = {
    "usd_per_1k": "economics.machine_hour or economics.prices",
    "build_usd": "economics.hours_to_build and economics.engineer_hour",
    "upkeep_usd_month": "economics.hours_per_retrain and economics.hosting_month",
}

MONEY_KEYS = ("requests_per_month", "value_of_correct")

_DAYS_A_MONTH = 30


@dataclass(frozen=True)
class NetValueDifference:
    """The monthly net value of arm b minus that of arm a (USD), with its standard error.

    `saves` is the part that grows with requests, `se` its standard error; `fixed` is upkeep plus
    one-off cost, a month.
    """

    saves: float
    fixed: float
    se: float

    @property
    def chance(self) -> float:
        """Return the probability that b is worth more."""
        return chance_better(self.saves - self.fixed, self.se)


def missing_keys(task: Task, arms: Sequence[ArmResult]) -> list[str]:
    """Return the unset keys of task.yaml without which these arms have no net value."""
    keys = [f"economics.{key}" for key in MONEY_KEYS if getattr(task.economics, key) is None]
    return keys + [
        text
        for field, text in _COST_KEYS.items()
        if any(getattr(arm, field) is None for arm in arms)
    ]


def net_value_difference(task: Task, b: ArmResult, a: ArmResult, pair: Pair) -> NetValueDifference:
    """Return by how many dollars a month the net value of arm b exceeds that of arm a.

    Every cost and price must be known (see `missing_keys`). NV = V (v q - c) - U - F / H: V
    requests a month, v the value of a right answer, q the score, c the cost of a request, U the
    upkeep a month, F the one-off cost, H the months. Only q is uncertain. `pair` is b - a.
    """
    money = task.economics
    volume, value = money.requests_per_month or 0.0, money.value_of_correct or 0.0
    cheaper = ((a.usd_per_1k or 0.0) - (b.usd_per_1k or 0.0)) / 1000
    once = ((b.build_usd or 0.0) - (a.build_usd or 0.0)) / money.horizon_months
    upkeep = (b.upkeep_usd_month or 0.0) - (a.upkeep_usd_month or 0.0)
    spread = pair.standard_error
    return NetValueDifference(
        saves=volume * (value * pair.mean + cheaper),
        fixed=once + upkeep,
        se=volume * value * spread,
    )


def pays_from(task: Task, b: ArmResult, a: ArmResult, gain: float) -> tuple[str, float | None]:
    """Return (side, break-even requests a month or None): where b pays against a."""
    return breakeven(
        (b.build_usd or 0.0) - (a.build_usd or 0.0),
        task.economics.horizon_months,
        (b.upkeep_usd_month or 0.0) - (a.upkeep_usd_month or 0.0),
        ((a.usd_per_1k or 0.0) - (b.usd_per_1k or 0.0)) / 1000,
        task.economics.value_of_correct or 0.0,
        gain,
    )


def monthly_retraining_cost(task: Task, days: float) -> float | None:
    """Return the monthly cost of engineers (USD) to retrain every `days` days; None if unknown."""
    money = task.economics
    if money.hours_per_retrain is None or money.engineer_hour is None:
        return None
    return _DAYS_A_MONTH / days * money.hours_per_retrain * money.engineer_hour
