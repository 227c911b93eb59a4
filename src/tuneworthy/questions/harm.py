"""Does training cost general ability, rare words, calibration or facts that were known?"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from tuneworthy.core.evidence import Evidence
from tuneworthy.core.finding import Finding
from tuneworthy.core.harm import Harm
from tuneworthy.core.interval import Interval
from tuneworthy.core.task import Task
from tuneworthy.core.units import percent
from tuneworthy.questions._arms import named
from tuneworthy.questions._shown import enough, finding, unmeasured

QUESTION = "Does training do harm elsewhere?"
PRIOR = "general ability falls by 10 %"
UNIT = "share"
GENERAL, TAIL, CALIBRATION, KNOWN = 0.05, 0.15, 0.05, 0.02  # default
MILDER = "train with a lower rate, LoRA, or 1 to 5 % general rows replayed"
_found = partial(finding, "harm", PRIOR)


class _Loss(NamedTuple):
    """One way to do harm: how much worse it is (above 0: worse) and from where it counts."""

    what: str
    field: str
    low: float | None
    high: float | None
    limit: float


def ask(evidence: Evidence, task: Task) -> Finding:
    """Say yes where any loss is shown above its limit, no where all are shown below.

    `value` is the relative rise of cross-entropy on general text, of the arm that it rises most in.
    """
    if not evidence.harms:
        why = unmeasured(evidence.missing, "harms", "no tuned model was measured")
        return _found("not_measured", why, "let a training arm run")
    limit = task.success.limits.general_drop
    worst = max(evidence.harms, key=lambda one: one.general.mean if one.general else -1.0).general
    found = [(one, loss) for one in evidence.harms for loss in _losses(one, limit)]
    known = [pair for pair in found if pair[1].low is not None]
    above = [pair for pair in known if _low(pair[1]) > pair[1].limit]
    if above:
        because = "; ".join(_said(one, loss) for one, loss in above)
        return _found("yes", because, MILDER, worst)
    blind = next((one for one in evidence.harms if one.general is None), None)
    if worst is None or blind is not None:
        why = unmeasured(blind.missing if blind else {}, "general", "cross-entropy on general text")
        return _found("not_measured", why, "measure on general texts", worst)
    if unsure := [pair for pair in known if _high(pair[1]) >= pair[1].limit]:
        many = _texts(unsure[0])
        need = f"about {many:,} texts" if many else "more rows"
        because = f"too small: needs {need}; {'; '.join(_said(*pair) for pair in unsure)}"
        return _found("not_measured", because, "measure on more general texts", worst)
    because = "; ".join(_said(one, loss) for one, loss in known) + _left_out(found)
    return _found("no", because, "", worst)


def _losses(one: Harm, limit: float | None) -> Iterator[_Loss]:
    tail = one.tail and Interval(mean=-one.tail.mean, low=-one.tail.high, high=-one.tail.low)
    general = GENERAL if limit is None else limit
    for what, field, found, most in (
        ("cross-entropy on general text rises by", "general", one.general, general),
        ("the score on rare words falls by", "tail", tail, TAIL),
        ("the calibration error rises by", "ece", one.ece, CALIBRATION),
        ("of facts known well are lost", "known", one.known, KNOWN),
    ):
        low, high = (found.low, found.high) if found else (None, None)
        yield _Loss(what, field, low, high, most)


def _texts(unsure: tuple[Harm, _Loss]) -> int | None:
    """Return the general texts that would settle it; None where it is not about them."""
    one, loss = unsure
    if loss.field != "general" or one.general is None:
        return None
    return enough(one.general, one.general_n, loss.limit, loss.limit)


def _low(loss: _Loss) -> float:
    return loss.low if loss.low is not None else float("-inf")


def _high(loss: _Loss) -> float:
    return loss.high if loss.high is not None else float("inf")


def _said(one: Harm, loss: _Loss) -> str:
    ends = f"{percent(_low(loss))} to {percent(_high(loss))}, limit {percent(loss.limit)}"
    n = f"; n = {one.general_n:,} texts" if loss.field == "general" else ""
    return f"{named(one.arm)}: {loss.what} ({ends}{n})"


def _left_out(found: list[tuple[Harm, _Loss]]) -> str:
    lost = sorted({loss.field for _, loss in found if loss.low is None})
    return f"; not measured: {', '.join(lost)}" if lost else ""
