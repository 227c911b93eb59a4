"""Find the pair of arms that keeps a verdict open, and how many rows would make it firm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tuneworthy.matrix.sizing import (
    Assurance,
    SampleSize,
    VerdictAssurance,
    level_at_next_look,
    noninferiority_assurance,
    superiority_assurance,
)
from tuneworthy.records.evidence import ArmResult, Evidence, Pair, Policy
from tuneworthy.verdict.prices import known_prices
from tuneworthy.verdict.rule import LadderDecision, still_open
from tuneworthy.verdict.rungs import Ladder

_ABOVE_ANY_DIFFERENCE = 2.0  # above every difference of two scores in [0, 1]


@dataclass(frozen=True)
class UndecidedPair:
    """An undecided pair: `arm` may be better than `versus`; `outlook` forecasts more rows.

    With further arms `outlook` is that of the whole verdict. `size` has the rows that settle it,
    None if even far more rows have little chance to. `why` is a clause on what it would save.
    """

    arm: ArmResult
    versus: ArmResult
    pair: Pair
    outlook: Assurance
    size: SampleSize | None
    why: str = ""

    @property
    def is_whole_verdict(self) -> bool:
        """Return whether `outlook` forecasts the whole verdict of several arms, not this pair."""
        return isinstance(self.outlook, VerdictAssurance)


def find_undecided_pair(
    evidence: Evidence, policy: Policy, ladder: Ladder, ruling: LadderDecision
) -> UndecidedPair | None:
    """Return the pair that most keeps a verdict open, with the rows to settle it; None if none."""
    if ruling.against:
        return _size_best_against_reference(evidence, policy, ladder, ruling.against)
    assert ruling.arm is not None
    if policy.motive == "cost" and ladder.present:
        return _cheapest_open_pair(evidence, policy, ladder, ruling.arm, ladder.present)
    rivals = [other for other in ladder.rivals if other.name != ruling.arm.name]
    if not rivals:
        return None
    other, shift, margin = _most_open_rival(ladder, policy, ruling.arm, rivals)
    if ruling.short_of and ladder.bound(other, ruling.arm)[2] + shift <= margin:
        return _size_arm_against_reference(evidence, ladder, ruling.arm, ruling.short_of)
    found = _sized_pair(evidence, ladder, (other, ruling.arm), shift, margin)
    if found is None or len(rivals) == 1 or policy.motive != "quality":
        return found
    outlook = _forecast_whole_verdict(evidence, policy, ladder, found.outlook)
    return replace(found, outlook=outlook, size=outlook.size())


def _most_open_rival(
    ladder: Ladder, policy: Policy, arm: ArmResult, rivals: Sequence[ArmResult]
) -> tuple[ArmResult, float, float]:
    """Return (rival, its shift by price, margin) where the upper bound most exceeds the margin.

    With prices each rival has a margin of its own: the one with the highest bound may be settled
    while another is open, and rows for a settled pair would be wasted.
    """
    prices = known_prices(ladder.rivals, policy)
    if prices is None:
        return max(rivals, key=lambda one: ladder.bound(one, arm)[2]), 0.0, policy.margin
    priced = [(one, prices.shift(one.name, arm.name), prices.margin(arm.name, one.name))
              for one in rivals]  # fmt: skip
    return max(priced, key=lambda each: ladder.bound(each[0], arm)[2] + each[1] - each[2])


def _size_arm_against_reference(
    evidence: Evidence, ladder: Ladder, arm: ArmResult, reference: ArmResult
) -> UndecidedPair | None:
    """Return arm and reference with the rows that show the arm above it; None if not compared."""
    pair = ladder.pairs.get((arm.name, reference.name))
    if pair is None or not pair.n:
        return None
    level, kept = _level_and_if_kept(evidence, pair)
    outlook = Assurance(pair, level, -_ABOVE_ANY_DIFFERENCE, 0.0, 0.0, kept)
    return UndecidedPair(arm, reference, pair, outlook, outlook.size())


def _size_best_against_reference(
    evidence: Evidence, policy: Policy, ladder: Ladder, versus: ArmResult
) -> UndecidedPair | None:
    best = max(ladder.rivals, key=lambda arm: ladder.bound(arm, versus)[2])
    return _sized_pair(evidence, ladder, (best, versus), 0.0, policy.margin)


def _cheapest_open_pair(
    evidence: Evidence, policy: Policy, ladder: Ladder, arm: ArmResult, present: ArmResult
) -> UndecidedPair | None:
    """Return today's arm and the cheapest arm that may do as well, with rows to decide, or None."""
    maybe = still_open(ladder, arm, present, policy)
    if not maybe:
        return None
    pair = ladder.pairs.get((maybe[0].name, present.name))
    if pair is None or not pair.n:
        return None
    outlook = noninferiority_assurance(pair, policy.margin, *_level_and_if_kept(evidence, pair))
    return UndecidedPair(
        maybe[0], present, pair, outlook, outlook.size(), _saving_clause(policy, arm, maybe[0])
    )


def _saving_clause(policy: Policy, arm: ArmResult, cheaper: ArmResult) -> str:
    if policy.requests_per_month is None or arm.usd_per_1k is None or cheaper.usd_per_1k is None:
        return ""
    month = policy.requests_per_month * (arm.usd_per_1k - cheaper.usd_per_1k) / 1000
    return f"; it would save ${month:,.0f} a month"


def _sized_pair(
    evidence: Evidence,
    ladder: Ladder,
    arms: tuple[ArmResult, ArmResult],
    shift: float,
    margin: float,
) -> UndecidedPair | None:
    """Return the pair with the rows that show difference + `shift` above `margin`, or None."""
    pair = ladder.pairs.get((arms[0].name, arms[1].name))
    if pair is None or not pair.n:
        return None
    outlook = _forecast_superiority(evidence, pair, shift, margin)
    return UndecidedPair(*arms, pair, outlook, outlook.size())


def _forecast_superiority(evidence: Evidence, pair: Pair, shift: float, margin: float) -> Assurance:
    level, kept = _level_and_if_kept(evidence, pair)
    return superiority_assurance(pair, margin, level, shift, kept)


def _forecast_whole_verdict(
    evidence: Evidence, policy: Policy, ladder: Ladder, most_open: Assurance
) -> Assurance:
    """Return the forecast of a firm verdict among all arms; `most_open` if a pair lacks bounds."""
    prices, table = known_prices(ladder.rivals, policy), []
    for s in ladder.order:
        line: list[Assurance | None] = []
        for b in ladder.rivals:
            pair = ladder.pairs.get((b.name, s.name))
            if b.name == s.name:
                line.append(None)
                continue
            if pair is None or not pair.n:
                return most_open
            shift = prices.shift(b.name, s.name) if prices else 0.0
            margin = prices.margin(s.name, b.name) if prices else policy.margin
            line.append(_forecast_superiority(evidence, pair, shift, margin))
        table.append(tuple(line))
    return VerdictAssurance(**vars(most_open), pairs=tuple(table))


def _level_and_if_kept(evidence: Evidence, pair: Pair) -> tuple[float, bool]:
    """Return (level of each bound at the next look, whether present answers stay valid till then).

    An arm that learns is fitted anew with more rows: it gives new answers to the present ones.
    """
    learned = {arm.name for arm in evidence.arms if arm.learned}
    kept = not learned & {pair.arm, pair.versus}
    return level_at_next_look(pair.level, evidence.looks), kept
