"""What the rule decides on: the ladder with its bounds, broken limits, the user's policy. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan
from typing import Literal

from tuneworthy.records.counting import points
from tuneworthy.records.evidence import ArmResult, Evidence, Pair, Policy
from tuneworthy.records.task import TOOLS, Task

_FORM_CAUSES = ("metric", "format")
MeanWithBounds = tuple[float, float, float]
UNKNOWN_DIFFERENCE: MeanWithBounds = (
    0.0,
    -1.0,
    1.0,
)  # the widest difference of two scores in [0, 1]


@dataclass(frozen=True)
class Ladder:
    """Feasible finalists, simplest first, with mean and one-sided bounds of every pair.

    `others` are feasible compared arms that are no finalists, or answer nothing under
    `wrong_at_most`; they may be better than the named one. `outside` are finalists that break a
    limit. `bounds[b, s]` is (mean, low, high) of b - s in score points; a pair that was not
    compared has the widest possible bound.
    """

    order: tuple[ArmResult, ...]
    outside: tuple[ArmResult, ...]
    references: tuple[ArmResult, ...]
    present: ArmResult | None
    bounds: Mapping[tuple[str, str], MeanWithBounds]
    pairs: Mapping[tuple[str, str], Pair]
    others: tuple[ArmResult, ...] = ()

    @property
    def rivals(self) -> tuple[ArmResult, ...]:
        """Return all feasible compared arms: the finalists, then the others."""
        return (*self.order, *self.others)

    def bound(self, arm: ArmResult, versus: ArmResult) -> MeanWithBounds:
        """Return (mean, low, high) of arm - versus; (0, -1, 1) if the two were not compared."""
        return self.bounds.get((arm.name, versus.name), UNKNOWN_DIFFERENCE)

    def most_gain(self, arm: ArmResult) -> tuple[float, ArmResult | None]:
        """Return (how much better another feasible arm may be than `arm` at most, which arm).

        (0.0, None) if no other arm can be better.
        """
        gains = [(self.bound(one, arm)[2], one) for one in self.rivals if one.name != arm.name]
        most = max(gains, key=lambda gain: gain[0], default=(0.0, None))
        return most if most[0] > 0 else (0.0, None)


def ladder_key(arm: ArmResult) -> tuple[int, int, str]:
    """Return an arm's sort key on the ladder: tool, then simplicity (the name breaks ties).

    An arm of unknown tool is placed above all others, as it may be the most complex.
    """
    return (TOOLS.index(arm.tool) if arm.tool else len(TOOLS), arm.simplicity, arm.name)


def build_ladder(
    evidence: Evidence, policy: Policy, gains: Mapping[str, float] | None = None
) -> Ladder:
    """Return the ladder of the measured arms, with `gains` {name: gain} added to their scores."""
    shift = {arm.name: (gains or {}).get(arm.name, 0.0) for arm in evidence.arms}
    raised = [_with_gain(arm, shift[arm.name]) for arm in sorted(evidence.arms, key=ladder_key)]
    scored = [arm for arm in raised if arm.score and arm.state in ("measured", "stopped_early")]
    able = [a for a in scored if a.role == "candidate"]
    finalists = [arm for arm in able if arm.finalist]
    outside = tuple(arm for arm in finalists if broken_limits(arm, policy))
    silent = [arm for arm in finalists if arm.sure_of_nothing]
    others = [*silent, *(arm for arm in able if arm.compared and not arm.finalist)]
    today = [arm for arm in scored if arm.present] or [a for a in finalists if a.tool == "keep"]
    pairs = {(pair.arm, pair.versus): pair for pair in evidence.pairs}
    return Ladder(
        order=tuple(arm for arm in finalists if arm not in (*outside, *silent)),
        outside=outside,
        references=tuple(arm for arm in scored if arm.role == "reference"),
        present=today[0] if today else None,
        bounds=_bounds_both_ways(pairs, shift),
        pairs=pairs,
        others=tuple(arm for arm in others if not broken_limits(arm, policy)),
    )


def _with_gain(arm: ArmResult, by: float) -> ArmResult:
    if not by or arm.score is None:
        return arm
    ends = {key: min(1.0, getattr(arm.score, key) + by) for key in ("mean", "low", "high")}
    return arm.model_copy(update={"score": arm.score.model_copy(update=ends)})


def _bounds_both_ways(
    pairs: Mapping[tuple[str, str], Pair], shift: Mapping[str, float]
) -> dict[tuple[str, str], MeanWithBounds]:
    out: dict[tuple[str, str], MeanWithBounds] = {}
    for (arm, versus), pair in pairs.items():
        by = shift.get(arm, 0.0) - shift.get(versus, 0.0)
        ends = [pair.mean + by, pair.low + by, pair.high + by]
        mean, low, high = (max(-1.0, min(1.0, x)) for x in ends)
        out[arm, versus] = UNKNOWN_DIFFERENCE if any(map(isnan, ends)) else (mean, low, high)
        if (versus, arm) not in pairs:
            out[versus, arm] = (-mean, -high, -low)
    return out


def broken_limits(arm: ArmResult, policy: Policy) -> tuple[str, ...]:
    """Return the names of the limits that this arm is shown to break.

    The floor is broken if the upper end of the score's interval lies below it.
    """
    names = [name for name, state in sorted(arm.limits.items()) if state == "violated"]
    below = policy.floor is not None and arm.score is not None and arm.score.high < policy.floor
    if below and "floor" not in arm.limits:
        names.append("floor")
    return tuple(names)


def unchecked_limits(arm: ArmResult) -> tuple[str, ...]:
    """Return the names of the limits that were not tested on this arm.

    `general_drop` is none of them for what runs today: keeping it changes no model.
    """
    untested = (name for name, state in sorted(arm.limits.items()) if state == "not measured")
    return tuple(name for name in untested if not (arm.present and name == "general_drop"))


def open_limits(arm: ArmResult) -> tuple[str, ...]:
    """Return the names of the limits that this arm is shown neither to keep nor to break."""
    return tuple(n for n, s in sorted(arm.limits.items()) if s in ("not shown", "not measured"))


def policy_of(task: Task) -> Policy:
    """Return the user's part of the rule from a task: margin, motive, target, limits, prices."""
    success, money = task.success, task.economics
    return Policy(
        margin=success.margin,
        motive=success.motive,
        target=success.target,
        floor=success.floor,
        limits=success.limits,
        requests_per_month=money.requests_per_month,
        value_of_correct=money.value_of_correct,
        label_each=money.label_each,
        horizon_months=money.horizon_months,
        margin_is_default="margin" not in success.model_fields_set,
        wrong_at_most=success.wrong_at_most,
        lacks_answers=task.lacks_answers,
    )


@dataclass(frozen=True)
class _RefusedAnswers:
    """At least `share` of all cases (0 to 1) are right answers of `arm` that the metric refused."""

    arm: str
    remedy: str
    share: float


def refused_answers(evidence: Evidence) -> _RefusedAnswers | None:
    """Return how many right answers of today were refused for form, if the first cause; else None.

    Only rescoring the same answers counts: a form that an arm of the study repairs (a schema) is
    handled by the ladder.
    """
    diagnosis, today = evidence.diagnosis, [arm.name for arm in evidence.arms if arm.present]
    if diagnosis is None or diagnosis.arm not in today or not diagnosis.wrong:
        return None
    lead, names = diagnosis.wrong[0], {arm.name for arm in evidence.arms}
    if lead.cause not in _FORM_CAUSES or lead.arm is None or lead.arm in names:
        return None
    share = lead.low * diagnosis.n_fail / (diagnosis.n_fail + diagnosis.n_pass)
    return _RefusedAnswers(arm=diagnosis.arm, remedy=lead.arm, share=share)


def refused_answers_clause(found: _RefusedAnswers) -> str:
    """Return a clause: the least share of today's answers that are right, but refused for form."""
    return (
        f"at least {points(found.share)} of what runs today are right answers that were refused for"
        f" their form ({found.remedy} finds them)"
    )


def untried_kind(evidence: Evidence, trained: bool) -> Literal["", "models", "documents"]:
    """Return the kind of arm of which no candidate was measured; `trained`: a tuned one is named.

    "models": only classifiers and what runs today were. "documents": there are documents, and none
    was that may know what they say: retrieval, a larger model, today's system, or a system of an
    unknown tool.
    """
    measured = [arm for arm in evidence.arms if arm.score and arm.role == "candidate"]
    if not trained and all(a.tool in ("classifier", "keep") or a.present for a in measured):
        return "models"
    knows = any(
        {"knowledge", "retrieval"} & {*arm.repairs}
        or arm.present
        or arm.tool in ("keep", "bigger", None)
        for arm in measured
    )
    return "documents" if evidence.documents and not knows else ""
