"""Score an arm and its rival on slices of the cases (length, class, group, `meta` ...). Pure.

Slices only explain; no rule reads them. The bounds of all slices hold together (Bonferroni).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from tuneworthy.arms.retrieval.index import words
from tuneworthy.matrix.design import Design
from tuneworthy.matrix.matrix import Matrix
from tuneworthy.metrics import JUDGE, metric_name
from tuneworthy.records.case import Case
from tuneworthy.records.further import SMALL_SLICE, Slice, Slices
from tuneworthy.records.interval import ALPHA
from tuneworthy.records.task import Task

ONE_GROUP_DESIGN = Design.independent("a slice of one group is about that group alone")
_MOST_SLICES = 12  # the most classes, groups or values of a field that get their own slice
_LEAST_SLICED_CASES = 6  # the fewest cases that are cut into thirds or quarters
_JUDGE_NOTE = (
    "Scores of slices are the judge's own: a slice has too few human grades to correct them."
)
_SliceParts = Iterator[tuple[str, list[str]]]


def slices(
    matrix: Matrix,
    cases: Sequence[Case],
    arms: tuple[str, str | None],
    others: Sequence[Case] = (),
) -> Slices | None:
    """Return scores of an arm and its rival by length, class, group, `meta` …; None without score.

    `arms` is (arm, rival), rival None if there is none. `cases` are the scored cases, `others`
    further rows that count only for the word frequencies behind "rare words".
    """
    arm, rival = arms
    task, columns = matrix.inputs.task, matrix.columns
    named = [name for name in arms if name is not None and name in columns]
    scored = [case for case in cases if all(case.id in columns[name].cells for name in named)]
    if arm not in named or not scored:
        return None
    parts = list(slice_parts(task, scored, _scores_of_other_arms(matrix, arms), others))
    rows = []
    for kind, name, ids in parts:
        part = matrix.part(ids, ONE_GROUP_DESIGN if kind == "group" else None)
        rows.append(_score_slice((kind, name), part, named, ALPHA / len(parts)))
    kinds = {kind for kind, *_ in parts}
    return Slices(
        arm=arm,
        rival=rival if rival in named else None,
        n=len(scored),
        slices=tuple(rows),
        said=(
            *_slice_notes(rows),
            *([_JUDGE_NOTE] if metric_name(task) == JUDGE else []),
        ),
        missing={kind: why for kind, why in _MISSING_REASONS.items() if kind not in kinds},
    )


_MISSING_REASONS = {
    "length": f"fewer than {_LEAST_SLICED_CASES} cases",
    "class": "the answers are not labels of a closed set",
    "group": "no two scored rows share a `group`",
    "time": f"fewer than {_LEAST_SLICED_CASES} scored rows have a `time`",
    "rare words": f"fewer than {_LEAST_SLICED_CASES} cases",
    "hardest": "other arms answered fewer than 10 of these cases, too few to say which are hard",
}


def slice_parts(
    task: Task,
    cases: Sequence[Case],
    scores: Mapping[str, Sequence[float]] = MappingProxyType({}),
    others: Sequence[Case] = (),
) -> Iterator[tuple[str, str, list[str]]]:
    """Yield (kind, name, case ids) per slice: length, class, group, time, words, fields of `meta`.

    `scores` are other arms' by case; without them no cases are the hardest. `others` count only for
    the word frequencies behind "rare words".
    """
    for kind, parts in _slices_by_kind(task, cases, scores, others):
        yield from ((kind, name, ids) for name, ids in parts if ids)


def _slices_by_kind(
    task: Task, cases: Sequence[Case], scores: Mapping[str, Sequence[float]], others: Sequence[Case]
) -> Iterator[tuple[str, _SliceParts]]:
    yield "length", _split_in_thirds(cases, lambda c: len(c.input), ("short", "middle", "long"))
    yield "class", _slices_by_class(task, cases)
    yield "group", _named_parts({c.id: c.group for c in cases if c.group})
    dated = [case for case in cases if case.time]
    yield "time", _split_in_thirds(dated, lambda c: str(c.time), ("oldest", "between", "newest"))
    yield "rare words", _slices_by_rarity(cases, others)
    yield "hardest", _hardest_slices(cases, scores)
    for key in sorted({key for case in cases for key in case.meta}):
        found = {case.id: case.meta.get(key) for case in cases}
        values = {i: str(v) for i, v in found.items() if isinstance(v, str | int) and str(v)}
        if 2 <= len(set(values.values())) <= _MOST_SLICES:
            yield f"meta.{key}" if key in _MISSING_REASONS else key, _named_parts(values)


def _split_in_thirds(
    cases: Sequence[Case], key: Callable[[Case], Any], names: tuple[str, str, str]
) -> _SliceParts:
    if len(cases) < _LEAST_SLICED_CASES:
        return
    ranked = sorted(cases, key=lambda case: (key(case), case.id))
    for name, part in zip(names, np.array_split(np.arange(len(ranked)), 3), strict=True):
        yield name, [ranked[i].id for i in part]


def _slices_by_class(task: Task, cases: Sequence[Case]) -> _SliceParts:
    if task.output.type == "label":
        yield from _named_parts({case.id: case.output.strip() for case in cases}, least=1)


def _named_parts(names: Mapping[str, str | None], least: int = 2) -> _SliceParts:
    """Yield (name, case ids) of at most 12 groups with `least` or more cases, largest first."""
    counts = Counter(name for name in names.values() if name)
    for name, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:_MOST_SLICES]:
        if count >= least:
            yield name, [i for i, own in names.items() if own == name]


def rare_word_cases(cases: Sequence[Case], others: Sequence[Case] = ()) -> frozenset[str]:
    """Return the ids of the quarter of cases with the rarest words.

    Rarity is the mean inverse document frequency of a case's distinct words: -log of the share of
    all rows (`others` included) that contain the word. Empty below 4 cases.
    """
    rows = {case.id: set(words(case.input)) for case in (*others, *cases)}
    document_count = Counter(word for row in rows.values() for word in row)

    def rarity(case: Case) -> float:
        own = rows[case.id]
        return sum(math.log(len(rows) / document_count[w]) for w in own) / len(own) if own else 0.0

    ranked = sorted(cases, key=lambda case: (-rarity(case), case.id))
    return frozenset(case.id for case in ranked[: len(ranked) // 4])


def _slices_by_rarity(cases: Sequence[Case], others: Sequence[Case]) -> _SliceParts:
    if len(cases) < _LEAST_SLICED_CASES:
        return
    ids = rare_word_cases(cases, others)
    yield "the quarter with the rarest words", [case.id for case in cases if case.id in ids]
    yield "the rest", [case.id for case in cases if case.id not in ids]


def _hardest_slices(cases: Sequence[Case], scores: Mapping[str, Sequence[float]]) -> _SliceParts:
    """Yield (name, case ids) of the tenth on which the other arms score lowest, and of the rest.

    The arm and its rival are left out: cases selected by their own failures would bias their
    scores downwards.
    """
    judged = [case for case in cases if scores.get(case.id)]
    if len(judged) < 10:
        return
    ranked = sorted(judged, key=lambda case: (float(np.mean(scores[case.id])), case.id))
    tenth = len(ranked) // 10
    yield "the hardest tenth for the other arms", [case.id for case in ranked[:tenth]]
    yield "the rest", [case.id for case in ranked[tenth:]]


def _scores_of_other_arms(matrix: Matrix, arms: tuple[str, str | None]) -> dict[str, list[float]]:
    """Return {case id: scores of all measured candidates but these two arms}."""
    scores: dict[str, list[float]] = {}
    for name, column in sorted(matrix.with_role("candidate").items()):
        for case, score in column.scores.items() if name not in arms else ():
            scores.setdefault(case, []).append(score)
    return scores


def _score_slice(what: tuple[str, str], part: Matrix, named: Sequence[str], level: float) -> Slice:
    """Return a slice: score of `named[0]`, and of its rival `named[1]` with the difference."""
    score, *versus = (part.mean(name, level).interval for name in named)
    delta = part.difference(named[0], named[1], level / 2).interval if versus else None
    rival = versus[0] if versus else None
    return Slice(kind=what[0], name=what[1], n=len(part.columns[named[0]].cells), score=score,
                 rival=rival, delta=delta)  # fmt: skip


def _slice_notes(rows: Sequence[Slice]) -> tuple[str, ...]:
    lines = [
        f"{len(rows)} slices were looked at. The bounds of a column hold together (95 %): a "
        "difference whose bounds exclude 0 is no accident of looking at many. A slice is a reason "
        "to look at its cases, not a verdict on them."
    ]
    if small := sum(row.small for row in rows):
        lines.append(f"Fewer than {SMALL_SLICE} cases: {small} of them, greyed.")
    return tuple(lines)
