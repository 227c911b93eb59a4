"""List the pairs of arms that a study left open; put the bounds of settled pairs into evidence.

Pure arithmetic on evidence; knows no arm by its name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from tuneworthy.matrix.sizing import noninferiority_assurance, superiority_assurance
from tuneworthy.records.evidence import Evidence, Pair, Policy
from tuneworthy.records.settlement import Settlement, share_of_wrong_votes
from tuneworthy.verdict.prices import known_prices
from tuneworthy.verdict.rule import LadderDecision, apply_rule, ladder_scenarios, still_open
from tuneworthy.verdict.rungs import Ladder

PairNames = tuple[str, str]

Obstacle = Literal["", "blocked", "firm", "no pair", "no inputs"]


@dataclass(frozen=True)
class OpenPair:
    """A pair that keeps the verdict from being firm: `arm` may be better than `versus`.

    It closes once the upper bound of arm - versus, plus `shift` (the value of the price difference
    per request), is at most `margin`, or once `versus` is beaten. Under the motive cost `margin` is
    below 0: the cheaper arm has to be shown worse by more than that, or within it.
    """

    arm: str
    versus: str
    margin: float
    shift: float = 0.0

    @property
    def names(self) -> PairNames:
        """Return the names (arm, versus), the key of the pair."""
        return self.arm, self.versus

    def planned_rows(self, pair: Pair, most: int) -> int:
        """Return how many rows, at most `most`, settling this pair is planned and bet for."""
        if not pair.n:
            return most
        if self.margin < 0:
            outlook = noninferiority_assurance(pair, -self.margin, pair.level)
        else:
            outlook = superiority_assurance(pair, self.margin, pair.level, self.shift)
        return min(outlook.inputs, most)


@dataclass(frozen=True)
class SettledPair:
    """A pair after settling: mean and bounds on n rows, of which `differ` have unequal scores.

    `apart`: new inputs on which the answers differ.
    `points`: "new" for new inputs only (the study scored an artefact only fold by fold); "all" for
    all rows including the study's; "preference" for shares of preference, which are not comparable
    to the study's own points.
    """

    n: int
    wins: int
    losses: int
    differ: int
    apart: int
    mean: float
    low: float
    high: float
    points: Literal["new", "all", "preference"]


def pairs_left_open(evidence: Evidence, policy: Policy) -> tuple[LadderDecision, list[OpenPair]]:
    """Return (the present ruling, its open pairs with the highest upper bound first)."""
    scenarios = ladder_scenarios(evidence, policy)
    ruling, ladder = apply_rule(scenarios, policy), scenarios.seen
    open_pairs = (
        [] if ruling.status == "blocked" else list(_pairs_to_settle(ladder, policy, ruling))
    )
    open_pairs = [pair for pair in open_pairs if pair.names in ladder.bounds]
    return ruling, sorted(open_pairs, key=lambda pair: (-ladder.bounds[pair.names][2], pair.names))


def why_no_vote_helps(evidence: Evidence, policy: Policy, inputs: int) -> Obstacle:
    """Return what keeps votes from settling a study; "" if they can: the first of these rules.

    "blocked": rows or metric come first. "firm": no question is left. "no pair": what is open is
    not between two arms. "no inputs": there are no `inputs` without an answer.
    """
    ruling, open_pairs = pairs_left_open(evidence, policy)
    if ruling.status != "provisional":
        return ruling.status
    return "no pair" if not open_pairs else "" if inputs else "no inputs"


def _pairs_to_settle(ladder: Ladder, policy: Policy, ruling: LadderDecision) -> Sequence[OpenPair]:
    if ruling.against is not None:
        versus = ruling.against.name
        return [
            OpenPair(arm.name, versus, policy.margin)
            for arm in ladder.rivals
            if ladder.bound(arm, ruling.against)[2] > policy.margin
        ]
    if ruling.arm is None:
        return []
    if policy.motive == "cost" and ladder.present:
        today = ladder.present
        return [
            OpenPair(other.name, today.name, -policy.margin)
            for other in still_open(ladder, ruling.arm, today, policy)
        ]
    arm, prices = ruling.arm, known_prices(ladder.rivals, policy)
    out = []
    for other in ladder.rivals:
        margin = prices.margin(arm.name, other.name) if prices else policy.margin
        shift = prices.shift(other.name, arm.name) if prices else 0.0
        if other.name != arm.name and ladder.bound(other, arm)[2] + shift > margin:
            out.append(OpenPair(other.name, arm.name, margin, shift))
    if ruling.short_of and not out:
        out.append(OpenPair(arm.name, ruling.short_of.name, policy.margin))
    return out


def with_settled_bounds(evidence: Evidence, found: Mapping[PairNames, SettledPair]) -> Evidence:
    """Return evidence in which each settled pair has the tighter bounds: the study's or `found`'s.

    Both hold at the level of the look, so the tighter one holds at twice that error. A study and
    its settling (the second look) together spend 1.5 times the error of one look; any number of
    studies on the same cases, each settled, at most twice.
    """
    both = {**found, **{(b, a): _mirrored_pair(one) for (a, b), one in found.items()}}
    pairs = tuple(
        _tighten_pair(pair, both[pair.arm, pair.versus])
        if (pair.arm, pair.versus) in both
        else pair
        for pair in evidence.pairs
    )
    return evidence.model_copy(update={"pairs": pairs})


def _mirrored_pair(one: SettledPair) -> SettledPair:
    return replace(
        one, wins=one.losses, losses=one.wins, mean=-one.mean, low=-one.high, high=-one.low
    )


def _tighten_pair(pair: Pair, found: SettledPair) -> Pair:
    counts = {key: getattr(found, key) for key in ("n", "wins", "losses", "differ")}
    low, high, mean, apart = found.low, found.high, found.mean, found.apart
    if found.points == "new":
        counts = {key: count + getattr(pair, key) for key, count in counts.items()}
        mean = (pair.mean * pair.n + mean * found.n) / counts["n"]
    if found.points != "preference":
        low, high = max(pair.low, low), min(pair.high, high)
        apart += pair.apart or 0
    if low > high:  # two valid bounds can't contradict each other: one is wrong; trust the new one
        low, high = found.low, found.high
    ends = {"mean": min(max(mean, low), high), "low": low, "high": high}
    counts["apart"] = apart
    return pair.model_copy(update=counts | {key: round(end, 6) for key, end in ends.items()})


def settlement_sentence(settled: Settlement) -> str:
    """Return one to four sentences: how many clicks, skips and repeats settled a verdict."""
    parts = [
        f"Settled by {settled.clicks} clicks: {settled.inputs} new inputs were drawn, and the"
        f" {settled.differing} on which the arms differ were looked at."
    ]
    if settled.points == "preference":
        parts.append("Points of the settled arms are shares of preference, not of the metric.")
    if settled.skipped:
        parts.append(f"{settled.skipped} were skipped: they count against both sides.")
    if settled.again:
        wrong = share_of_wrong_votes(settled.agreed, settled.again)
        parts.append(
            f"Of {settled.again} shown twice, {settled.agreed} got the same answer; the bounds"
            f" allow for {wrong:.0%} of wrong votes."
        )
    return " ".join(parts)
