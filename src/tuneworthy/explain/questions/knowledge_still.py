"""Does what the task needs to know change slowly enough for retraining?"""

from __future__ import annotations

from functools import partial

from tuneworthy.explain.questions._diagnosed import LASTING_DAYS, facts_needed, too_dear, unfaithful
from tuneworthy.explain.questions._findings import finding, unmeasured
from tuneworthy.records.counting import percent
from tuneworthy.records.evidence import Evidence
from tuneworthy.records.further import Freshness
from tuneworthy.records.interval import Interval
from tuneworthy.records.task import Task
from tuneworthy.records.verdict import Finding

QUESTION = "Does knowledge change slowly enough for retraining?"
PRIOR = None
WRONG = (
    "What changes often stands in the weights until the next training: keep it in documents that"
    " are looked up."
)
UNIT = "days"
_RETRIEVE_FACTS = "look facts up instead: data.docs, with dates"
_finding = partial(finding, "knowledge_still", PRIOR)


def ask(evidence: Evidence, task: Task) -> Finding:
    """Answer yes if a training is shown to last 90 days, no if it is shown not to.

    `value` is the number of days after which more than the allowed share of facts is stale.
    """
    stale = evidence.staleness
    if stale is None or stale.days is None:
        keys = "keys knowledge.changed_share and knowledge.over, or data.docs with dates"
        why = unmeasured(evidence.missing, "staleness", (stale.because if stale else "") or keys)
        return _finding(
            "not_measured", why, "write down knowledge.changed_share and knowledge.over"
        )
    days = stale.days
    if why := unfaithful(evidence, stale):
        return _finding("no", why, _RETRIEVE_FACTS, days)
    said = _days_text(stale, days)
    if days.high < LASTING_DAYS:
        because = f"{said}: a training lasts less than {LASTING_DAYS} days"
        return _finding("no", because, _RETRIEVE_FACTS, days)
    if why := too_dear(evidence, task, days.high):
        return _finding("no", f"{why}; {said}", _RETRIEVE_FACTS, days)
    if days.low >= LASTING_DAYS:
        step = f"let the model expire after {days.low:,.0f} days"
        return _finding("yes", f"{said}: a training lasts {LASTING_DAYS} days or more", step, days)
    need = facts_needed(stale)
    rows = f"needs about {need:,} dated facts" if need else f"it lies at {LASTING_DAYS} days"
    step = "give more passages their dates (from, to)"
    return _finding("not_measured", f"too small: {rows}; {said}", step, days)


def _days_text(stale: Freshness, days: Interval) -> str:
    of = "as you wrote it down" if stale.declared else f"{days.low:,.0f} to {days.high:,.0f}"
    n = f"; n = {stale.changed.n:,} facts" if stale.changed and not stale.declared else ""
    return (
        f"after {days.mean:,.0f} days ({of}{n}) more than {percent(stale.stale_ok)} of the facts"
        f" are stale"
    )
