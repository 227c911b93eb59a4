"""The undecided comparison: which arm may be better than which, and the rows to settle it."""

from __future__ import annotations

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
from tuneworthy.verdict.sentences import rival


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
    other = rival(board, ruling.arm)
    if other is None:
        return None
    prices = known_prices(board.rivals, policy)
    shift = prices.shift(other.name, ruling.arm.name) if prices else 0.0
    margin = prices.margin(ruling.arm.name, other.name) if prices else policy.margin
    if ruling.short_of and board.bound(other, ruling.arm)[2] + shift <= margin:
        return _contest(evidence, board, (ruling.arm, ruling.short_of), 0.0, policy.margin)
    return _contest(evidence, board, (other, ruling.arm), shift, margin)


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
    outlook = noninferiority_assurance(pair, policy.margin, _next(evidence, pair))
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
    outlook = superiority_assurance(pair, margin, _next(evidence, pair), shift)
    return UndecidedPair(*arms, pair, outlook, outlook.size())


def _next(evidence: Evidence, pair: Pair) -> float:
    """Return the one-sided error level of each bound at the next look."""
    return level_at_next_look(pair.level, evidence.looks)
