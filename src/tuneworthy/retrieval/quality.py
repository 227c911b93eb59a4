"""Measure retrieval: recall and reciprocal rank on cases whose right passage is known."""

from __future__ import annotations

from collections.abc import Sequence

from tuneworthy.core.case import Case
from tuneworthy.core.evidence import Interval
from tuneworthy.core.record import Record
from tuneworthy.matrix.design import Design
from tuneworthy.retrieval.index import Index
from tuneworthy.retrieval.tokens import covers, words

KS = (1, 5, 10)  # the numbers of passages at which recall is measured


class Quality(Record):
    """Retrieval quality over `n` cases with a known passage, `inferred` of them inferred.

    `recall` maps k to the share of cases with a right passage among the first k, `mrr` is the mean
    of 1/rank of the first right one (0 if none is ranked); two-sided 95 %. `dense`: whether vectors
    were used. None if no case has a known passage.
    """

    n: int
    inferred: int
    dense: bool
    recall: dict[int, Interval] | None
    mrr: Interval | None


def quality(index: Index, cases: Sequence[Case], ks: Sequence[int] = KS) -> Quality:
    """Return recall at each k and the mean reciprocal rank of an index on these cases.

    A passage is right if it is part of the case's document (`meta.doc_id`), or, if only a text is
    known, is contained in that text or contains it. If some of these chunks contain the answer,
    only they are right.
    """
    known = [case for case in cases if case.meta.get("doc_id") is not None or case.context]
    pairs = [(case, right) for case in known if (right := _gold_chunks(index, case))]
    rankings = index.ranked([(case.input, case.time) for case, _ in pairs])
    ranks = {
        case.id: _first_right_rank(ranking, right)
        for ranking, (case, right) in zip(rankings, pairs, strict=True)
    }
    design = Design.of_cases(case for case, _ in pairs)
    inferred = sum(case.context_inferred for case, _ in pairs)
    if not ranks:
        return Quality(n=0, inferred=0, dense=index.dense, recall=None, mrr=None)
    return Quality(
        n=len(ranks),
        inferred=inferred,
        dense=index.dense,
        recall={
            k: design.mean({i: (rank or k + 1) <= k for i, rank in ranks.items()}).interval
            for k in ks
        },
        mrr=design.mean({i: 1 / rank if rank else 0.0 for i, rank in ranks.items()}).interval,
    )


def _gold_chunks(index: Index, case: Case) -> set[int]:
    name = case.meta.get("doc_id")
    if name is not None and not case.context_inferred:
        candidates = [at for at, chunk in enumerate(index.chunks) if chunk.doc == str(name)]
    else:
        text = " ".join(words(case.context or ""))
        candidates = [
            at for at, chunk in enumerate(index.chunks) if _one_contains_other(chunk.text, text)
        ]
    answers = (case.output, *case.accepted)
    strict = [
        at for at in candidates if any(covers(index.chunks[at].text, answer) for answer in answers)
    ]
    return set(strict or candidates)


def _one_contains_other(text: str, other: str) -> bool:
    mine = " ".join(words(text))
    return bool(mine and other) and (mine in other or other in mine)


def _first_right_rank(ranking: Sequence[int], right: set[int]) -> int | None:
    return next((rank for rank, at in enumerate(ranking, 1) if at in right), None)
