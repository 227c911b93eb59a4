"""Recorded answers of another system, aligned to cases: by id, else by input, else by order."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tuneworthy.core.answer import Answer
from tuneworthy.core.case import Case, Query
from tuneworthy.core.errors import DataError
from tuneworthy.core.units import counted
from tuneworthy.data.jsonl import read_jsonl
from tuneworthy.data.lines import opened
from tuneworthy.data.raw import Fault, Raw

NONE = "no recorded answer"
NULL = "the recorded answer is null"
FINISH = ("stop", "length", "error")
# A month of work and a million dollars for one answer: beyond is a unit or a typing error, and
# one such number would rule every mean of its arm.
MOST = {"seconds": 2.7e6, "usd": 1e6, "tokens_in": 10**9, "tokens_out": 10**9}


@dataclass(frozen=True)
class Aligned:
    """One answer a case, in their order, and the places (file:line) of answers to no row."""

    answers: tuple[Answer, ...]
    strangers: tuple[str, ...] = ()


def read_answers(path: Path, cases: Sequence[Case]) -> list[Answer]:
    """Return one answer a case, in order; a case without one gets an Answer with `error`.

    Raises what `align` does.
    """
    return [*align(path, cases).answers]


def align(path: Path, cases: Sequence[Case], others: Sequence[Case | Query] = ()) -> Aligned:
    """Read the answers to `cases`; an answer to one of the `others` is no stranger.

    Rows are {"id", "answer", "seconds"?, "usd"?, "tokens_in"?, "tokens_out"?, "finish"?}. Without
    ids they are matched by `input`; without either by order, where the counts agree. Raises
    DataError for a bad row, a number that can't be (see MOST), an id given twice, or a file that
    matches no case.
    """
    rows = _rows(path)
    found, key = _matched(path, rows, cases)
    if rows and not found:
        raise DataError(
            "no recorded answer belongs to a row of this task",
            where=str(path),
            got=_first(rows[0]),
            fix='give each row the "id" (or the "input") of the row it answers',
        )
    missing = [Answer(case=case.id, text="", finish="error", error=NONE) for case in cases]
    answers = [found.get(case.id, none) for case, none in zip(cases, missing, strict=True)]
    known = {one.id if key == "id" else one.input for one in (*cases, *others)} if key else set()
    strange = [row.where for row in rows if key and str(row.fields[key]) not in known]
    return Aligned(tuple(answers), tuple(strange))


def _rows(path: Path) -> list[Raw]:
    shown = path.name
    rows: list[Raw] = []
    for row in read_jsonl(path, shown, opened(path, shown)):
        if isinstance(row, Fault):
            raise DataError(row.why, where=row.place(), got=row.got, fix=row.fix)
        if not {"answer", "output"} & set(row.fields):
            raise DataError(
                "a recorded answer has no `answer`",
                where=row.where,
                got=", ".join(sorted(row.fields)),
                fix='write {"id": ..., "answer": ...}, one object a line',
            )
        _check_fields(row)
        rows.append(row)
    return rows


def _check_fields(row: Raw) -> None:
    """Refuse seconds, dollars, tokens and finishes that can't be, also of rows matched to none."""
    for key, most in MOST.items():
        whole, value = key.startswith("tokens"), row.fields.get(key)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            what, kind = f"`{key}` is no number", "a whole number" if whole else "a number"
            fix = f"write {kind} without quotes, or leave `{key}` out where it was not measured"
        elif value < 0:
            what, fix = f"`{key}` is below 0", f"leave `{key}` out where it was not measured"
        elif value > most:
            what, fix = f"`{key}` is too large", f"write at most {most:,.0f} for one answer"
        else:
            continue
        raise _wrong_field(row, key, f"in a recorded answer {what}", fix)
    if row.fields.get("finish") not in (None, *FINISH):
        fix = f"write one of {', '.join(FINISH)}, or leave it out"
        raise _wrong_field(row, "finish", "in a recorded answer `finish` is not known", fix)


def _wrong_field(row: Raw, key: str, what: str, fix: str) -> DataError:
    got = json.dumps(row.fields[key], ensure_ascii=False)
    return DataError(what, where=f"{row.where} {key}", got=got, fix=fix)


def _first(row: Raw) -> str:
    key = "id" if row.fields.get("id") is not None else "input"
    return f"first {key}: {row.fields.get(key)}"


def _matched(
    path: Path, rows: Sequence[Raw], cases: Sequence[Case]
) -> tuple[dict[str, Answer], str]:
    """Return the answers by case id, and the key that matched them ("" where their order did)."""
    by_id = all("id" in row.fields for row in rows)
    by_input = all("input" in row.fields for row in rows)
    if by_id and (found := _by_id(rows, {case.id: case for case in cases})):
        return found, "id"
    if by_input:
        return _by_input(rows, cases), "input"
    if by_id:
        return {}, "id"
    if len(rows) == len(cases):
        return {c.id: _answer(r, c) for r, c in zip(rows, _as_written(cases), strict=True)}, ""
    raise DataError(
        "recorded answers can't be matched to the rows",
        where=path.name,
        got=f"{counted(len(rows), 'answer')} without ids, {counted(len(cases), 'scored row')}",
        fix='give every answer the "id" (or the "input") of its row',
    )


def _as_written(cases: Sequence[Case]) -> list[Case]:
    """Return cases in the order of their file: `where` is file:line."""

    def place(case: Case) -> tuple[str, int]:
        name, _, line = case.where.partition(":")
        return name, int(line.partition(":")[0] or 0)

    return sorted(cases, key=place)


def _by_id(rows: Sequence[Raw], cases: Mapping[str, Case]) -> dict[str, Answer]:
    found: dict[str, Answer] = {}
    first: dict[str, str] = {}
    for row in rows:
        name = str(row.fields["id"])
        if name in first:
            raise DataError(
                "two recorded answers belong to one row",
                where=f"{first[name]} and {row.where}",
                got=name,
                fix="keep one of them",
            )
        first[name] = row.where
        if case := cases.get(name):
            found[case.id] = _answer(row, case)
    return found


def _by_input(rows: Sequence[Raw], cases: Sequence[Case]) -> dict[str, Answer]:
    """Match by input; where an input occurs more than once, in the order of both files."""
    given: dict[str, list[Raw]] = defaultdict(list)
    for row in rows:
        given[str(row.fields["input"])].append(row)
    found, used = {}, Counter[str]()
    for case in _as_written(cases):
        if same := given.get(case.input):
            found[case.id] = _answer(same[min(used[case.input], len(same) - 1)], case)
            used[case.input] += 1
    return found


def _answer(row: Raw, case: Case) -> Answer:
    value = row.fields.get("answer", row.fields.get("output"))
    if value is None:
        return Answer(case=case.id, text="", finish="error", error=NULL)
    plain = {key: row.fields[key] for key in (*MOST, "finish") if row.fields.get(key) is not None}
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return Answer(case=case.id, text=text, **plain)
