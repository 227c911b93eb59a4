"""Match recorded answers to rows: by id, else by input, by order only on request.

Order is no evidence: a sorted or shuffled log gives each row the answer to another. So a log
without ids and inputs is refused until the task file says `match: order`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from tuneworthy.records.case import Case, Query
from tuneworthy.records.counting import count_noun, with_verb
from tuneworthy.records.errors import DataError
from tuneworthy.records.task import Match
from tuneworthy.rows.bad_rows import RawRow
from tuneworthy.rows.copies import normalised_text
from tuneworthy.rows.order_fit import order_misfit
from tuneworthy.rows.rows import as_text, id_text

_SHOWN_PLACES = 3


@dataclass(frozen=True)
class LogRows:
    """The rows of a file of recorded answers, and how the user says to match them.

    `key` is the task-file key that says so (`present`, `answers.NAME`), "" for an option.
    """

    path: Path
    rows: Sequence[RawRow]
    match: Match | None = None
    key: str = "answers.NAME"

    def setting(self, match: Match) -> str:
        """Return how the user says to match them so: by a key of the task file, or an option."""
        return f"`match: {match}` under `{self.key}`" if self.key else f"`--match {match}`"


@dataclass(frozen=True)
class MatchResult:
    """How answers match rows: the log's row by case id, the key used, places with another input.

    `repeats` has further rows of a case: the same system asked again.
    """

    rows: dict[str, RawRow]
    matched_by: Match
    other_inputs: tuple[str, ...] = ()
    repeats: dict[str, list[RawRow]] = field(default_factory=dict)


def match_answers(
    log: LogRows, cases: Sequence[Case], others: Sequence[Case | Query] = ()
) -> MatchResult:
    """Return the row of the log that answers each case; the log may also answer `others`.

    An id is that of a row, or its place (`train.jsonl:12`) where the row has no id of its own.

    Raises DataError if the match is unclear: no ids and no inputs; a duplicate id; ids of these
    rows with other inputs; one input with several answers; an order that does not fit.
    """
    if log.match == "order":
        return _by_order(log, cases)
    ids, inputs = (
        all(row_text(row, key) is not None for row in log.rows) for key in ("id", "input")
    )
    if log.match is not None and not (ids if log.match == "id" else inputs):
        _refuse_missing_key(log, log.match)
    if log.match == "id" or (log.match is None and ids):
        matches = _by_id(log, cases)
        if log.match == "id" or not inputs:
            return matches
        if matches.other_inputs:
            _refuse_other_inputs(log, matches)
        if matches.rows and len(matches.rows) >= _count_known_inputs(log, cases):
            return matches
    if inputs:
        return _by_input(log, cases, others)
    _refuse_unmatchable(log, cases)


def row_text(row: RawRow, key: str) -> str | None:
    """Return the text of a row's `key` ("id" or "input"), None if it is missing or blank."""
    value = row.fields.get(key)
    if key == "id":
        return id_text(value)
    return value if isinstance(value, str) and value.strip() else None


def _refuse_unmatchable(log: LogRows, cases: Sequence[Case]) -> NoReturn:
    bare = [
        row for row in log.rows if row_text(row, "id") is None and row_text(row, "input") is None
    ]
    got = f"{count_noun(len(log.rows), 'answer')}, {count_noun(len(cases), 'scored row')}"
    fix = 'give every answer the "id" (or the "input") of its row'
    if bare and len(log.rows) == len(cases):
        fix += f"; where answer k is that of row k, write {log.setting('order')}"
    if bare:
        got += f"; {with_verb(len(bare), 'answer', 'have')} neither `id` nor `input`"
    raise DataError(
        "recorded answers can't be matched to the rows: nothing says which row each belongs to",
        where=bare[0].where if bare else log.path.name,
        got=got,
        fix=fix,
    )


def _refuse_missing_key(log: LogRows, key: Match) -> NoReturn:
    bare = [row for row in log.rows if row_text(row, key) is None]
    raise DataError(
        f"recorded answers without `{key}` can't be matched by it",
        where=bare[0].where,
        got=f"{len(bare):,} of {len(log.rows):,} answers have no `{key}`",
        fix=f"add it to each, or change {log.setting(key)}",
    )


# By id.


def _by_id(log: LogRows, cases: Sequence[Case]) -> MatchResult:
    by_name = {case.where: case for case in cases} | {case.id: case for case in cases}
    row_of: dict[str, RawRow] = {}
    again: dict[str, list[RawRow]] = {}
    first: dict[str, RawRow] = {}
    differ = []
    for row in log.rows:
        name = row_text(row, "id") or ""
        if name in first:
            _refuse_other_row(first[name], row, name)
            if case := by_name.get(name):
                again.setdefault(case.id, []).append(row)
            continue
        first[name] = row
        if case := by_name.get(name):
            row_of[case.id] = row
            if (text := row_text(row, "input")) is not None and not _has_input(case, text):
                differ.append(row.where)
    counts = {case: 1 + len(again.get(case, ())) for case in row_of}
    if len(set(counts.values())) > 1:
        _refuse_other_counts(log, counts)
    return MatchResult(row_of, "id", tuple(differ), again)


def _refuse_other_row(first: RawRow, again: RawRow, name: str) -> None:
    """Raise DataError for a second answer to an id without `repeat: 2` or the first's input."""
    number = again.fields.get("repeat")
    if isinstance(number, int | str) and str(number).isdecimal() and int(number) > 1:
        return
    one, other = (row_text(row, "input") for row in (first, again))
    if one is None or other is None or normalised_text(one) != normalised_text(other):
        raise DataError(
            "two recorded answers belong to one row",
            where=f"{first.where} and {again.where}",
            got=name,
            fix="keep one of them; if the system was asked again, write `repeat: 2` or the `input`",
        )


def _refuse_other_counts(log: LogRows, counts: Mapping[str, int]) -> NoReturn:
    few, most = (pick(counts, key=lambda case: counts[case]) for pick in (min, max))
    raise DataError(
        "rows were not answered equally often",
        where=log.path.name,
        got=f"{counts[most]} answers to {most}, {count_noun(counts[few], 'answer')} to {few}",
        fix="keep as many answers of each row",
    )


def _refuse_other_inputs(log: LogRows, matches: MatchResult) -> NoReturn:
    same = len(matches.rows) - len(matches.other_inputs)
    raise DataError(
        "recorded answers have the ids of these rows beside other inputs",
        where=", ".join(matches.other_inputs[:_SHOWN_PLACES]),
        got=f"{same:,} of {len(matches.rows):,} have the input of the row with their id,"
        f" {len(matches.other_inputs):,} have another",
        fix=f"write {log.setting('input')} where the ids are those of other rows, or"
        f" {log.setting('id')} where the same inputs are only written another way",
    )


# By input.


def input_texts(case: Case | Query) -> tuple[str, ...]:
    """Return the texts that a log may use as a row's input: its last user turn, or all turns."""
    whole = "\n".join(m.content for m in case.messages if m.role != "system")
    return (case.input,) if whole == case.input else (case.input, whole)


def _has_input(case: Case | Query, text: str) -> bool:
    return normalised_text(text) in map(normalised_text, input_texts(case))


def _count_known_inputs(log: LogRows, cases: Sequence[Case]) -> int:
    """Return how many cases have their input in the log."""
    texts = {normalised_text(row_text(row, "input") or "") for row in log.rows}
    return sum(any(normalised_text(text) in texts for text in input_texts(case)) for case in cases)


def _by_input(log: LogRows, cases: Sequence[Case], others: Sequence[Case | Query]) -> MatchResult:
    """Return answers matched by exact input, else by input with case, spaces and Unicode folded.

    If rows share an input, nothing identifies their answers: they are matched in the order of both
    files if that can change no score, else refused.
    """
    exact, loose = defaultdict[str, list[RawRow]](list), defaultdict[str, list[RawRow]](list)
    for row in log.rows:
        text = row_text(row, "input") or ""
        exact[text].append(row)
        loose[normalised_text(text)].append(row)
    groups: dict[tuple[str, ...], tuple[list[RawRow], list[Case | Query]]] = {}
    scored = {case.id for case in cases}
    for case in (*_in_file_order(cases), *(other for other in others if other.id not in scored)):
        rows = next((exact[text] for text in input_texts(case) if text in exact), None)
        rows = rows or next(
            (r for t in input_texts(case) if (r := loose.get(normalised_text(t)))), None
        )
        if rows:
            groups.setdefault(tuple(r.where for r in rows), (rows, []))[1].append(case)
    row_of: dict[str, RawRow] = {}
    unclear = []
    for rows, alike in groups.values():
        if not any(case.id in scored for case in alike):
            continue
        if _is_ambiguous(rows, alike):
            unclear.append(rows)
        for at, case in enumerate(alike):
            if case.id in scored:
                row_of[case.id] = rows[min(at, len(rows) - 1)]
    if unclear:
        _refuse_ambiguous(unclear)
    return MatchResult(row_of, "input")


def _is_ambiguous(rows: Sequence[RawRow], alike: Sequence[Case | Query]) -> bool:
    """Return whether it is unknown, and matters, which of these answers belongs to which case."""
    if len({repr(row.fields.get("answer", row.fields.get("output"))) for row in rows}) == 1:
        fewer = len(rows) < len(alike)  # then turns before the last one must not differ
        return fewer and len({_prompt_text(case) for case in alike}) > 1
    return len(rows) != len(alike) or len({(_prompt_text(c), _gold_fields(c)) for c in alike}) > 1


def _prompt_text(case: Case | Query) -> str:
    return normalised_text("\n".join(message.content for message in case.messages))


def _gold_fields(case: Case | Query) -> str:
    """Return a case's gold fields as text; cases with equal ones score an answer equally."""
    if isinstance(case, Query):
        return ""
    return repr((case.output, case.accepted, case.must_say, case.must_not_say))


def _refuse_ambiguous(unclear: Sequence[Sequence[RawRow]]) -> NoReturn:
    rows = sum(map(len, unclear))
    raise DataError(
        "rows with one input have several recorded answers, and nothing says whose each is",
        where=", ".join(row.where for row in unclear[0][:_SHOWN_PLACES]),
        got=f"{count_noun(len(unclear), 'input')} with {count_noun(rows, 'answer')}",
        fix='give these answers the "id" of their row, or keep one answer an input',
    )


# By order.


def _in_file_order(cases: Sequence[Case]) -> list[Case]:
    """Return cases sorted by their place in their file (`where` is file:line)."""

    def place(case: Case) -> tuple[str, int]:
        name, _, line = case.where.partition(":")
        number = re.match(r"\d+", line)
        return name, int(number[0]) if number else 0

    return sorted(cases, key=place)


def _by_order(log: LogRows, cases: Sequence[Case]) -> MatchResult:
    if len(log.rows) != len(cases):
        raise DataError(
            "answers that are matched by order must be as many as the scored rows",
            where=log.path.name,
            got=f"{count_noun(len(log.rows), 'answer')}, {count_noun(len(cases), 'scored row')}",
            fix='give every answer the "id" (or the "input") of its row: rows that were left out'
            " shift all that follow",
        )
    both = list(zip(log.rows, _in_file_order(cases), strict=True))
    _refuse_ids_in_other_order(log, both)
    _refuse_inputs_in_other_order(log, both)
    pairs = [
        (_answer_text(row), case.output) for row, case in both if _answer_text(row) and case.output
    ]
    if said := order_misfit([answer for answer, _ in pairs], [gold for _, gold in pairs]):
        raise DataError(
            "recorded answers fit their rows better in another order than by `match: order`",
            where=log.path.name,
            got=said,
            fix='give every answer the "id" (or the "input") of its row, and remove'
            f" {log.setting('order')}",
        )
    return MatchResult({case.id: row for row, case in both}, "order")


def _refuse_ids_in_other_order(log: LogRows, both: Sequence[tuple[RawRow, Case]]) -> None:
    known = {case.id for _, case in both}
    named = [(row, case) for row, case in both if row_text(row, "id") in known]
    other = [row for row, case in named if row_text(row, "id") != case.id]
    if other:
        _refuse_order(log, "ids", len(named) - len(other), other, "id")


def _refuse_inputs_in_other_order(log: LogRows, both: Sequence[tuple[RawRow, Case]]) -> None:
    named = [
        (row, case, text) for row, case in both if (text := row_text(row, "input")) is not None
    ]
    other = [row for row, case, text in named if not _has_input(case, text)]
    if other:
        _refuse_order(log, "inputs", len(named) - len(other), other, "input")


def _refuse_order(
    log: LogRows, what: str, same: int, other: Sequence[RawRow], key: Match
) -> NoReturn:
    raise DataError(
        f"the {what} of recorded answers say another order than that of the rows",
        where=", ".join(row.where for row in other[:_SHOWN_PLACES]),
        got=f"in the order of the rows {same:,} {what} match and {len(other):,} do not",
        fix=f"write {log.setting(key)}, or leave it out",
    )


def _answer_text(row: RawRow) -> str:
    value: Any = row.fields.get("answer", row.fields.get("output"))
    return "" if value is None else as_text(value)
