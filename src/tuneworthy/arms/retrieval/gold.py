"""Infer the passage that contains a row's answer, and find answers that no passage supports.

It reads gold answers: the results go to a ceiling, to recall and to the audit, never to an arm that
can win.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from tuneworthy.arms.retrieval.chunks import Chunk
from tuneworthy.arms.retrieval.index import Index, covers, index, words
from tuneworthy.matrix.design import Design
from tuneworthy.records.audit_report import Observation
from tuneworthy.records.case import Case
from tuneworthy.records.interval import Interval
from tuneworthy.records.record import Record, digest
from tuneworthy.rows.load import Loaded
from tuneworthy.rows.observations import observation

SEARCHED_RANKS, NEAR_RANKS = 10, 3  # top ranks that are searched for the answer

_MOST_EXAMINED_ROWS = 5000  # the most rows examined; of more, a sample by the hash of their id
# output types whose answers can occur in a passage; labels and records rarely do
_TYPES_IN_PASSAGES = {"text", "number"}


def with_inferred_passages(loaded: Loaded) -> Loaded:
    """Return the loaded rows, with a passage inferred for rows without one, and observations.

    Only if there are documents and the answers are text or numbers. A passage is inferred if it
    ranks high (BM25) for the question and its answer together and contains the answer's words; the
    case is then marked `context_inferred`.
    """
    if not loaded.docs or loaded.task.output.type not in _TYPES_IN_PASSAGES:
        return loaded
    searcher = index(loaded.docs)
    change = _passage_adder(searcher, loaded.everyone)
    out = replace(
        loaded,
        cases=tuple(map(change, loaded.cases)),
        test=None if loaded.test is None else tuple(map(change, loaded.test)),
        dev=None if loaded.dev is None else tuple(map(change, loaded.dev)),
    )
    observations = (
        *loaded.observations,
        *_passage_observations(out.everyone, unsupported_ids(searcher, out.everyone)),
    )
    return replace(out, observations=observations)


def _passage_adder(found: Index, cases: Sequence[Case]) -> Callable[[Case], Case]:
    bare = _sample_cases([case for case in cases if not case.context])
    passages = {case.id: text for case in bare if (text := infer_passage(found, case))}

    def change(case: Case) -> Case:
        if case.id not in passages:
            return case
        return case.model_copy(update={"context": passages[case.id], "context_inferred": True})

    return change


def infer_passage(found: Index, case: Case) -> str | None:
    """Return the best-ranked passage that contains a case's answer; None if no high one does."""
    for answer in (case.output, *case.accepted):
        (chunks,) = found.search([(f"{case.input} {answer}", case.time)], SEARCHED_RANKS)
        if text := next((chunk.text for chunk in chunks if covers(chunk.text, answer)), None):
            return text
    return None


def unsupported_ids(found: Index, cases: Sequence[Case]) -> list[str]:
    """Return the ids of cases whose answer no passage in force today supports.

    A passage of the case's own document (`meta.doc_id`), or one of the first ten for the question,
    supports an answer if it contains the answer's words. If the case's document is no longer in
    force only the first three count: its successor ranks there, and further down `11 days` belongs
    to another rule. A row may have been right in its day, but what it teaches is outdated.
    """
    sample = _sample_cases(cases)
    force = found.in_force(None)
    own: dict[str, list[Chunk]] = {}
    for chunk, now in zip(found.chunks, force, strict=True):
        own.setdefault(chunk.doc, []).extend([chunk] if now else [])
    ranked = found.search([(case.input, None) for case in sample], SEARCHED_RANKS)
    gone = []
    for case, chunks in zip(sample, ranked, strict=True):
        own_chunks = own.get(str(case.meta.get("doc_id")))
        near = chunks[:NEAR_RANKS] if own_chunks == [] else [*(own_chunks or ()), *chunks]
        if not any(
            covers(c.text, answer) for c in near for answer in (case.output, *case.accepted)
        ):
            gone.append(case.id)
    return gone


def _passage_observations(cases: Sequence[Case], gone: Sequence[str]) -> list[Observation]:
    out = []
    if made := [case.id for case in cases if case.context_inferred]:
        text = f"{len(made):,} rows have no passage; one that holds the answer was inferred"
        out.append(observation("passage_inferred", "note", text, made))
    if gone:
        scope = (
            f" (of {_MOST_EXAMINED_ROWS:,} looked at)" if len(cases) > _MOST_EXAMINED_ROWS else ""
        )
        text = f"{len(gone):,} gold answers are supported by no current passage{scope}"
        fix = "correct the answer, add the document, or give the row a `time`"
        out.append(observation("unsupported", "warning", text, gone, fix))
    return out


def _sample_cases(cases: Sequence[Case]) -> Sequence[Case]:
    if len(cases) <= _MOST_EXAMINED_ROWS:
        return cases
    return sorted(cases, key=lambda case: digest(case.id))[:_MOST_EXAMINED_ROWS]


_KS = (1, 5, 10)  # the numbers of passages at which recall is measured


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


def quality(index: Index, cases: Sequence[Case], ks: Sequence[int] = _KS) -> Quality:
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
