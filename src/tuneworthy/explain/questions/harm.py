"""Does training cost general ability, rare words, calibration or facts that were known?"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from tuneworthy.explain.questions._findings import (
    NO_TUNED,
    finalists,
    finding,
    rows_needed,
    ticked,
    trained_here,
    unmeasured,
)
from tuneworthy.records.counting import percent, percent_with_bounds
from tuneworthy.records.evidence import Evidence
from tuneworthy.records.further import SideEffects
from tuneworthy.records.interval import Interval
from tuneworthy.records.task import TRAINED_TOOLS, Task
from tuneworthy.records.verdict import Finding

QUESTION = "Does training do harm elsewhere?"
AGAINST = "yes"  # speaks against tuning
PRIOR = "general ability falls by 10 %"
UNIT = "share"
GENERAL_LIMIT, TAIL_LIMIT, CALIBRATION_LIMIT, KNOWN_FACTS_LIMIT = 0.05, 0.15, 0.05, 0.02  # default
_MILDER_TRAINING = "train with a lower rate, LoRA, or 1 to 5 % general rows replayed"
_finding = partial(finding, "harm", PRIOR)


class _HarmFigure(NamedTuple):
    """One kind of harm: its size (above 0 is worse) and the limit from which it counts."""

    field: str
    what: str
    found: Interval | None
    limit: float


def ask(evidence: Evidence, task: Task) -> Finding:
    """Answer yes if any loss is shown to exceed its limit, no if all are shown to be below.

    `value` is the largest relative rise of cross-entropy on general text over the arms.
    """
    if not evidence.harms:
        tuned = trained_here(evidence)
        if not tuned and (logged := finalists(evidence, TRAINED_TOOLS)):
            why = f"{ticked(logged[0].name)} was not trained here: only its answers are known"
            return _finding("not_measured", unmeasured({}, "", why), "let a training arm run")
        why = "what training changes elsewhere" if tuned else NO_TUNED
        step = "measure the trained model on general text" if tuned else "let a training arm run"
        return _finding("not_measured", unmeasured(evidence.missing, "harms", why), step)
    limit = task.success.limits.general_drop
    worst = max(evidence.harms, key=lambda one: one.general.mean if one.general else -1.0).general
    found = [(one, loss) for one in evidence.harms for loss in _figures_of_harm(one, limit)]
    known = [(one, loss, loss.found) for one, loss in found if loss.found is not None]
    if above := [one for one in known if one[2].low > one[1].limit]:
        because = "; ".join(_loss_text(*one) for one in above)
        return _finding("yes", because, _MILDER_TRAINING, worst)
    blind = next((one for one in evidence.harms if one.general is None), None)
    if worst is None or blind is not None:
        why = unmeasured(blind.missing if blind else {}, "general", "cross-entropy on general text")
        return _finding("not_measured", why, "measure on general texts", worst)
    if unsure := [one for one in known if one[2].high >= one[1].limit]:
        said = "; ".join(_loss_text(*one) for one in unsure)
        because = f"too small: needs {_texts_to_decide(*unsure[0])}; {said}"
        return _finding("not_measured", because, "measure on more general texts", worst)
    because = "; ".join(_loss_text(*one) for one in known) + _unmeasured_clause(found)
    return _finding("no", because, "", worst)


def _figures_of_harm(one: SideEffects, limit: float | None) -> Iterator[_HarmFigure]:
    tail = one.tail and Interval(mean=-one.tail.mean, low=-one.tail.high, high=-one.tail.low)
    general = GENERAL_LIMIT if limit is None else limit
    yield _HarmFigure("general", "cross-entropy on general text rises by", one.general, general)
    yield _HarmFigure("tail", "the score on rare words falls by", tail, TAIL_LIMIT)
    yield _HarmFigure("calibration", "the calibration error rises by", one.ece, CALIBRATION_LIMIT)
    yield _HarmFigure("known", "of what was known well is lost:", one.known, KNOWN_FACTS_LIMIT)


def _texts_to_decide(one: SideEffects, loss: _HarmFigure, found: Interval) -> str:
    """Return "about N texts" that would decide a loss on general text; else "more rows"."""
    many = rows_needed(found, one.general_n, loss.limit, loss.limit)
    return f"about {many:,} texts" if many and loss.field == "general" else "more rows"


def _loss_text(one: SideEffects, loss: _HarmFigure, found: Interval) -> str:
    more = f"limit {percent(loss.limit)}"
    if loss.field == "general":
        more += f"; n = {one.general_n:,} texts"
    return f"{ticked(one.arm)}: {loss.what} {percent_with_bounds(found, more)}"


def _unmeasured_clause(found: list[tuple[SideEffects, _HarmFigure]]) -> str:
    lost = sorted({loss.field for _, loss in found if loss.found is None})
    return f"; not measured: {', '.join(lost)}" if lost else ""
