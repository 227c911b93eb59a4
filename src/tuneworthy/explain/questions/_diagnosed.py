"""What questions read of the diagnosis, of the examples and of facts that change."""

from __future__ import annotations

from dataclasses import dataclass
from math import expm1, log1p

from tuneworthy.explain.questions._findings import (
    MONEY_KEYS,
    SIMPLER_TOOLS,
    finalists,
    monthly_retraining_cost,
    pair_of,
    rows_needed,
    ticked,
    unmeasured,
)
from tuneworthy.matrix.design import Design
from tuneworthy.records.causes import Diagnosis
from tuneworthy.records.counting import count_noun, percent, points
from tuneworthy.records.evidence import Evidence
from tuneworthy.records.further import Freshness, KnowledgeProbe, Proportion
from tuneworthy.records.task import TRAINED_TOOLS, Task

_CAUSES_OF_FACTS = ("knowledge", "retrieval")

_CAUSES_OF_BEHAVIOUR = ("format", "convention", "latent", "learnable")

_CAUSES_OF_NEITHER = ("metric", "label")  # causes that are neither facts nor behaviour

MOST_UNKNOWN, UNKNOWN_OF_A_TYPE = 0.25, 0.5  # default: shares of unknown facts that are too high

_SMALLEST_PART_DESIGN = Design.independent("only the counts of a finding are stored")


@dataclass(frozen=True)
class FactShare:
    """The share of facts among the causes of `n` failures, with its 95 % interval.

    `at_most`: no passage was shown, so a failure that no remedy repairs may be a missing fact.
    """

    mean: float
    low: float
    high: float
    n: int
    at_most: bool


def missing_facts_share(found: Diagnosis) -> FactShare | None:
    """Return the share of missing facts among failures of facts or behaviour; None for neither.

    If a remedy was tried on part of the failures only, the shares are the estimates and the
    interval is that of the smallest such part. If no passage was shown, every failure that nothing
    else explains counts as a missing fact.
    """
    rows = found.estimates or found.wrong
    shares = {row.cause: row.share for row in rows}
    lacks, ways = (
        sum(shares.get(c, 0.0) for c in kinds) for kinds in (_CAUSES_OF_FACTS, _CAUSES_OF_BEHAVIOUR)
    )
    least = min((row.n for row in rows), default=0)
    shown = any(one.remedy in _CAUSES_OF_FACTS and one.n_fail for one in found.effects)
    whole = lacks + ways if shown else 1.0
    n = round(whole * least)
    if not n or not ways + lacks:
        return None
    other = sum(shares.get(cause, 0.0) for cause in _CAUSES_OF_NEITHER)
    mean = lacks / whole if shown else max(0.0, 1 - ways - other)
    share = _SMALLEST_PART_DESIGN.rate(min(n, round(mean * n)), n)
    return FactShare(mean, share.low if shown else 0.0, share.high, n, not shown)


def training_acts(found: Diagnosis) -> str | None:
    """Return the name of the training or pilot that acts on the failures; None if none does."""
    return next((e.name for e in found.effects if e.remedy == "learnable" and e.acts), None)


def unknown_share_if_too_high(known: KnowledgeProbe | None) -> tuple[Proportion, str] | None:
    """Return (share of facts unknown to the model, its rows) if shown too high, else None."""
    if known is None:
        return None
    if known.unknown is not None and known.unknown.low >= MOST_UNKNOWN:
        return known.unknown, "rows asked"
    for kind, share in sorted(known.by_type.items()):
        if share.low >= UNKNOWN_OF_A_TYPE:
            return share, f"rows of type {ticked(kind)} asked"
    return None


LEAST_EXAMPLES, LEAST_OF_A_CLASS = 50, 10  # default: the fewest rows, and rows of a class

_MOST_CONTRADICTING = 0.02  # default: share of rows that contradict another row

_LEAST_ONE_FORM = 0.98  # default: share of answers in the most frequent form

PartialFinding = tuple[str, str, str]

"""(answer, because, next) of a finding."""


def finding_on_contradictions(evidence: Evidence) -> PartialFinding | None:
    """Return (no, because, next) if too many rows contradict another, else None."""
    share = evidence.soundness.contradictions if evidence.soundness else None
    if share is None or share.share <= _MOST_CONTRADICTING:
        return None
    many = f"{share.k:,} of {share.n:,} rows ({percent(share.share)}) contradict another row"
    return "no", many, "correct the contradictory rows that `tuneworthy check` lists"


def finding_on_few_rows(evidence: Evidence) -> PartialFinding | None:
    """Return (no, because, next) if rows, or those of one class, are too few; else None."""
    if evidence.train is not None and evidence.train < LEAST_EXAMPLES:
        many = f"{count_noun(evidence.train, 'row')} to learn from, fewer than {LEAST_EXAMPLES}"
        return "no", many, f"collect {LEAST_EXAMPLES - evidence.train} or more rows"
    fewest = evidence.soundness.fewest_of_a_class if evidence.soundness else None
    if fewest is not None and fewest < LEAST_OF_A_CLASS:
        many = f"one class has {count_noun(fewest, 'row')}, fewer than {LEAST_OF_A_CLASS}"
        return "no", many, f"collect rows of the rare classes, {LEAST_OF_A_CLASS} or more of each"
    return None


def require_consistency(evidence: Evidence, said: PartialFinding | None) -> PartialFinding | None:
    """Return `said`; a yes becomes not_measured if contradictory rows were not counted."""
    if said is None or said[0] != "yes":
        return said
    sound = evidence.soundness
    if sound is None or sound.contradictions is None:
        missing = sound.missing if sound else evidence.missing
        field = "contradictions" if sound else "soundness"
        why = unmeasured(missing, field, "how many rows contradict another")
        return "not_measured", f"{said[1]}; {why}", "run `tuneworthy check`"
    form = sound.one_form
    if form is None or form.share >= _LEAST_ONE_FORM:
        return said
    mixed = f"{said[1]}; but only {percent(form.share)} of {form.n:,} answers have one form"
    return "yes", mixed, "bring the answers into one form"


LASTING_DAYS = 90  # default: the days that a training must last (a quarter)

_LEAST_FAITHFUL = 0.9  # default: share of changed facts answered as the passage says


def unfaithful(evidence: Evidence, stale: Freshness) -> str:
    """Return a clause on a tuned arm shown to ignore changed passages too often, or ""."""
    tuned = {arm.name for arm in evidence.arms if arm.tool in TRAINED_TOOLS}
    for name, share in sorted(stale.faithful.items()):
        if name in tuned and share.high < _LEAST_FAITHFUL:
            return (
                f"{ticked(name)} follows the passage on {share.k:,} of {share.n:,} changed facts"
                f" (at most {percent(share.high)})"
            )
    return ""


def too_dear(evidence: Evidence, task: Task, days: float) -> str:
    """Return a clause if retraining every `days` days costs more than it can bring, else "".

    Compares monthly values at the upper bound of the best tuned arm's gain over a simpler one;
    its requests and right answers are priced, other upkeep is left out.
    """
    cost = monthly_retraining_cost(task, days)
    if cost is None or any(getattr(task.economics, key) is None for key in MONEY_KEYS):
        return ""
    volume, value = task.economics.requests_per_month or 0.0, task.economics.value_of_correct or 0.0
    for other in finalists(evidence, ("keep", *SIMPLER_TOOLS)):
        brings = []
        for arm in finalists(evidence, TRAINED_TOOLS):
            pair = pair_of(evidence, arm.name, other.name)
            if pair is None or arm.usd_per_1k is None or other.usd_per_1k is None:
                break
            saved = (other.usd_per_1k - arm.usd_per_1k) / 1000
            brings.append((volume * (value * pair.high + saved), pair.high))
        else:
            if brings and max(brings)[0] < cost:
                most, gain = max(brings)
                return (
                    f"retraining every {days:,.0f} days costs ${cost:,.0f} a month, and tuning"
                    f" brings ${max(0.0, most):,.0f} at most beside {ticked(other.name)}"
                    f" (+{points(gain)} at most)"
                )
    return ""


def facts_needed(stale: Freshness) -> int | None:
    """Return how many dated facts show whether a training lasts 90 days; None if unknown."""
    changed = stale.changed
    if changed is None or stale.declared or stale.over_days is None:
        return None
    limit = -expm1(stale.over_days * log1p(-stale.stale_ok) / LASTING_DAYS)
    return rows_needed(_StalenessBounds(changed), changed.n, limit, limit)


class _StalenessBounds:
    """A share with the attributes of a mean with bounds: `mean`, `low`, `high`."""

    def __init__(self, share: Proportion) -> None:
        self.mean, self.low, self.high = share.share, share.low, share.high
