"""Find gold answers that may be wrong: contradictions, neighbours, arms that agree against gold.

Calls no model. The results are doubts for a person to check, not corrections.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tuneworthy.explain.rescore import normaliser
from tuneworthy.records.answer import Answer
from tuneworthy.records.case import Case, LabelDoubt
from tuneworthy.records.escape import quoted
from tuneworthy.records.record import digest
from tuneworthy.records.task import Task
from tuneworthy.rows.copies import contradictory_cases, contradicts, full_text

NEIGHBOURS, AGREEING_NEIGHBOURS = 5, 4
# For consensus: an arm's least share of passed cases, and the fewest arms.
GOOD_ARM_LEAST_SHARE, LEAST_GOOD_ARMS = 0.75, 2

MOST_COMPARED = 20_000  # the most rows that each row is compared with, selected by content

_READ_CHARACTERS, _BLOCK_ROWS = 2000, 256  # characters read of a text, rows compared at a time

Array = np.ndarray[Any, Any]


def label_doubts(
    task: Task, cases: Sequence[Case], others: Sequence[Case] = ()
) -> list[LabelDoubt]:
    """Return doubts about labels of `cases` that rows of the same or like inputs contradict.

    `others` are further labelled rows to compare with; no doubts about them are returned.
    Neighbours are compared for closed labels only.
    """
    own = {case.id for case in cases}
    everyone = [*cases, *(case for case in others if case.id not in own)]
    result = list(_conflict_doubts(task, everyone, own))
    if task.output.type == "label":
        result += _neighbour_doubts(task, everyone, own)
    return sorted(result, key=lambda doubt: (doubt.case, doubt.ground))


def consensus_doubts(
    task: Task,
    cases: Sequence[Case],
    answers: Mapping[str, Mapping[str, Answer]],
    passed: Mapping[str, Mapping[str, bool]],
) -> list[LabelDoubt]:
    """Return doubts about cases where all good arms give one and the same answer, not gold.

    `answers` and `passed` are by arm, then by case id. An arm is good if it passes at least three
    quarters of its cases; at least two good arms must have answered, all alike and none correctly.
    Arms on one model make the same errors, so this is the weakest of the three grounds.
    """
    form, result = normaliser(task), list[LabelDoubt]()
    good = [arm for arm in sorted(passed) if _share_passed(passed[arm]) >= GOOD_ARM_LEAST_SHARE]
    for case in cases:
        arms = [arm for arm in good if case.id in answers.get(arm, {})]
        if len(arms) < LEAST_GOOD_ARMS or any(passed[arm].get(case.id, False) for arm in arms):
            continue
        texts = {arm: answers[arm][case.id].text.strip() for arm in arms}
        if len({form(text) for text in texts.values()}) == 1 and texts[arms[0]]:
            why = (
                f"{len(arms)} arms agree on “{quoted(texts[arms[0]], 80)}” "
                f"({', '.join(arms)}), the right answer is given as “{_gold_text(case)}”"
            )
            result.append(LabelDoubt(case=case.id, ground="consensus", why=why))
    return sorted(result, key=lambda doubt: doubt.case)


def contradicted_failures(found: Sequence[LabelDoubt], fails: Sequence[str]) -> tuple[str, ...]:
    """Return ids of failed cases whose label other rows contradict (same input or neighbours).

    Consensus of arms does not count: it may be an error that they share.
    """
    grounds = {"conflict", "neighbours"}
    return tuple(sorted({d.case for d in found if d.ground in grounds} & set(fails)))


def _conflict_doubts(task: Task, everyone: Sequence[Case], own: set[str]) -> Iterator[LabelDoubt]:
    text = task.output.type == "text"
    for rows in contradictory_cases(everyone, text):
        for case in (case for case in rows if case.id in own):
            other = next((o for o in rows if contradicts(case, o, text)), None)
            if other is None:
                continue
            there = f"“{_gold_text(other)}” in {_place_text(other)}"
            why = f"the same input has “{_gold_text(case)}” here and {there}"
            yield LabelDoubt(case=case.id, ground="conflict", why=why)


def _neighbour_doubts(task: Task, everyone: Sequence[Case], own: set[str]) -> Iterator[LabelDoubt]:
    form = normaliser(task)
    labels = [form(case.output) for case in everyone]
    queries = [at for at, case in enumerate(everyone) if case.id in own]
    for at, near in zip(
        queries,
        _nearest_texts([full_text(c)[:_READ_CHARACTERS] for c in everyone], queries),
        strict=True,
    ):
        if len(near) < NEIGHBOURS:
            continue
        label, count = Counter(labels[other] for other in near).most_common(1)[0]
        case = everyone[at]
        if count < AGREEING_NEIGHBOURS or label in {
            form(text) for text in (case.output, *case.accepted)
        }:
            continue
        other = next(everyone[o] for o in near if labels[o] == label)
        why = (
            f"{count} of the {NEIGHBOURS} nearest inputs have “{_gold_text(other)}” "
            f"({_place_text(other)} is the nearest), this one has “{_gold_text(case)}”"
        )
        yield LabelDoubt(case=case.id, ground="neighbours", why=why)


def _nearest_texts(texts: Sequence[str], queries: Sequence[int]) -> Iterator[list[int]]:
    """Yield for each queried text the positions of its 5 nearest others by TF-IDF cosine.

    The nearest comes first, ties go by position; fewer if fewer share a word with it. Each text is
    compared with at most `MOST_COMPARED` others, so the time stays linear.
    """
    from threadpoolctl import threadpool_limits

    matrix = _tfidf_vectors(texts)
    if matrix is None:
        yield from ([] for _ in queries)
        return
    others = _compared_positions(texts)
    compared = matrix[others].T
    for start in range(0, len(queries), _BLOCK_ROWS):
        block = list(queries[start : start + _BLOCK_ROWS])
        with threadpool_limits(limits=1):
            similarity = np.round((matrix[block] @ compared).toarray(), 9)
        for own, row in zip(block, similarity, strict=True):
            row[others == own] = -1
            yield [int(others[at]) for at in _highest_positions(row)]


def _compared_positions(texts: Sequence[str]) -> Array:
    """Return the positions of texts to compare with: all, or 20,000 picked by their content."""
    if len(texts) <= MOST_COMPARED:
        return np.arange(len(texts))
    by_content = sorted(range(len(texts)), key=lambda at: (digest(texts[at]), at))
    return np.array(sorted(by_content[:MOST_COMPARED]))


def _highest_positions(row: Array) -> Array:
    """Return the positions of the 5 highest positive values, highest first, ties by position."""
    last = max(0, row.size - NEIGHBOURS)
    least = np.partition(row, last)[last]  # linear, where sorting the whole row is not
    high = np.flatnonzero((row >= least) & (row > 0))
    order: Array = high[np.argsort(-row[high], kind="stable")[:NEIGHBOURS]]
    return order


def _tfidf_vectors(texts: Sequence[str]) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    try:
        words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+")
        return words.fit_transform(texts).tocsr()
    except ValueError:  # no word in any input
        return None


def _share_passed(passed: Mapping[str, bool]) -> float:
    return sum(passed.values()) / len(passed) if passed else 0.0


def _gold_text(case: Case) -> str:
    return quoted(case.output.strip(), 80)


def _place_text(case: Case) -> str:
    return case.where or case.id
