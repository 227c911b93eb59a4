"""Where an arm is good and where not: its score on parts of the cases, beside its rival's. Pure.

Slices explain; they choose nothing and no rule reads them. Every interval stands by itself, so of
many slices one in twenty misses by chance: the table says how many were looked at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tuneworthy.compare.built_cells import best_cells, rare
from tuneworthy.core.case import Case
from tuneworthy.core.interval import Interval
from tuneworthy.core.run import Run
from tuneworthy.core.slices import SMALL, Kind, Slice, Slices
from tuneworthy.core.task import Task
from tuneworthy.stats import bounds

MOST = 12  # classes or groups that get a slice of their own
LEAST = 6  # cases; thirds and tenths of fewer are not made
Parts = Iterator[tuple[str, list[str]]]


def slices(
    task: Task,
    cases: Sequence[Case],
    runs: Sequence[Run],
    arms: tuple[str, str | None],
    others: Sequence[Case] = (),
) -> Slices | None:
    """Return the slices of an arm and its rival, None where the arm has no score.

    `arms` are the arm and its rival (None: no rival); `cases` the scored ones, `others` further
    rows, whose words say which are rare.
    """
    arm, rival = arms
    own = {i: score for i, (_, score) in best_cells(runs, arm).items()}
    versus = {i: score for i, (_, score) in best_cells(runs, rival).items()} if rival else {}
    known = [case for case in cases if case.id in own and (not versus or case.id in versus)]
    if not known:
        return None
    groups = _groups(known)
    missing: dict[str, str] = {}
    found: list[Slice] = []
    for kind, parts in _kinds(task, known, _others(runs, arms), others):
        made = [_slice((kind, name), ids, own, versus, groups) for name, ids in parts if ids]
        if made:
            found += made
        else:
            missing[kind] = WHY[kind]
    return Slices(
        arm=arm,
        rival=rival if versus else None,
        n=len(known),
        slices=tuple(found),
        said=_said(found, folded=len({run.fold for run in runs}) > 1),
        missing=missing,
    )


WHY: dict[Kind, str] = {
    "length": f"fewer than {LEAST} cases",
    "class": "the answers are not labels of a closed set",
    "group": "no two scored rows share a `group`",
    "time": f"fewer than {LEAST} scored rows have a `time`",
    "rare words": f"fewer than {LEAST} cases",
    "hardest": "no other arm answered these cases, so none can say which are hard",
}


def _kinds(
    task: Task,
    cases: Sequence[Case],
    scores: Mapping[str, Sequence[float]],
    others: Sequence[Case],
) -> Iterator[tuple[Kind, Parts]]:
    yield "length", _thirds(cases, lambda c: len(c.input), ("short", "middle", "long"))
    yield "class", _classes(task, cases)
    yield "group", _named({c.id: c.group for c in cases if c.group})
    dated = [case for case in cases if case.time]
    yield "time", _thirds(dated, lambda c: str(c.time), ("oldest", "between", "newest"))
    yield "rare words", _rare(cases, others)
    yield "hardest", _hardest(cases, scores)


def _thirds(
    cases: Sequence[Case], key: Callable[[Case], Any], names: tuple[str, str, str]
) -> Parts:
    if len(cases) < LEAST:
        return
    ranked = sorted(cases, key=lambda case: (key(case), case.id))
    for name, part in zip(names, np.array_split(np.arange(len(ranked)), 3), strict=True):
        yield name, [ranked[i].id for i in part]


def _classes(task: Task, cases: Sequence[Case]) -> Parts:
    if task.output.type == "label":
        yield from _named({case.id: case.output.strip() for case in cases}, least=1)


def _named(names: Mapping[str, str | None], least: int = 2) -> Parts:
    """Yield the largest groups of cases with one name, at most 12."""
    counts = Counter(name for name in names.values() if name)
    for name, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:MOST]:
        if count >= least:
            yield name, [i for i, own in names.items() if own == name]


def _rare(cases: Sequence[Case], others: Sequence[Case]) -> Parts:
    if len(cases) < LEAST:
        return
    ids = rare(cases, others)
    yield "the quarter with the rarest words", [case.id for case in cases if case.id in ids]
    yield "the rest", [case.id for case in cases if case.id not in ids]


def _hardest(cases: Sequence[Case], scores: Mapping[str, Sequence[float]]) -> Parts:
    """Yield the tenth that the other arms score lowest on.

    The arm and its rival have no say in it: cases picked for their own failures would make them
    look worse than they are.
    """
    judged = [case for case in cases if scores.get(case.id)]
    if len(judged) < 10:
        return
    ranked = sorted(judged, key=lambda case: (float(np.mean(scores[case.id])), case.id))
    tenth = len(ranked) // 10
    yield "the hardest tenth for the other arms", [case.id for case in ranked[:tenth]]
    yield "the rest", [case.id for case in ranked[tenth:]]


def _others(runs: Sequence[Run], arms: tuple[str, str | None]) -> dict[str, list[float]]:
    """Return the scores that candidates other than these two reached, by case."""
    names = {r.spec.name for r in runs if r.spec.role == "candidate" and r.state == "measured"}
    found: dict[str, list[float]] = {}
    for name in sorted(names - set(arms)):
        for case, (_, score) in best_cells(runs, name).items():
            found.setdefault(case, []).append(score)
    return found


def _groups(cases: Sequence[Case]) -> dict[str, str]:
    return {case.id: case.group or case.id for case in cases}


def _slice(
    what: tuple[Kind, str],
    ids: Sequence[str],
    own: Mapping[str, float],
    versus: Mapping[str, float],
    groups: Mapping[str, str],
) -> Slice:
    # a slice of one group is about that very group, so its rows stand for themselves
    together = None if what[0] == "group" else [groups[i] for i in ids]
    mine = np.array([own[i] for i in ids])
    theirs = np.array([versus[i] for i in ids]) if versus else None
    bound = None if theirs is None else bounds.paired(mine - theirs, 0.025, groups=together)
    return Slice(
        kind=what[0],
        name=what[1],
        n=len(ids),
        score=_interval(bounds.mean_interval(mine, groups=together)),
        rival=None if theirs is None else _interval(bounds.mean_interval(theirs, groups=together)),
        delta=bound and _interval((bound.mean, bound.low, bound.high)),
    )


def _interval(three: tuple[float, float, float]) -> Interval:
    mean, low, high = (round(float(value), 6) for value in three)
    return Interval(mean=mean, low=low, high=high)


def _said(found: Sequence[Slice], folded: bool) -> tuple[str, ...]:
    missed = len(found) / 20
    lines = [
        f"{len(found)} slices were looked at: at 95 % each, about {missed:.1f} of their intervals "
        "miss by chance. A slice is a reason to look at its cases, not a verdict on them.",
    ]
    if folded:
        lines.append("Differences are not widened for folds that share training rows; those the "
                     "verdict reads are.")  # fmt: skip
    if small := sum(one.small for one in found):
        lines.append(f"Fewer than {SMALL} cases: {small} of them, greyed.")
    return tuple(lines)
