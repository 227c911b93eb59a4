"""Relations between what was tried, and between the task's rows, that name a cause. Pure.

Each of them says whether it holds, and in plain words what was seen. With few failures the point
values decide, as only the likeliest causes are sought.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tuneworthy.core.causes import Base, Effect, Intervention, Remedy
from tuneworthy.diagnose.effects import LEVEL, interval

LITERAL, HALF, QUARTER = 0.8, 0.5, 0.25

Pair = tuple[Intervention, Effect]


class Relation(NamedTuple):
    """Whether it holds, and what was seen; nothing to say is an empty text."""

    holds: bool
    said: str = ""


def not_found(base: Base, pairs: Sequence[Pair], few: bool) -> Relation:
    """Say whether retrieval is at fault: it rescues less than half of what the gold passage does.

    The gold passage must act. On the cases that it rescues its own rescue is 1, so the 95 % upper
    end of real retrieval's must lie below 1/2; of several retrievers the best counts.
    """
    gold = [one for _, one in _of(pairs, "knowledge") if one.acts or few]
    rescued = frozenset().union(*(one.rescued for one in gold))
    if not rescued:
        return Relation(False)
    shares = []
    for tried, _ in _of(pairs, "retrieval"):
        seen = [case for case in rescued if case in tried.passed]
        if seen:
            helped = [case for case in seen if tried.passed[case]]
            shares.append((interval(base, helped, seen, LEVEL), len(helped), len(seen)))
    if not shares:
        return Relation(False, "real retrieval was not tried where the gold passage helps")
    best, found, n = max(shares, key=lambda one: (one[0].mean, one[2]))
    said = f"real retrieval rescues {found} of {n} cases that the gold passage rescues"
    if (best.mean if few else best.high) < HALF:
        return Relation(True, f"{said}: less than half, so the passages are not found")
    return Relation(False, said)


def not_read(base: Base, pairs: Sequence[Pair], few: bool) -> Relation:
    """Say whether reading is at fault: the answer stands in the passage, and it does not help.

    Word for word, for at least 80 % of the failures. The gold passage must have been tried, and
    be shown to rescue less than a quarter of them beyond its rivals: that it is not shown to act
    may mean no more than that cases are few, or that it spoils others; and where it acts on a few,
    the others still have their answer before them.
    """
    if base.literal is None:
        return Relation(False)
    literal, n = len(set(base.literal) & set(base.fails)), len(base.fails)
    said = f"the answer stands word for word in the passage of {literal} of {n} failures"
    tried = [one for _, one in _of(pairs, "knowledge") if one.n_fail]
    if not tried or literal < LITERAL * n:
        return Relation(False, said)
    most = [one.contrast.mean if few else one.contrast.high for one in tried if one.contrast]
    if max(most, default=0.0) >= QUARTER:
        return Relation(False, said)
    if any(one.acts for one in tried):
        more = f"is shown to help less than {QUARTER:.0%} of them: most are not read"
    else:
        more = "is not shown to help: it is not read"
    return Relation(True, f"{said}, and the gold passage {more}")


def contradicted(base: Base, pairs: Sequence[Pair], few: bool) -> Relation:
    """Say whether labels are at fault: nothing acts and `margin` of all cases contradict others."""
    n, total = len(set(base.conflicts) & set(base.fails)), len(base.fails) + len(base.passes)
    if not n:
        return Relation(False)
    said = f"the labels of {n} failures contradict those of like cases"
    acting = any(one.acts for _, one in pairs)
    return Relation((few or not acting) and n >= base.margin * total, said)


def _of(pairs: Sequence[Pair], remedy: Remedy) -> list[Pair]:
    return [pair for pair in pairs if pair[1].remedy == remedy]
