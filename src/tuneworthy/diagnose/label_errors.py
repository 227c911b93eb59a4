"""Right answers that may be wrong: contradictions, neighbours, arms that agree against the gold.

Asks no model. What it finds are doubts for a person to look at, not corrections.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tuneworthy.core.answer import Answer
from tuneworthy.core.case import Case
from tuneworthy.core.doubt import Doubt
from tuneworthy.core.escape import quoted
from tuneworthy.core.task import Task
from tuneworthy.data.conflicts import against, contradicting
from tuneworthy.data.copies import whole
from tuneworthy.diagnose.rescore import writing

NEAREST, AGREE = 5, 4
GOOD, ARMS = 0.75, 2  # an arm's share of passed cases, and how many such arms, to be believed
_READ, _BLOCK = 2000, 256
Array = np.ndarray[Any, Any]


def doubts(task: Task, cases: Sequence[Case], others: Sequence[Case] = ()) -> list[Doubt]:
    """Return the cases whose label contradicts others, by input or by neighbourhood.

    `others` are further labelled rows to compare with; nothing is said about them. Neighbours are
    looked at for closed labels only.
    """
    known = {case.id for case in cases}
    everyone = [*cases, *(case for case in others if case.id not in known)]
    found = list(_conflicts(task, everyone, known))
    if task.output.type == "label":
        found += _neighbours(task, everyone, known)
    return sorted(found, key=lambda doubt: (doubt.case, doubt.ground))


def consensus(
    task: Task,
    cases: Sequence[Case],
    answers: Mapping[str, Mapping[str, Answer]],
    passed: Mapping[str, Mapping[str, bool]],
) -> list[Doubt]:
    """Return the cases on which the arms that pass most cases agree against the right answer.

    `answers` and `passed` are by arm, then by case id. An arm is believed where it passes three
    of four of its cases; at least two such arms must have answered, all of them alike and none
    rightly. Arms on one model err alike, so this is the weakest of the three grounds.
    """
    form, found = writing(task), list[Doubt]()
    good = [arm for arm in sorted(passed) if _share(passed[arm]) >= GOOD]
    for case in cases:
        arms = [arm for arm in good if case.id in answers.get(arm, {})]
        if len(arms) < ARMS or any(passed[arm].get(case.id, False) for arm in arms):
            continue
        said = {arm: answers[arm][case.id].text.strip() for arm in arms}
        if len({form(text) for text in said.values()}) == 1 and said[arms[0]]:
            why = (
                f"{len(arms)} arms agree on “{quoted(said[arms[0]], 80)}” "
                f"({', '.join(arms)}), the right answer is given as “{_gold(case)}”"
            )
            found.append(Doubt(case=case.id, ground="consensus", why=why))
    return sorted(found, key=lambda doubt: doubt.case)


def contradicted(found: Sequence[Doubt], fails: Sequence[str]) -> tuple[str, ...]:
    """Return the failed cases whose label the rows themselves contradict.

    That is conflicts and neighbours; that arms agree may as well be an error they share.
    """
    grounds = {"conflict", "neighbours"}
    return tuple(sorted({d.case for d in found if d.ground in grounds} & set(fails)))


def _conflicts(task: Task, everyone: Sequence[Case], known: set[str]) -> Iterator[Doubt]:
    text = task.output.type == "text"
    for same in contradicting(everyone, text):
        for case in (case for case in same if case.id in known):
            other = next((o for o in same if against(case, o, text)), None)
            if other is None:
                continue
            why = f"the same input has “{_gold(case)}” here and “{_gold(other)}” in {_place(other)}"
            yield Doubt(case=case.id, ground="conflict", why=why)


def _neighbours(task: Task, everyone: Sequence[Case], known: set[str]) -> Iterator[Doubt]:
    form = writing(task)
    labels = [form(case.output) for case in everyone]
    asked = [at for at, case in enumerate(everyone) if case.id in known]
    for at, near in zip(asked, _nearest([whole(c)[:_READ] for c in everyone], asked), strict=True):
        if len(near) < NEAREST:
            continue
        label, count = Counter(labels[other] for other in near).most_common(1)[0]
        case = everyone[at]
        if count < AGREE or label in {form(text) for text in (case.output, *case.accepted)}:
            continue
        other = next(everyone[o] for o in near if labels[o] == label)
        why = (
            f"{count} of the {NEAREST} nearest inputs have “{_gold(other)}” "
            f"({_place(other)} is the nearest), this one has “{_gold(case)}”"
        )
        yield Doubt(case=case.id, ground="neighbours", why=why)


def _nearest(texts: Sequence[str], asked: Sequence[int]) -> Iterator[list[int]]:
    """Yield for each asked text the 5 others most like it, the nearest first, by TF-IDF cosine.

    Fewer where fewer share a word with it. Equal likeness goes by position.
    """
    from threadpoolctl import threadpool_limits

    matrix = _vectors(texts)
    for start in range(0, len(asked), _BLOCK):
        block = list(asked[start : start + _BLOCK])
        if matrix is None:
            yield from ([] for _ in block)
            continue
        with threadpool_limits(limits=1):
            likeness = np.round((matrix[block] @ matrix.T).toarray(), 9)
        likeness[np.arange(len(block)), block] = -1
        for row in likeness:
            best = np.argsort(-row, kind="stable")[:NEAREST]
            yield [int(at) for at in best if row[at] > 0]


def _vectors(texts: Sequence[str]) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    try:
        words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+")
        return words.fit_transform(texts).tocsr()
    except ValueError:  # no word in any input
        return None


def _share(passed: Mapping[str, bool]) -> float:
    return sum(passed.values()) / len(passed) if passed else 0.0


def _gold(case: Case) -> str:
    return quoted(case.output.strip(), 80)


def _place(case: Case) -> str:
    return case.where or case.id
