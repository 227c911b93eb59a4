"""Match recorded answers to rows: by id, else by input, by order only on request.

Several answers to one row are repeats: the row, not the answer, is what a comparison counts.

Order is no evidence: a sorted or shuffled log gives each row the answer to another. So a log
without ids and inputs is refused until the task file says `match: order`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any, NoReturn

from tuneworthy.records.case import Case, Query
from tuneworthy.records.counting import count_noun, with_verb
from tuneworthy.records.errors import DataError
from tuneworthy.records.task import Match
from tuneworthy.rows.bad_rows import RawRow
from tuneworthy.rows.copies import normalised_text
from tuneworthy.rows.order_fit import order_misfit, shifted_misfit
from tuneworthy.rows.rows import as_text, id_text, key_text

MOST_WITHOUT_ROW = 0.05
"""Largest share of a log's answers that `--bad-rows exclude` leaves out because nothing says which
row they belong to, unless `--max-bad` allows more."""
_SHOWN_PLACES = 3
_MOST_CHECKED = 5_000  # answers whose ids are compared with those of their neighbours
_LEAST_REPEATED = 3  # rows with several answers, from which these may be repeats without a number


@dataclass(frozen=True)
class LogRows:
    """The rows of a file of recorded answers, and how the user says to match them.

    `key` is the task-file key that says so (`present`, `answers.NAME`), "" for an option.
    `most_lost` is the largest share of answers that are left out because nothing says whose they
    are.
    """

    path: Path
    rows: Sequence[RawRow]
    match: Match | None = None
    key: str = "answers.NAME"
    most_lost: float = 0.0

    def setting(self, match: Match) -> str:
        """Return how the user says to match them so: by a key of the task file, or an option."""
        return f"`match: {match}` under `{self.key}`" if self.key else f"`--match {match}`"


@dataclass(frozen=True)
class MatchResult:
    """How answers match rows: the log's rows by case id, and the key that was used.

    A case has several rows where the same system was asked again. The other fields are places of
    answers: `other_inputs` have the id of a row and another input; `by_input` have no id, or one
    that no row has, and were matched by their input; `strangers` belong to no row; `lost` may
    belong to one, but nothing says to which.
    """

    rows: Mapping[str, Sequence[RawRow]]
    matched_by: Match
    other_inputs: tuple[str, ...] = ()
    by_input: tuple[str, ...] = ()
    strangers: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


def match_answers(
    log: LogRows, cases: Sequence[Case], others: Sequence[Case | Query] = ()
) -> MatchResult:
    """Return the rows of the log that answer each case; the log may also answer `others`.

    An id is that of a row, or its place (`train.jsonl:12`) where the row has no id of its own.
    Without `log.match`, an answer whose id is missing or unknown is matched by its input.

    Raises DataError if the match is unclear: no ids and no inputs; a duplicate id that is no
    repeat; ids of these rows with other inputs; one input of several rows with several answers; an
    order that does not fit.
    """
    if log.match == "order":
        return _by_order(log, cases)
    if log.match and any(_row_text(row, log.match) is None for row in log.rows):
        _refuse_missing_key(log, log.match)
    scored = {case.id for case in cases}
    known = [*_in_file_order(cases), *(other for other in others if other.id not in scored)]
    by_name = {getattr(case, "where", ""): case for case in known}
    by_name |= {key_text(case.id) or "": case for case in known} | {c.id: c for c in known}
    rows_of, rest, differ = defaultdict[str, list[RawRow]](list), list[RawRow](), list[str]()
    for row in log.rows:
        name = None if log.match == "input" else _row_text(row, "id")
        case = None if name is None else by_name.get(name) or by_name.get(key_text(name) or "")
        if case is None:
            rest.append(row)
            continue
        rows_of[case.id].append(row)
        text = _row_text(row, "input")
        if case.id in scored and text is not None and not _has_input(case, text):
            differ.append(row.where)
    if differ and log.match is None:
        _refuse_other_inputs(log, len(log.rows) - len(rest), differ)
    by_id = bool(rows_of)
    by_input, unclear = _by_input([] if log.match == "id" else rest, known, rows_of, scored)
    for case_id, rows in by_input.items():
        rows_of[case_id] += rows
    placed = {row.where for rows in by_input.values() for row in rows}
    left = [row for row in rest if row.where not in placed]
    lost = [row for row in left if row.where in unclear or (_row_text(row, "id") is None
            and (by_id or _row_text(row, "input") is None))]  # fmt: skip
    if len(lost) > log.most_lost * len(log.rows):
        _refuse_lost(log, cases, lost, unclear)
    answered = {case_id: rows for case_id, rows in rows_of.items() if case_id in scored}
    _refuse_doubled(answered)
    if log.match is None:
        _refuse_shifted_ids(log, answered, known)
    gone = {row.where for row in lost}
    return MatchResult(
        answered,
        log.match or ("id" if by_id or not by_input else "input"),
        tuple(differ),
        tuple(row.where for row in rest if by_id and row.where in placed),
        tuple(row.where for row in left if row.where not in gone),
        tuple(row.where for row in lost),
    )


def _row_text(row: RawRow, key: str) -> str | None:
    """Return the text of a row's `key` ("id" or "input"), None if it is missing or blank."""
    value = row.fields.get(key)
    if key == "id":
        return id_text(value)
    return value if isinstance(value, str) and value.strip() else None


def _refuse_lost(
    log: LogRows, cases: Sequence[Case], lost: Sequence[RawRow], unclear: Mapping[str, int]
) -> NoReturn:
    """Raise DataError for answers of which nothing says to which row they belong."""
    part = len(lost) / len(log.rows)
    more = f" --max-bad {ceil(100 * part)}%" * (part > MOST_WITHOUT_ROW)
    way = "" if log.key else f"; or leave them out: --bad-rows exclude{more}"
    if any(row.where in unclear for row in lost):
        alike = [row for row in lost if row.where in unclear]
        inputs = {unclear[row.where] for row in alike}
        raise DataError(
            "rows with one input have several recorded answers, and nothing says whose each is",
            where=", ".join(row.where for row in alike[:_SHOWN_PLACES]),
            got=f"{count_noun(len(inputs), 'input')} with {count_noun(len(alike), 'answer')}",
            fix='give these answers the "id" of their row, or keep one answer an input' + way,
        )
    fix = 'give every answer the "id" (or the "input") of its row'
    bare = [row for row in lost if _row_text(row, "input") is None]
    if len(lost) == len(log.rows) == len(cases):
        fix += f"; where answer k is that of row k, write {log.setting('order')}"
    got = f"{count_noun(len(log.rows), 'answer')}, {count_noun(len(cases), 'scored row')}"
    got += f"; {with_verb(len(bare), 'answer', 'have')} neither `id` nor `input`" * bool(bare)
    if len(lost) < len(log.rows):
        got = f"{len(lost):,} of {count_noun(len(log.rows), 'answer')} ({part:.1%}) have no `id`"
        got += " and no `input`" if bare else ", and no row has their input"
        fix += way
    raise DataError(
        "recorded answers can't be matched to the rows: nothing says which row each belongs to",
        where=lost[0].where, got=got, fix=fix,
    )  # fmt: skip


def _refuse_missing_key(log: LogRows, key: Match) -> NoReturn:
    bare = [row for row in log.rows if _row_text(row, key) is None]
    raise DataError(
        f"recorded answers without `{key}` can't be matched by it",
        where=bare[0].where,
        got=f"{len(bare):,} of {len(log.rows):,} answers have no `{key}`",
        fix=f"add it to each, or change {log.setting(key)}",
    )


def _refuse_doubled(rows_of: Mapping[str, Sequence[RawRow]]) -> None:
    """Raise DataError for a second answer to a row that is no repeat of the first.

    Each repeat has a number of its own or the input of the first; or most rows are answered
    several times (three at least), and no input says otherwise.
    """
    doubled = {name: rows for name, rows in rows_of.items() if len(rows) > 1}
    usual = len(doubled) >= max(_LEAST_REPEATED, len(rows_of) / 2)
    for name, (first, *again) in doubled.items():
        numbers, text = {str(first.fields.get("repeat"))}, _row_text(first, "input")
        for row in again:
            number, other = str(row.fields.get("repeat")), _row_text(row, "input")
            new, numbers = number not in numbers, numbers | {number}
            both = text is not None and other is not None
            alike = both and normalised_text(str(text)) == normalised_text(str(other))
            if not (new or alike or (usual and not both)):
                raise DataError(
                    "two recorded answers belong to one row",
                    where=f"{first.where} and {row.where}", got=name,
                    fix="keep one of them; if the system was asked again, write `repeat: 2` or the"
                    " `input`",
                )  # fmt: skip


def _refuse_other_inputs(log: LogRows, matched: int, differ: Sequence[str]) -> NoReturn:
    raise DataError(
        "recorded answers have the ids of these rows beside other inputs",
        where=", ".join(differ[:_SHOWN_PLACES]),
        got=f"{matched - len(differ):,} of {matched:,} have the input of the row with their id,"
        f" {len(differ):,} have another",
        fix=f"write {log.setting('input')} where the ids are those of other rows, or"
        f" {log.setting('id')} where the same inputs are only written another way",
    )


# By input.


def _input_texts(case: Case | Query) -> tuple[str, ...]:
    """Return the texts that a log may use as a row's input: its last user turn, or all turns."""
    whole = "\n".join(m.content for m in case.messages if m.role != "system")
    return (case.input,) if whole == case.input else (case.input, whole)


def _has_input(case: Case | Query, text: str) -> bool:
    return normalised_text(text) in map(normalised_text, _input_texts(case))


def _by_input(
    rows: Sequence[RawRow],
    known: Sequence[Case | Query],
    answered: Collection[str],
    scored: Collection[str],
) -> tuple[dict[str, list[RawRow]], dict[str, int]]:
    """Return ({case id: its rows}, {place of an answer that is unclear: number of its input}).

    An input counts as written, else with case, spaces and Unicode folded. If several cases share
    it, those that an id has `answered` come last. Nothing then identifies the answers: they are
    matched in the order of both files if that can change no score, else unclear.
    """
    exact, loose = defaultdict[str, list[RawRow]](list), defaultdict[str, list[RawRow]](list)
    for row in rows:
        if (text := _row_text(row, "input")) is not None:
            exact[text].append(row)
            loose[normalised_text(text)].append(row)
    groups: dict[tuple[str, ...], tuple[list[RawRow], list[Case | Query]]] = {}
    for case in known:
        alike = next((exact[text] for text in _input_texts(case) if text in exact), None)
        alike = alike or next(
            (r for t in _input_texts(case) if (r := loose.get(normalised_text(t)))), None
        )
        if alike:
            groups.setdefault(tuple(r.where for r in alike), (alike, []))[1].append(case)
    found: dict[str, list[RawRow]] = {}
    unclear: dict[str, int] = {}
    for number, (alike, cases) in enumerate(groups.values()):
        free = [case for case in cases if case.id not in answered] or cases
        if len(free) == 1:
            found[free[0].id] = alike
        elif any(case.id in scored for case in free) and _is_ambiguous(alike, free):
            unclear |= dict.fromkeys((row.where for row in alike), number)
        else:
            found |= {case.id: [alike[min(at, len(alike) - 1)]] for at, case in enumerate(free)}
    return found, unclear


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
    return MatchResult({case.id: [row] for row, case in both}, "order")


def _refuse_shifted_ids(
    log: LogRows, rows_of: Mapping[str, Sequence[RawRow]], known: Sequence[Case | Query]
) -> None:
    """Raise DataError where the ids count from another row: most answers fit a neighbour better."""
    pairs = [(_answer_text(rows_of[case.id][0]), case.output) for case in known
             if isinstance(case, Case) and case.id in rows_of and case.output
             and _row_text(rows_of[case.id][0], "input") is None]  # fmt: skip
    answered = [(said, right) for said, right in pairs if said][:_MOST_CHECKED]
    if said := shifted_misfit([said for said, _ in answered], [right for _, right in answered]):
        raise DataError(
            "recorded answers fit other rows better than those with their ids",
            where=log.path.name,
            got=said,
            fix='correct the ids (from 0 here, from 1 there?), or give every answer the "input" of '
            f"its row; where the ids are right, write {log.setting('id')}",
        )


def _refuse_ids_in_other_order(log: LogRows, both: Sequence[tuple[RawRow, Case]]) -> None:
    known = {case.id for _, case in both}
    named = [(row, case) for row, case in both if _row_text(row, "id") in known]
    other = [row for row, case in named if _row_text(row, "id") != case.id]
    if other:
        _refuse_order(log, "ids", len(named) - len(other), other, "id")


def _refuse_inputs_in_other_order(log: LogRows, both: Sequence[tuple[RawRow, Case]]) -> None:
    named = [
        (row, case, text) for row, case in both if (text := _row_text(row, "input")) is not None
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
