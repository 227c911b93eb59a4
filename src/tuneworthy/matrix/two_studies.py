"""Two studies on the cases they share: arm against arm, paired. Pure."""

from __future__ import annotations

import numpy as np

from tuneworthy.core.answer import Score
from tuneworthy.core.evidence import Pair
from tuneworthy.core.results import Results
from tuneworthy.stats import bounds

LEVEL = 0.05


def between(first: Results, second: Results) -> list[Pair]:
    """Return differences, second minus first, of arms with one name and of the two named arms.

    Only cases that both answered count; bounds are two-sided at 95 % (each side at 2.5 %).
    """
    old, new = _scores(first), _scores(second)
    names = sorted(set(old) & set(new))
    wanted = [(name, name) for name in names]
    named = (first.verdict.arm or "", second.verdict.arm or "")
    if named[0] in old and named[1] in new and named[0] != named[1]:
        wanted.insert(0, named)
    found = (_pair(one, two, old[one], new[two]) for one, two in wanted)
    return [pair for pair in found if pair is not None]


def _scores(results: Results) -> dict[str, dict[str, float]]:
    table: dict[str, dict[str, float]] = {}
    best = {arm.name: arm.seed for arm in results.evidence.arms}
    for run in results.runs:
        if run.state == "measured" and run.seed == best.get(run.spec.name):
            pairs = zip(run.answers, run.scores, strict=True)
            own = {a.case: s.value if isinstance(s, Score) else 0.0 for a, s in pairs}
            table.setdefault(run.spec.name, {}).update(own)
    return table


def _pair(one: str, two: str, old: dict[str, float], new: dict[str, float]) -> Pair | None:
    ids = sorted(set(old) & set(new))
    if not ids:
        return None
    bound = bounds.paired(np.array([new[i] - old[i] for i in ids]), LEVEL / 2)
    return Pair(
        arm=two,
        versus=one,
        n=len(ids),
        mean=bound.mean,
        low=bound.low,
        high=bound.high,
        level=LEVEL / 2,
        factor=1.0,
        wins=bound.wins,
        losses=bound.losses,
        differ=bound.differ,
    )
