"""The ladder rule: climb only if the rung below is beaten; bound what is left to gain.

Pure arithmetic. It knows tools, simplicity, costs and bounds, and no arm by its name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from tuneworthy.matrix.ladder import climb
from tuneworthy.records.causes import argues_against_training, share_of
from tuneworthy.records.evidence import ArmResult, Evidence, Policy
from tuneworthy.records.task import TRAINED_TOOLS
from tuneworthy.records.verdict import Status, Use
from tuneworthy.verdict.drift import alike_neighbours, decisive_breaks
from tuneworthy.verdict.prices import Prices, known_prices
from tuneworthy.verdict.rungs import (
    Ladder,
    build_ladder,
    ladder_key,
    refused_answers,
    unchecked_limits,
    untried_kind,
)

Reason = Literal[
    "first rung",
    "climbed",
    "cheapest",
    "no cheaper",
    "cheapest measured",
    "reference",
    "limits",
    "nothing",
    "blocked",
    "cut",
]


@dataclass(frozen=True)
class LadderDecision:
    """The result of the rule: the arm (None for none and blocked), the status, what may be left.

    `left_by` is the arm that may be better by `left`, than `against` if no arm is named.
    `changed_by_failures`: the named arm changes if failed answers count as right. `refused`: more
    than a margin of what runs today are right answers refused for their form, and it is not the
    named arm. `unbounded`: no bound holds, since rows or right answers depend on others.
    `short_of` is a reference that another arm is shown to beat and the named one is not.
    `cut` is an arm whose answers the token limit ended; longer answers might change the name, so no
    dearer arm is named in its place. `untrained` is a training arm that had no room in the minutes;
    without it the ruling would be firm. `unsettled_by` is an arm with failed or cut answers (and
    which of the two) that would not change the name if they were right, but may leave more than the
    margin to gain. `unchecked` are hard limits that were not tested on the named arm; if it breaks
    one, it may not be named. `untried` is a kind of arm that was not measured, and could be better
    by more than the margin: "models" (prompts and tuned models) or "documents" (arms that read
    them). `unsearched`: a trained arm is named, and
    a search for a better prompt could have run and did not. `may_answer` is an arm that may answer
    more rows than the named one under `wrong_at_most`, which these rows are too few to show.
    `passed` are simpler arms that are not
    shown to be beaten, and gain too little over one that is.
    """

    use: Use
    arm: ArmResult | None
    status: Status
    left: float | None
    reason: Reason
    against: ArmResult | None = None
    left_by: ArmResult | None = None
    changed_by_failures: bool = False
    refused: bool = False
    unbounded: bool = False
    short_of: ArmResult | None = None
    cut: ArmResult | None = None
    untrained: ArmResult | None = None
    unsettled_by: tuple[ArmResult, Literal["failed", "cut"]] | None = None
    unchecked: tuple[str, ...] = ()
    untried: Literal["", "models", "documents"] = ""
    unsearched: bool = False
    may_answer: ArmResult | None = None
    passed: tuple[str, ...] = ()

    @property
    def use_and_name(self) -> tuple[Use, str | None]:
        """Return (use, name of the arm or None); equal for rulings that name the same thing."""
        return self.use, self.arm.name if self.arm else None


_BLOCKED_DECISION = LadderDecision("none", None, "blocked", None, "blocked")


@dataclass(frozen=True)
class LadderScenarios:
    """The evidence, its ladder as scored (`seen`), and ladders in other scenarios.

    `raised` has one ladder per arm with failed answers, in which those count as right: if any point
    between all wrong and all right changes the name or leaves it open, one of these does.
    `longer` has one ladder per arm with cut answers, simplest first, at the most that the token
    limit may have cost it.
    """

    evidence: Evidence
    seen: Ladder
    raised: tuple[tuple[ArmResult, Ladder], ...]
    longer: tuple[tuple[ArmResult, Ladder], ...] = ()

    def with_ladders(self, changed: Callable[[Ladder], Ladder]) -> LadderScenarios:
        """Return the scenarios with each ladder changed, by other costs say."""
        raised, longer = (tuple((arm, changed(ladder)) for arm, ladder in pairs)
                          for pairs in (self.raised, self.longer))  # fmt: skip
        return replace(self, seen=changed(self.seen), raised=raised, longer=longer)

    @property
    def ladders(self) -> tuple[Ladder, ...]:
        """Return the ladders of all scenarios, the one as scored first."""
        return (self.seen, *(ladder for _, ladder in (*self.raised, *self.longer)))


def ladder_scenarios(evidence: Evidence, policy: Policy) -> LadderScenarios:
    """Return the ladder as scored, and with one arm's failed or cut answers counted right."""
    failing = [
        (arm, arm.score_if_right - arm.score.mean)
        for arm in evidence.arms
        if arm.score and arm.score_if_right and arm.score_if_right > arm.score.mean
    ]
    cut = [arm for arm in evidence.arms if arm.cut and arm.cut.gain > 0]
    return LadderScenarios(
        evidence,
        seen=build_ladder(evidence, policy),
        raised=tuple(
            (arm, build_ladder(evidence, policy, {arm.name: gain})) for arm, gain in failing
        ),
        longer=tuple(
            (arm, build_ladder(evidence, policy, {arm.name: arm.cut.gain}))
            for arm in sorted(cut, key=ladder_key)
            if arm.cut
        ),
    )


def untrained_arms(evidence: Evidence, margin: float) -> tuple[ArmResult, ...]:
    """Return the training arms that had no room in the minutes and may change what is named.

    First the arms trained on a part of the rows for want of minutes, which may do better on all.
    Then those not trained: all if no arm was trained; else those that repair causes that no trained
    arm covers, in enough failures to gain the margin (any cause, if there was no diagnosis).
    """
    diagnosis, trainable = (
        evidence.diagnosis,
        [arm for arm in evidence.arms if arm.tool in TRAINED_TOOLS],
    )
    wrong = diagnosis.wrong if diagnosis else ()
    left = [
        arm
        for arm in trainable
        if arm.role == "candidate" and arm.left_out_for_time
        if not argues_against_training(wrong, arm.repairs)
    ]
    measured = [arm for arm in trainable if arm.score]
    in_part = [
        arm for arm in measured
        if arm.whole_minutes is not None and not argues_against_training(wrong, arm.repairs)
    ]  # fmt: skip
    return (*in_part, *_untrained_with_new_causes(evidence, margin, left, measured))


def _untrained_with_new_causes(
    evidence: Evidence, margin: float, left: Sequence[ArmResult], measured: Sequence[ArmResult]
) -> tuple[ArmResult, ...]:
    diagnosis = evidence.diagnosis
    wrong = diagnosis.wrong if diagnosis else ()
    if not measured:
        return tuple(left)
    known = {cause for arm in measured for cause in arm.repairs} - {"reading"}
    if diagnosis is None or not wrong:
        return tuple(arm for arm in left if not set(arm.repairs) <= known)
    fails = diagnosis.n_fail / (diagnosis.n_fail + diagnosis.n_pass)
    return tuple(arm for arm in left if share_of(wrong, set(arm.repairs) - known) * fails >= margin)


def apply_rule(scenarios: LadderScenarios, policy: Policy) -> LadderDecision:
    """Return the ruling, provisional where failures, cuts, trends or gaps may change the name.

    Those are failed answers, cut rows, a trend over time, or a hard limit that was not tested.
    """
    evidence, ladder = scenarios.evidence, scenarios.seen
    if evidence.blocks:
        return _BLOCKED_DECISION
    ruling = _demote_if_cuts_matter(scenarios, policy, _decide_on_ladder(ladder, policy))
    ruling = _provisional_if_failures_matter(scenarios, policy, ruling)
    form = refused_answers(evidence)
    if form and form.share > policy.margin and ruling.use != "keep":  # today's true score is higher
        ruling = replace(ruling, status="provisional", left=None, left_by=None, refused=True)
    trained = ruling.use in TRAINED_TOOLS
    if ruling.status == "firm" and _may_be_beaten(ruling, policy):
        untrained = () if trained else untrained_arms(evidence, policy.margin)
        if untrained:
            ruling = replace(ruling, status="provisional", untrained=untrained[0])
        elif untried := untried_kind(evidence, trained):
            ruling = replace(ruling, status="provisional", untried=untried)
    quality = policy.motive == "quality"
    if ruling.status == "firm" and trained and quality and evidence.untried_search:
        ruling = replace(ruling, status="provisional", unsearched=True)
    if ruling.status == "firm" and ruling.arm and (names := unchecked_limits(ruling.arm)):
        ruling = replace(ruling, status="provisional", unchecked=names)
    if silent := _may_answer_more(ladder, policy, ruling):
        ruling = replace(ruling, status="provisional", may_answer=silent)
    if evidence.corrected or alike_neighbours(ladder, evidence.neighbours, ruling.arm):
        return replace(ruling, status="provisional", left=None, left_by=None, unbounded=True)
    doubtful = evidence.limited or decisive_breaks(ladder, policy, evidence.trends, ruling.arm)
    return replace(ruling, status="provisional") if doubtful else ruling


def _may_answer_more(ladder: Ladder, policy: Policy, ruling: LadderDecision) -> ArmResult | None:
    """Return the arm that may answer more rows by over the margin, if more rows look like these."""
    shown = ruling.arm.score.mean if ruling.arm and ruling.arm.score else 0.0
    able = [arm for arm in ladder.rivals if (arm.possible or 0.0) > shown + policy.margin]
    return max(able, key=lambda arm: arm.possible or 0.0, default=None)


def _may_be_beaten(ruling: LadderDecision, policy: Policy) -> bool:
    """Return whether an arm that was not measured could beat the named arm.

    False if the low end of the named arm is within a margin of a perfect score.
    """
    if policy.motive == "cost":
        return False
    score = ruling.arm.score if ruling.arm else None
    return score is None or 1 - score.low > policy.margin


def _provisional_if_failures_matter(
    scenarios: LadderScenarios, policy: Policy, ruling: LadderDecision
) -> LadderDecision:
    """Return the ruling, provisional if failed answers, counted as right, would change it.

    Also if a firm ruling keeps its name with failed or cut answers right, but is not firm then.
    """
    raised = [(arm, _decide_on_ladder(ladder, policy)) for arm, ladder in scenarios.raised]
    if any(other.use_and_name != ruling.use_and_name for _, other in raised):
        return replace(ruling, status="provisional", changed_by_failures=True)
    longer = [(arm, _decide_on_ladder(ladder, policy)) for arm, ladder in scenarios.longer]
    unsettled: list[tuple[LadderDecision, ArmResult, Literal["failed", "cut"]]] = [
        *((other, arm, "failed") for arm, other in raised if other.status != "firm"),
        *((other, arm, "cut") for arm, other in longer if other.status != "firm"),
    ]
    if ruling.status != "firm" or not unsettled:
        return ruling
    other, arm, kind = max(unsettled, key=lambda one: one[0].left or 0.0)
    most = max(ruling, other, key=lambda one: one.left or 0.0)
    return replace(ruling, status="provisional", left=most.left, left_by=most.left_by,
                   unsettled_by=(arm, kind))  # fmt: skip


def _demote_if_cuts_matter(
    scenarios: LadderScenarios, policy: Policy, ruling: LadderDecision
) -> LadderDecision:
    """Return the ruling, but name no dearer arm if longer answers might change the name.

    The first (simplest) arm whose cut answers change the name decides.
    """
    for arm, ladder in scenarios.longer:
        other = _decide_on_ladder(ladder, policy)
        if other.use_and_name == ruling.use_and_name:
            continue
        plain = next((one for one in scenarios.seen.order if one.name == arm.name), None)
        wins = plain and other.arm and other.arm.name == plain.name
        if plain and wins and ruling.arm and ladder_key(plain) < ladder_key(ruling.arm):
            left, by = scenarios.seen.most_gain(plain)
            use = _use_named(scenarios.seen, plain)
            return LadderDecision(use, plain, "provisional", left, "cut", cut=arm, left_by=by)
        return replace(ruling, status="provisional", cut=arm)
    return ruling


def _decide_on_ladder(ladder: Ladder, policy: Policy) -> LadderDecision:
    """Return the ruling on one ladder alone: which arm is named, by cost or quality, and status."""
    if not ladder.order and not ladder.outside and not ladder.others:
        return LadderDecision("none", None, "provisional", None, "nothing")
    if policy.motive == "cost" and ladder.present:
        ruling = _decide_by_cost(ladder, ladder.present, policy)
    else:
        ruling = _decide_by_quality(ladder, policy)
    if ruling.arm is None:
        return ruling
    if unbeaten := _unbeaten_reference(ladder, ruling.arm):
        if all(_unbeaten_reference(ladder, arm) for arm in ladder.order):
            return _name_no_arm(ladder, policy, "reference", unbeaten)
        ruling = replace(ruling, status="provisional", short_of=unbeaten)
    if len(ladder.rivals) + len(ladder.outside) == 1:  # a single arm: nothing to compare it with
        return replace(ruling, status="provisional", left=None)
    return ruling


def _decide_by_quality(ladder: Ladder, policy: Policy) -> LadderDecision:
    if not ladder.order:
        return _name_no_arm(ladder, policy, "limits", _best_reference(ladder.references))
    prices = known_prices(ladder.rivals, policy)
    names, others = [arm.name for arm in ladder.order], [arm.name for arm in ladder.others]
    margin, bounds = prices.margin if prices else policy.margin, _bounds_after_price(ladder, prices)
    # What may not be named (a cheaper arm of one tool, say) makes no dearer tool worth its price.
    rung = climb(names, bounds, margin)
    name, arm = rung.name, ladder.order[names.index(rung.name)]
    firm = climb([name], bounds, margin, [*(n for n in names if n != name), *others]).firm
    status: Status = "firm" if firm else "provisional"
    if policy.motive == "cost":  # today's arm is unknown, so quality decides for now
        status = "provisional"
    reason: Reason = "climbed" if names.index(name) else "first rung"
    left, by = ladder.most_gain(arm)
    return LadderDecision(
        _use_named(ladder, arm), arm, status, left, reason, left_by=by, passed=rung.passed
    )


def _bounds_after_price(
    ladder: Ladder, prices: Prices | None
) -> dict[tuple[str, str], tuple[float, float, float]]:
    out = {}
    for b in ladder.rivals:
        for s in ladder.order:
            if b.name != s.name:
                by = prices.shift(b.name, s.name) if prices else 0.0
                mean, low, high = ladder.bound(b, s)
                out[b.name, s.name] = (mean + by, low + by, high + by)
    return out


def _decide_by_cost(ladder: Ladder, present: ArmResult, policy: Policy) -> LadderDecision:
    """Return the ruling by cost: the cheapest arm shown to be within the margin of today's."""
    cost = present.usd_per_1k
    refused = present in ladder.outside or present.sure_of_nothing
    cheaper = sorted(
        (a for a in ladder.rivals if not a.sure_of_nothing
         if refused or _price_or_infinity(a) < (cost if cost is not None else 0.0)),
        key=_price_or_infinity,
    )  # fmt: skip
    accepted = [arm for arm in cheaper if ladder.bound(arm, present)[1] >= -policy.margin]
    if not accepted and refused:
        return _name_no_arm(ladder, policy, "limits", _best_reference(ladder.references))
    arm = accepted[0] if accepted else present
    status: Status = "provisional" if still_open(ladder, arm, present, policy) else "firm"
    left, by = ladder.most_gain(arm)
    reason: Reason = "cheapest" if accepted else "no cheaper" if cheaper else "cheapest measured"
    return LadderDecision(_use_named(ladder, arm), arm, status, left, reason, left_by=by)


def still_open(
    ladder: Ladder, arm: ArmResult, present: ArmResult, policy: Policy
) -> list[ArmResult]:
    """Return arms that may be cheaper than `arm` and within a margin of today's, cheapest first."""
    candidates = [
        other
        for other in ladder.rivals
        if other.name not in (arm.name, present.name)
        and (
            other.usd_per_1k is None
            or arm.usd_per_1k is None
            or _price_or_infinity(other) < _price_or_infinity(arm)
        )
    ]
    unshown = [other for other in candidates if ladder.bound(other, present)[2] >= -policy.margin]
    return sorted(unshown, key=_price_or_infinity)


def _price_or_infinity(arm: ArmResult) -> float:
    return float("inf") if arm.usd_per_1k is None else arm.usd_per_1k


def _unbeaten_reference(ladder: Ladder, arm: ArmResult) -> ArmResult | None:
    compared = [ref for ref in ladder.references if (arm.name, ref.name) in ladder.bounds]
    return _best_reference(tuple(ref for ref in compared if ladder.bound(arm, ref)[1] <= 0))


def _best_reference(references: tuple[ArmResult, ...]) -> ArmResult | None:
    def height(arm: ArmResult) -> float:
        return arm.score.mean if arm.score else 0.0

    return max(references, key=height, default=None)


def _name_no_arm(
    ladder: Ladder, policy: Policy, reason: Reason, against: ArmResult | None
) -> LadderDecision:
    if against is None:
        return LadderDecision("none", None, "provisional", None, reason)
    rivals = ladder.rivals or ladder.outside
    gains = [(ladder.bound(arm, against)[2], arm) for arm in rivals]
    most, by = max(gains, key=lambda gain: gain[0])
    left = max(0.0, most)
    status: Status = "firm" if left <= policy.margin else "provisional"
    return LadderDecision("none", None, status, left, reason, against, by if most > 0 else None)


def _use_named(ladder: Ladder, arm: ArmResult) -> Use:
    if ladder.present and arm.name == ladder.present.name:
        return "keep"
    return arm.tool or "other"
