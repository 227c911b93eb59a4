"""Which pairs of arms a study left open, and its evidence with bounds that new inputs tightened.

Pure arithmetic on evidence; knows no arm by its name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from tuneworthy.core.evidence import Evidence, Pair, Policy
from tuneworthy.core.settlement import Settled
from tuneworthy.stats.sizing import within, worth_it
from tuneworthy.verdict.board import Board
from tuneworthy.verdict.prices import priced
from tuneworthy.verdict.rule import Ruling, boards, rule, still_open

Names = tuple[str, str]


@dataclass(frozen=True)
class Open:
    """A pair that keeps the verdict from being firm: may `arm` be better than `versus`?

    It closes when the upper bound of arm - versus, plus `shift` (what the price difference of a
    request is worth), comes down to `margin`, or when `versus` is beaten. Under the motive cost
    `margin` is below 0: the cheaper arm is to be shown worse by more, or within it.
    """

    arm: str
    versus: str
    margin: float
    shift: float = 0.0

    @property
    def names(self) -> Names:
        """Return (arm, versus)."""
        return self.arm, self.versus

    def planned(self, pair: Pair, most: int) -> int:
        """Return for how many rows in all bets on it are sized, at `most`."""
        if not pair.n:
            return most
        if self.margin < 0:
            outlook = within(pair, -self.margin, pair.level)
        else:
            outlook = worth_it(pair, self.margin, pair.level, self.shift)
        return min(outlook.inputs, most)


@dataclass(frozen=True)
class Tightened:
    """What clicks showed of a pair: mean and bounds on n rows; `differ` of them are not equal.

    `apart` new inputs had answers that differ.

    `points`: "new" inputs alone, of an artefact that the study scored only fold by fold; "all"
    rows, those of the study among them; "preference": shares of preference, which the study's own
    points can't be set beside.
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


def standing(evidence: Evidence, policy: Policy) -> tuple[Ruling, list[Open]]:
    """Return what the rule says now, and the pairs that are open, the widest first."""
    laid = boards(evidence, policy)
    ruling, board = rule(laid, policy), laid.seen
    found = [] if ruling.status == "blocked" else list(_open(board, policy, ruling))
    found = [one for one in found if one.names in board.bounds]
    return ruling, sorted(found, key=lambda one: (-board.bounds[one.names][2], one.names))


def _open(board: Board, policy: Policy, ruling: Ruling) -> Sequence[Open]:
    if ruling.against is not None:
        versus = ruling.against.name
        return [
            Open(arm.name, versus, policy.margin)
            for arm in board.rivals
            if board.bound(arm, ruling.against)[2] > policy.margin
        ]
    if ruling.arm is None:
        return []
    if policy.motive == "cost" and board.present:
        today = board.present
        return [
            Open(other.name, today.name, -policy.margin)
            for other in still_open(board, ruling.arm, today, policy)
        ]
    arm, prices = ruling.arm, priced(board.rivals, policy)
    out = []
    for other in board.rivals:
        margin = prices.margin(arm.name, other.name) if prices else policy.margin
        shift = prices.shift(other.name, arm.name) if prices else 0.0
        if other.name != arm.name and board.bound(other, arm)[2] + shift > margin:
            out.append(Open(other.name, arm.name, margin, shift))
    if ruling.short_of and not out:
        out.append(Open(arm.name, ruling.short_of.name, policy.margin))
    return out


def tightened(evidence: Evidence, found: Mapping[Names, Tightened]) -> Evidence:
    """Return the evidence with the tighter of each pair's bounds, its own and those found.

    Both hold at the level of the look, so the tighter one holds at twice that. A study and its
    settling (the second look) together spend 1.5 times what one look may; any number of studies
    on the same cases, each settled, at most twice.
    """
    both = {**found, **{(b, a): _mirrored(one) for (a, b), one in found.items()}}
    pairs = tuple(
        _tighter(pair, both[pair.arm, pair.versus]) if (pair.arm, pair.versus) in both else pair
        for pair in evidence.pairs
    )
    return evidence.model_copy(update={"pairs": pairs})


def _mirrored(one: Tightened) -> Tightened:
    return replace(
        one, wins=one.losses, losses=one.wins, mean=-one.mean, low=-one.high, high=-one.low
    )


def _tighter(pair: Pair, found: Tightened) -> Pair:
    counts = {key: getattr(found, key) for key in ("n", "wins", "losses", "differ")}
    low, high, mean, apart = found.low, found.high, found.mean, found.apart
    if found.points == "new":
        counts = {key: count + getattr(pair, key) for key, count in counts.items()}
        mean = (pair.mean * pair.n + mean * found.n) / counts["n"]
    if found.points != "preference":
        low, high = max(pair.low, low), min(pair.high, high)
        apart += pair.apart or 0
    if low > high:  # two bounds that both hold can't exclude each other: one of them is wrong
        low, high = found.low, found.high
    ends = {"mean": min(max(mean, low), high), "low": low, "high": high}
    counts["apart"] = apart
    return pair.model_copy(update=counts | {key: round(end, 6) for key, end in ends.items()})


def said(settled: Settled) -> str:
    """Return in a few sentences how a verdict was settled."""
    parts = [
        f"Settled by {settled.clicks} clicks: {settled.inputs} new inputs were drawn, and the"
        f" {settled.differing} on which the arms differ were looked at."
    ]
    if settled.points == "preference":
        parts.append("Points of the settled arms are shares of preference, not of the metric.")
    if settled.skipped:
        parts.append(f"{settled.skipped} were skipped: they count against both sides.")
    if settled.again:
        parts.append(f"Of {settled.again} shown twice, {settled.agreed} got the same answer.")
    return " ".join(parts)
