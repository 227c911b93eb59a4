"""Select the unlabelled inputs that arms may learn from: no copies of labelled rows.

A teacher's answer to a copy of a scored row would teach the student the scored row. Nor are they
of a labelled row's group, as no group is split between training and scoring.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tuneworthy.core.case import Case, Query
from tuneworthy.core.counting import count_noun
from tuneworthy.data.copies import UnionFind, full_text, near_copy_pairs, normalised_text
from tuneworthy.data.load import Loaded


def learnable_inputs(loaded: Loaded, say: Callable[[str], None]) -> list[Query]:
    """Return the unlabelled inputs that arms may learn from; `say` how many are left out."""
    given = loaded.unlabelled
    free = free_of_copies(given, (*loaded.everyone, *loaded.aside))
    if len(free) < len(given):
        left = count_noun(len(given) - len(free), "unlabelled input")
        say(f"{left} left out: repeated, or a copy of a labelled row, or of its group")
    return free


def free_of_copies(queries: Sequence[Query], labelled: Sequence[Case]) -> list[Query]:
    """Return the distinct inputs that are neither copies of a labelled row nor of its group.

    They are in order. A copy has the same turns after normalising case, space and Unicode form; a
    near-copy shares 80 % of its 5-character shingles (Jaccard) with a row, or with an input that is
    a near-copy of one.
    """
    seen = {normalised_text(full_text(case)) for case in labelled}
    groups_of_rows = {case.group for case in labelled if case.group is not None}
    kept: list[Query] = []
    texts: list[str] = []
    for query in queries:
        if query.group in groups_of_rows:
            continue
        if (text := normalised_text(_query_text(query))) not in seen:
            seen.add(text)
            kept.append(query)
            texts.append(text)
    rows = [normalised_text(full_text(case)) for case in labelled]
    every = [*rows, *texts]
    groups = UnionFind(len(every))
    for one, other, _ in near_copy_pairs(every, [""] * len(every)):
        groups.join(one, other)
    taken = {groups.find(at) for at in range(len(rows))}
    return [q for at, q in enumerate(kept, len(rows)) if groups.find(at) not in taken]


def _query_text(query: Query) -> str:
    return full_text(Case(id=query.id, messages=query.messages, output=""))
