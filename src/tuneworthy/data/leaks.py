"""Find copies between train, dev and test: raise an error, or leave the training copy out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tuneworthy.core.case import Case
from tuneworthy.core.errors import DataError
from tuneworthy.core.escape import quoted
from tuneworthy.data.copies import full_text, input_text, normalised_text, text_without_punctuation

COPY_OF_TEST = "copy of a test row"
DEV_ELSEWHERE = "dev row that is also elsewhere"
CasesByFile = dict[str, tuple[Case, ...]]


def without_leaks(files: CasesByFile, policy: str) -> tuple[CasesByFile, dict[str, list[str]]]:
    """Return the files without copies of test rows in train, and {reason: ids left out}.

    A copy has the same input after normalising case, space and Unicode form; or after removing
    punctuation too, with the same answer. Raises DataError for a training copy unless the policy is
    `exclude`.
    """
    out, left = dict(files), {}
    test = files.get("test", ())
    if pairs := copies_among(files["main"], test):
        if policy != "exclude":
            raise _leak_error(pairs, len(files["main"]), policy)
        out["main"] = _without_rows(files["main"], pairs)
        left[COPY_OF_TEST] = list(pairs)
    if pairs := copies_among(files.get("dev", ()), (*test, *out["main"])):
        out["dev"] = _without_rows(files["dev"], pairs)
        left[DEV_ELSEWHERE] = list(pairs)
    return out, left


def copies_among(rows: Sequence[Case], others: Iterable[Case]) -> dict[str, tuple[Case, Case]]:
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
