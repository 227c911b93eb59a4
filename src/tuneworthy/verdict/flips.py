"""At which margin, value of a right answer or volume the verdict changes. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, permutations
from math import sqrt
from typing import Any, Literal

from tuneworthy.core.evidence import Policy
from tuneworthy.core.verdict import ByMargin
from tuneworthy.verdict.board import Board
from tuneworthy.verdict.economics import Prices, priced
from tuneworthy.verdict.rule import Boards, Ruling, on_board, rule

Key = Literal["value_of_correct", "requests_per_month"]
MARGINS = tuple(points / 100 for points in range(21))


@dataclass(frozen=True)
class Stretch:
    """A range of a price, open at both ends, over which the ruling is the same."""

    low: float
    high: float | None
    ruling: Ruling


def at_margin(policy: Policy, margin: float) -> Policy:
    """Return the policy with this margin, as if the user had written it."""
    return policy.model_copy(update={"margin": margin, "margin_is_default": False})


def by_margin(laid: Boards, policy: Policy) -> tuple[ByMargin, ...]:
    """Return what the rule says at every margin from 0 to 20 points."""
    out = []
    for margin in MARGINS:
        ruling = rule(laid, at_margin(policy, margin))
        use, arm = ruling.named
        out.append(ByMargin(margin=margin, use=use, arm=arm, status=ruling.status))
    return tuple(out)


def flips(laid: Boards, policy: Policy, strip: tuple[ByMargin, ...]) -> tuple[dict[str, Any], ...]:
    """Return each value of an input from which another arm is named, with that arm."""
    out: list[dict[str, Any]] = []
    for old, new in pairwise(strip):
        if (old.use, old.arm) != (new.use, new.arm):
            out.append({"input": "margin", "at": new.margin, "below": old.use, "above": new.use,
                        "arm": new.arm})  # fmt: skip
    keys: tuple[Key, ...] = ("value_of_correct", "requests_per_month")
    for key in keys if not laid.blocked else ():
        for before, after in pairwise(stretches(laid.seen, policy, key)):
            if before.ruling.named != after.ruling.named:
                use, arm = after.ruling.named
                out.append({"input": key, "at": after.low, "below": before.ruling.use,
                            "above": use, "arm": arm})  # fmt: skip
    return tuple(out)


def stretches(board: Board, policy: Policy, key: Key) -> list[Stretch]:
    """Return the ruling over all values of one price, the other price taken as it is.

    Every condition of the rule compares a bound with a term in 1/price, so the values at which
    anything changes are known in closed form; between two of them one evaluation is enough.
    Empty where the other price or a rung's costs are not known.
    """
    prices = priced(board.order, policy.model_copy(update={key: getattr(policy, key) or 1.0}))
    if prices is None or policy.motive != "quality":
        return []
    turning = _by_value(board, prices) if key == "value_of_correct" else _by_volume(board, prices)
    cuts = sorted({float(f"{cut:.12g}") for cut in turning if 0 < cut < 1e15})
    ends = [0.0, *cuts]
    found: list[Stretch] = []
    for low, high in zip(ends, [*cuts, None], strict=True):
        ruling = on_board(board, policy.model_copy(update={key: _inside(low, high)}))
        last = found[-1] if found else None
        if last and (*last.ruling.named, last.ruling.status) == (*ruling.named, ruling.status):
            found[-1] = Stretch(last.low, high, ruling)
        else:
            found.append(Stretch(low, high, ruling))
    return found


def _inside(low: float, high: float | None) -> float:
    if high is None:
        return 2 * low or 1.0
    return sqrt(low * high) or high / 2


def _by_value(board: Board, prices: Prices) -> Iterator[float]:
    """Solve mean, low or high of (q_b - dc/v - q_s) = 0, the written margin, or monthly/(v V)."""
    written = prices.written
    for b, s in permutations(board.order, 2):
        dearer = prices.cost[b.name] - prices.cost[s.name]
        upkeep = prices.monthly(b.name, s.name) / prices.volume
        terms = [(upkeep, written)]
        for bound in board.bound(b, s):
            terms += [(dearer, bound), (dearer, bound - written), (dearer + upkeep, bound)]
        yield from (above / below for above, below in terms if below)


def _by_volume(board: Board, prices: Prices) -> Iterator[float]:
    """Solve monthly / (v V) = a bound of u_b - u_s, or the written margin."""
    for b, s in permutations(board.order, 2):
        upkeep = prices.monthly(b.name, s.name) / prices.value
        shift = prices.shift(b.name, s.name)
        heights = [prices.written, *(bound + shift for bound in board.bound(b, s))]
        yield from (upkeep / height for height in heights if height)
