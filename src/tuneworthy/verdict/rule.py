"""The ladder rule: climb only if the rung below is beaten; bound what is left to gain.

Pure arithmetic on a board. It knows tools, simplicity, costs and bounds, and no arm by its name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from tuneworthy.core.causes import argues_against_training, share_of
from tuneworthy.core.difference_trend import Trend
from tuneworthy.core.evidence import ArmResult, Evidence, Policy
from tuneworthy.core.plan import NO_ROOM
from tuneworthy.core.task import TRAINED_TOOLS
from tuneworthy.core.verdict import Status, Use
from tuneworthy.stats.ladder import climb
from tuneworthy.verdict.drift import decisive_breaks
from tuneworthy.verdict.prices import Prices, known_prices
from tuneworthy.verdict.refused import refused
from tuneworthy.verdict.rungs import Ladder, build_ladder, rung

Reason = Literal[
    "first rung",
    "climbed",
    "cheapest",
    "no cheaper",
    "reference",
    "limits",
    "nothing",
    "blocked",
    "cut",
]


@dataclass(frozen=True)
class LadderDecision:
    """The result of the rule: the arm (None for none and blocked), the status, what may be left.

    `against` is the reference from which `left` is measured if no arm is named. `shaken`: the
    named arm changes if failed answers count as right. `refused`: more than a margin of what runs
    today are right answers refused for their form, and it is not the named arm. `short_of` is a
    reference that another arm is shown to beat and the named one is not. `cut` is an arm whose
    answers the token limit ended; longer answers might change the name, so no dearer arm is named
    in its place. `untrained` is a training arm that had no room in the minutes; without it the
    ruling would be firm.
    """

    use: Use
    arm: ArmResult | None
    status: Status
    left: float | None
    reason: Reason
    against: ArmResult | None = None
    shaken: bool = False
    refused: bool = False
    short_of: ArmResult | None = None
    cut: ArmResult | None = None
    untrained: ArmResult | None = None

    @property
    def named(self) -> tuple[Use, str | None]:
        """Return use and the arm's name, for comparing two rulings."""
        return self.use, self.arm.name if self.arm else None


BLOCKED = LadderDecision("none", None, "blocked", None, "blocked")


@dataclass(frozen=True)
class LadderScenarios:
    """Boards for the same evidence, independent of the margin: as scored, and in other scenarios.

    `raised` has one board per arm with failed answers, in which those count as right: if any point
    between all wrong and all right changes the name, one of these does. `refused` is the lower
    bound of the share of cases that today's system has right but the metric or parser refused.
    `longer` has one board per arm with cut answers, simplest first, at the most that the token
    limit may have cost it.
    """

    seen: Ladder
    raised: tuple[Ladder, ...]
    blocked: bool
    limited: bool
    refused: float = 0.0
    trends: tuple[Trend, ...] = ()
    longer: tuple[tuple[ArmResult, Ladder], ...] = ()
    untrained: tuple[ArmResult, ...] = ()


def ladder_scenarios(evidence: Evidence, policy: Policy) -> LadderScenarios:
    """Return the boards of the evidence; of the policy only floor and margin are used."""
    failing = {
        arm.name: arm.score_if_right - arm.score.mean
        for arm in evidence.arms
        if arm.score and arm.score_if_right and arm.score_if_right > arm.score.mean
    }
    cut = [arm for arm in evidence.arms if arm.cut and arm.cut.gain > 0]
    form = refused(evidence)
    return LadderScenarios(
        seen=build_ladder(evidence, policy),
        raised=tuple(
            build_ladder(evidence, policy, {name: gain}) for name, gain in failing.items()
        ),
        blocked=bool(evidence.blocks),
        limited=evidence.limited,
        refused=form.share if form else 0.0,
        trends=evidence.trends,
        longer=tuple(
            (arm, build_ladder(evidence, policy, {arm.name: arm.cut.gain}))
            for arm in sorted(cut, key=rung)
            if arm.cut
        ),
        untrained=untrained(evidence, policy.margin),
    )


def untrained(evidence: Evidence, margin: float) -> tuple[ArmResult, ...]:
    """Return the training arms that had no room in the minutes and may change what is named.

    Those trained on a part of the rows for want of minutes, which may do better on all of them. Of
    those not trained: if no arm was trained, all of them; else those that repair causes no trained
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
        if arm.role == "candidate" and not arm.score and arm.because.startswith(NO_ROOM)
        if not argues_against_training(wrong, arm.repairs)
    ]
    measured = [arm for arm in trainable if arm.score]
    in_part = [
        arm for arm in measured
        if arm.whole_minutes is not None and not argues_against_training(wrong, arm.repairs)
    ]  # fmt: skip
    return (*in_part, *_untried(evidence, margin, left, measured))


def _untried(
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


def rule(laid: LadderScenarios, policy: Policy) -> LadderDecision:
    """Return the ruling, with failed answers, a limited run and trends over time considered."""
    if laid.blocked:
        return BLOCKED
    ruling = _uncut(laid, policy, decide_on_ladder(laid.seen, policy))
    if any(decide_on_ladder(board, policy).named != ruling.named for board in laid.raised):
        ruling = replace(ruling, status="provisional", shaken=True)
    if laid.refused > policy.margin and ruling.use != "keep":  # today's true score is higher
        ruling = replace(ruling, status="provisional", left=None, refused=True)
    if ruling.status == "firm" and laid.untrained and _may_be_beaten(ruling, policy):
        ruling = replace(ruling, status="provisional", untrained=laid.untrained[0])
    doubtful = laid.limited or decisive_breaks(laid.seen, policy, laid.trends, ruling.arm)
    return replace(ruling, status="provisional") if doubtful else ruling


def _may_be_beaten(ruling: LadderDecision, policy: Policy) -> bool:
    """Return whether an untrained training arm could beat the named arm.

    False if a trained arm is named, or if the named arm is within a margin of a perfect score.
    """
    if ruling.use in TRAINED_TOOLS or policy.motive == "cost":
        return False
    score = ruling.arm.score if ruling.arm else None
    return score is None or 1 - score.mean >= policy.margin


def _uncut(laid: LadderScenarios, policy: Policy, ruling: LadderDecision) -> LadderDecision:
    """Return the ruling, without a dearer arm if longer answers might change the name.

    The first (simplest) arm whose cut answers change the name decides.
    """
    for arm, board in laid.longer:
        other = decide_on_ladder(board, policy)
        if other.named == ruling.named:
            continue
        plain = next((one for one in laid.seen.order if one.name == arm.name), None)
        wins = plain and other.arm and other.arm.name == plain.name
        if plain and wins and ruling.arm and rung(plain) < rung(ruling.arm):
            left = laid.seen.most(plain)
            return LadderDecision(
                _use(laid.seen, plain), plain, "provisional", left, "cut", cut=arm
            )
        return replace(ruling, status="provisional", cut=arm)
    return ruling


def decide_on_ladder(board: Ladder, policy: Policy) -> LadderDecision:
    """Return the ruling on one board, with all answers as scored."""
    if not board.order and not board.outside:
        return LadderDecision("none", None, "provisional", None, "nothing")
    if policy.motive == "cost" and board.present:
        ruling = _cheapest(board, board.present, policy)
    else:
        ruling = _climbed(board, policy)
    if ruling.arm is None:
        return ruling
    if unbeaten := _unbeaten_reference(board, ruling.arm):
        if all(_unbeaten_reference(board, arm) for arm in board.order):
            return _none(board, policy, "reference", unbeaten)
        ruling = replace(ruling, status="provisional", short_of=unbeaten)
    if len(board.rivals) + len(board.outside) == 1:  # a single arm: nothing to compare it with
        return replace(ruling, status="provisional", left=None)
    return ruling


def _climbed(board: Ladder, policy: Policy) -> LadderDecision:
    if not board.order:
        return _none(board, policy, "limits", _best(board.references))
    prices = known_prices(board.rivals, policy)
    names, others = [arm.name for arm in board.order], [arm.name for arm in board.others]
    margin = prices.margin if prices else policy.margin
    climbed = climb(names, _bounds_with_prices(board, prices), margin, others)
    arm = board.order[names.index(climbed.name)]
    status: Status = "firm" if climbed.firm else "provisional"
    if policy.motive == "cost":  # today's arm is unknown, so quality decides for now
        status = "provisional"
    reason: Reason = "climbed" if names.index(climbed.name) else "first rung"
    return LadderDecision(_use(board, arm), arm, status, board.most(arm), reason)


def _bounds_with_prices(
    board: Ladder, prices: Prices | None
) -> dict[tuple[str, str], tuple[float, float, float]]:
    out = {}
    for b in board.rivals:
        for s in board.order:
            if b.name != s.name:
                by = prices.shift(b.name, s.name) if prices else 0.0
                mean, low, high = board.bound(b, s)
                out[b.name, s.name] = (mean + by, low + by, high + by)
    return out


def _cheapest(board: Ladder, present: ArmResult, policy: Policy) -> LadderDecision:
    """Name the cheapest rung shown to be within the margin of what runs today."""
    cost = present.usd_per_1k
    cheaper = sorted(
        (a for a in board.rivals if _price_or_infinity(a) < (cost if cost is not None else 0.0)),
        key=_price_or_infinity,
    )
    accepted = [arm for arm in cheaper if board.bound(arm, present)[1] >= -policy.margin]
    if not accepted and present in board.outside:
        return _none(board, policy, "limits", _best(board.references))
    arm = accepted[0] if accepted else present
    status: Status = "provisional" if still_open(board, arm, present, policy) else "firm"
    left = 0.0 if arm.name == present.name else max(0.0, board.bound(present, arm)[2])
    return LadderDecision(
        _use(board, arm), arm, status, left, "cheapest" if accepted else "no cheaper"
    )


def still_open(
    board: Ladder, arm: ArmResult, present: ArmResult, policy: Policy
) -> list[ArmResult]:
    """Return the rungs that may be cheaper than `arm` and are not shown worse than today's."""
    candidates = [
        other
        for other in board.rivals
        if other.name not in (arm.name, present.name)
        and (
            other.usd_per_1k is None
            or arm.usd_per_1k is None
            or _price_or_infinity(other) < _price_or_infinity(arm)
        )
    ]
    unshown = [other for other in candidates if board.bound(other, present)[2] >= -policy.margin]
    return sorted(unshown, key=_price_or_infinity)


def _price_or_infinity(arm: ArmResult) -> float:
    return float("inf") if arm.usd_per_1k is None else arm.usd_per_1k


def _unbeaten_reference(board: Ladder, arm: ArmResult) -> ArmResult | None:
    compared = [ref for ref in board.references if (arm.name, ref.name) in board.bounds]
    return _best(tuple(ref for ref in compared if board.bound(arm, ref)[1] <= 0))


def _best(references: tuple[ArmResult, ...]) -> ArmResult | None:
    def height(arm: ArmResult) -> float:
        return arm.score.mean if arm.score else 0.0

    return max(references, key=height, default=None)


def _none(
    board: Ladder, policy: Policy, reason: Reason, against: ArmResult | None
) -> LadderDecision:
    if against is None:
        return LadderDecision("none", None, "provisional", None, reason)
    rivals = board.rivals or board.outside
    left = max(0.0, *(board.bound(arm, against)[2] for arm in rivals), 0.0)
    status: Status = "firm" if left <= policy.margin else "provisional"
    return LadderDecision("none", None, status, left, reason, against)


def _use(board: Ladder, arm: ArmResult) -> Use:
    if board.present and arm.name == board.present.name:
        return "keep"
    return arm.tool or "other"
