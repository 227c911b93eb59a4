"""Keep copies apart: none between train, dev and test, none among the inputs to learn from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from tuneworthy.core.case import Case, Query
from tuneworthy.core.counting import count_noun
from tuneworthy.core.errors import DataError
from tuneworthy.core.escape import quoted
from tuneworthy.data.copies import (
    UnionFind,
    full_text,
    input_text,
    near_copy_pairs,
    normalised_text,
    text_without_punctuation,
)

_COPY_OF_TEST = "copy of a test row"
_DEV_ELSEWHERE = "dev row that is also elsewhere"
CasesByFile = dict[str, tuple[Case, ...]]


def without_leaks(files: CasesByFile, policy: str) -> tuple[CasesByFile, dict[str, list[str]]]:
    """Return the files without copies of test rows in train, and {reason: ids left out}.

    A copy has the same input after normalising case, space and Unicode form; or after removing
    punctuation too, with the same answer. Raises DataError for a training copy unless the policy is
    `exclude`.
    """
    out, left = dict(files), {}
    test = files.get("test", ())
    if pairs := _copies_among(files["main"], test):
        if policy != "exclude":
            raise _leak_error(pairs, len(files["main"]), policy)
        out["main"] = _without_rows(files["main"], pairs)
        left[_COPY_OF_TEST] = list(pairs)
    if pairs := _copies_among(files.get("dev", ()), (*test, *out["main"])):
        out["dev"] = _without_rows(files["dev"], pairs)
        left[_DEV_ELSEWHERE] = list(pairs)
    return out, left


def _copies_among(rows: Sequence[Case], others: Iterable[Case]) -> dict[str, tuple[Case, Case]]:
    """Return {id: (row, other)} for the rows whose input is among the others."""
    others = tuple(others)
    if not rows or not others:
        return {}
    exact: dict[str, Case] = {}
    loose: dict[tuple[str, str], Case] = {}
    for other in others:
        exact.setdefault(normalised_text(full_text(other)), other)
        loose.setdefault(
            (text_without_punctuation(input_text(other)), normalised_text(other.output)), other
        )
    pairs = {}
    for row in rows:
        match = exact.get(normalised_text(full_text(row)))
        match = match or loose.get(
            (text_without_punctuation(input_text(row)), normalised_text(row.output))
        )
        if match is not None:
            pairs[row.id] = (row, match)
    return pairs


def _without_rows(cases: tuple[Case, ...], pairs: dict[str, tuple[Case, Case]]) -> tuple[Case, ...]:
    return tuple(case for case in cases if case.id not in pairs)


def _leak_error(pairs: dict[str, tuple[Case, Case]], rows: int, policy: str) -> DataError:
    first, other = next(iter(pairs.values()))
    also = ", ".join(row.where for row, _ in list(pairs.values())[1:20])
    where = f"{first.where} is {other.where}" + (f"; also {also}" if also else "")
    return DataError(
        f"{len(pairs):,} of {rows:,} training rows stand in the test file too",
        where=quoted(where, 600),
        got=first.input,
        fix="remove them from the training file"
        + (", or leave those copies out: --bad-rows=exclude" if policy == "stop" else ""),
    )


def learnable_inputs(
    given: Sequence[Query], labelled: Sequence[Case], say: Callable[[str], None]
) -> list[Query]:
    """Return the unlabelled inputs that arms may learn from; `say` how many are left out.

    A teacher's answer to a copy of a scored row would teach the student the scored row. Nor are
    they of a labelled row's group, as no group is split between training and scoring.
    """
    free = free_of_copies(given, labelled)
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
