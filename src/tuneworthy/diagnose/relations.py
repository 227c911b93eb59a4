"""Test relations between remedies, and between rows, that identify a cause. Pure.

Each function returns whether its relation holds, with a sentence for the user. With few failures
(`few`) the point estimates decide, since only the most likely causes are wanted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tuneworthy.core.causes import BaseOutcomes, Effect, Intervention, Remedy
from tuneworthy.core.interval import ALPHA
from tuneworthy.diagnose.effects import share_interval

LEAST_LITERAL_SHARE = 0.8  # the least share of failures with their answer in the passage
HALF, QUARTER = 0.5, 0.25  # shares of rescued cases below which retrieval, or reading, fails

TriedEffect = tuple[Intervention, Effect]


class Relation(NamedTuple):
    """Whether a relation holds, and a sentence for the user ("" without one)."""

    holds: bool
    sentence: str = ""


def retrieval_fails(base: BaseOutcomes, pairs: Sequence[TriedEffect], few: bool) -> Relation:
    """Test whether retrieval fails: it rescues less than half of what the gold passage rescues.

    The gold passage must act. On the cases that it rescues, the 95 % upper end of real retrieval's
    rescue share must be below 1/2; of several retrievers the best counts.
    """
    gold = [effect for _, effect in _pairs_of(pairs, "knowledge") if effect.acts or few]
    rescued = frozenset().union(*(effect.rescued for effect in gold))
    if not rescued:
        return Relation(False)
    shares = []
    for tried, _ in _pairs_of(pairs, "retrieval"):
        tried_cases = [case for case in rescued if case in tried.passed]
        if tried_cases:
            helped = [case for case in tried_cases if tried.passed[case]]
            shares.append(
                (share_interval(base, helped, tried_cases, ALPHA), len(helped), len(tried_cases))
            )
    if not shares:
        return Relation(False, "real retrieval was not tried where the gold passage helps")
    best, helped_count, n = max(shares, key=lambda effect: (effect[0].mean, effect[2]))
    sentence = f"real retrieval rescues {helped_count} of {n} cases that the gold passage rescues"
    if (best.mean if few else best.high) < HALF:
        return Relation(True, f"{sentence}: less than half, so the passages are not found")
    return Relation(False, sentence)


def reading_fails(base: BaseOutcomes, pairs: Sequence[TriedEffect], few: bool) -> Relation:
    """Test whether reading fails: the answer is in the passage, but the passage does not help.

    At least 80 % of the failures must have their answer in the passage word for word. The gold
    passage must have been tried and be shown to rescue less than a quarter of them beyond its
    rivals. That it is not shown to act is not enough, since cases may be few or it may harm others;
    and if it acts on a few cases, the others still have their answer in the passage.
    """
    if base.literal is None:
        return Relation(False)
    in_passage, n = len(set(base.literal) & set(base.fails)), len(base.fails)
    sentence = f"the answer stands word for word in the passage of {in_passage} of {n} failures"
    tried = [effect for _, effect in _pairs_of(pairs, "knowledge") if effect.n_fail]
    if not tried or in_passage < LEAST_LITERAL_SHARE * n:
        return Relation(False, sentence)
    rescue_shares = [
        effect.contrast.mean if few else effect.contrast.high for effect in tried if effect.contrast
    ]
    if max(rescue_shares, default=0.0) >= QUARTER:
        return Relation(False, sentence)
    if any(effect.acts for effect in tried):
        more = f"is shown to help less than {QUARTER:.0%} of them: most are not read"
    else:
        more = "is not shown to help: it is not read"
    return Relation(True, f"{sentence}, and the gold passage {more}")


def labels_fail(base: BaseOutcomes, pairs: Sequence[TriedEffect], few: bool) -> Relation:
    """Test whether labels are wrong: nothing acts, and like cases contradict many failures.

    That is the labels of a share of at least `margin` of all cases. With `few` remedies may act.
    """
    n, total = len(set(base.conflicts) & set(base.fails)), len(base.fails) + len(base.passes)
    if not n:
        return Relation(False)
    sentence = f"the labels of {n} failures contradict those of like cases"
    acting = any(effect.acts for _, effect in pairs)
    return Relation((few or not acting) and n >= base.margin * total, sentence)


def _pairs_of(pairs: Sequence[TriedEffect], remedy: Remedy) -> list[TriedEffect]:
    return [pair for pair in pairs if pair[1].remedy == remedy]
