"""The undecided comparison: which arm may be better than which, and the rows to settle it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tuneworthy.core.evidence import ArmResult, Evidence, Pair, Policy
from tuneworthy.stats.sizing import (
    Assurance,
    SampleSize,
    level_at_next_look,
    noninferiority_assurance,
    superiority_assurance,
)
from tuneworthy.verdict.prices import known_prices
from tuneworthy.verdict.rule import LadderDecision, still_open
from tuneworthy.verdict.rungs import Ladder

_NEVER = 2.0  # no difference of two scores in [0, 1] is as large


@dataclass(frozen=True)
class UndecidedPair:
    """The undecided comparison: `arm` may be better than `versus`; `outlook` sizes more rows.

    `size` is the number of rows to add (None: even far more rows have little chance to settle it).
    """

    arm: ArmResult
    versus: ArmResult
    pair: Pair
    outlook: Assurance
    size: SampleSize | None
    why: str = ""


def find_undecided_pair(
    evidence: Evidence, policy: Policy, board: Ladder, ruling: LadderDecision
) -> UndecidedPair | None:
    """Return the undecided comparison with the rows to settle it; None without a pair."""
    if ruling.against:
        return _against_reference(evidence, policy, board, ruling.against)
    assert ruling.arm is not None
    if policy.motive == "cost" and board.present:
        return _cheaper(evidence, policy, board, ruling.arm, board.present)
    rivals = [other for other in board.rivals if other.name != ruling.arm.name]
    if not rivals:
        return None
    other, shift, margin = _most_open(board, policy, ruling.arm, rivals)
    if ruling.short_of and board.bound(other, ruling.arm)[2] + shift <= margin:
        return _above(evidence, board, ruling.arm, ruling.short_of)
    return _contest(evidence, board, (other, ruling.arm), shift, margin)


def _most_open(
    board: Ladder, policy: Policy, arm: ArmResult, rivals: Sequence[ArmResult]
) -> tuple[ArmResult, float, float]:
    """Return the rival that may pass what pays for it by most, with its shift and margin.

    With prices each rival has a margin of its own: the one with the highest bound may be settled
    while another is open, and rows for a settled pair would be a vain step.
    """
    prices = known_prices(board.rivals, policy)
    if prices is None:
        return max(rivals, key=lambda one: board.bound(one, arm)[2]), 0.0, policy.margin
    priced = [(one, prices.shift(one.name, arm.name), prices.margin(arm.name, one.name))
              for one in rivals]  # fmt: skip
    return max(priced, key=lambda each: board.bound(each[0], arm)[2] + each[1] - each[2])


def _above(
    evidence: Evidence, board: Ladder, arm: ArmResult, reference: ArmResult
) -> UndecidedPair | None:
    """Size the rows that show the named arm above a reference: that is all that holds it open."""
    pair = board.pairs.get((arm.name, reference.name))
    if pair is None or not pair.n:
        return None
    outlook = Assurance(pair, _level_at_next_look(evidence, pair), -_NEVER, 0.0, 0.0)
    return UndecidedPair(arm, reference, pair, outlook, outlook.size())


def _against_reference(
    evidence: Evidence, policy: Policy, board: Ladder, versus: ArmResult
) -> UndecidedPair | None:
    best = max(board.rivals, key=lambda arm: board.bound(arm, versus)[2])
    return _contest(evidence, board, (best, versus), 0.0, policy.margin)


def _cheaper(
    evidence: Evidence, policy: Policy, board: Ladder, arm: ArmResult, present: ArmResult
) -> UndecidedPair | None:
    """Size the cheapest open rung: show its loss to today's arm to be above or below the margin."""
    maybe = still_open(board, arm, present, policy)
    if not maybe:
        return None
    pair = board.pairs.get((maybe[0].name, present.name))
    if pair is None or not pair.n:
        return None
    outlook = noninferiority_assurance(pair, policy.margin, _level_at_next_look(evidence, pair))
    return UndecidedPair(
        maybe[0], present, pair, outlook, outlook.size(), _saving(policy, arm, maybe[0])
    )


def _saving(policy: Policy, arm: ArmResult, cheaper: ArmResult) -> str:
    if policy.requests_per_month is None or arm.usd_per_1k is None or cheaper.usd_per_1k is None:
        return ""
    month = policy.requests_per_month * (arm.usd_per_1k - cheaper.usd_per_1k) / 1000
    return f"; it would save ${month:,.0f} a month"


def _contest(
    evidence: Evidence,
    board: Ladder,
    arms: tuple[ArmResult, ArmResult],
    shift: float,
    margin: float,
) -> UndecidedPair | None:
    """Return the sized comparison; `shift` is added to the difference before the margin applies."""
    pair = board.pairs.get((arms[0].name, arms[1].name))
    if pair is None or not pair.n:
        return None
    outlook = superiority_assurance(pair, margin, _level_at_next_look(evidence, pair), shift)
    return UndecidedPair(*arms, pair, outlook, outlook.size())


def _level_at_next_look(evidence: Evidence, pair: Pair) -> float:
    """Return the one-sided error level of each bound at the next look."""
    return level_at_next_look(pair.level, evidence.looks)
