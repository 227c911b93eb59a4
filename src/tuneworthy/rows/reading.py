"""Read one file of rows into cases with stable ids, in bounded memory; faults go to BadRows."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tuneworthy.records.case import Case
from tuneworthy.records.escape import quoted
from tuneworthy.rows.bad_rows import ROW_FIELDS, BadRows, RawRow, RowFault
from tuneworthy.rows.docs import Doc
from tuneworthy.rows.lines import check_text_file
from tuneworthy.rows.rows import lacks_answer, read_rows, to_case

_KNOWN_FIELDS = frozenset(ROW_FIELDS)
_ROWS_PER_CHECK = 1000  # rows between two checks of the clock
_SPARE_ROWS = 20_000  # rows buffered above the sample size, so that a cut is rare


@dataclass
class FileRows:
    """The rows kept of one file, and its reading statistics.

    `rows` counts all rows, `not_drawn` those left out by sampling, `unread` fields that no row has.
    `marked`: the file starts with a byte order mark. `scalar_answers` maps the place of a row whose
    answer is a bare number or true/false to that type.
    """

    name: str
    cases: list[Case] = field(default_factory=list)
    rows: int = 0
    not_drawn: int = 0
    scalar_answers: dict[str, str] = field(default_factory=dict)
    unread: Counter[str] = field(default_factory=Counter)
    marked: bool = False


@dataclass(frozen=True, slots=True)
class _DrawnRow:
    rank: tuple[bytes, int]  # by the seeded hash; for equal ids by the order of the file
    case: Case
    id_kind: str
    scalar: str


@dataclass(frozen=True)
class SampleSpec:
    """How a file is sampled: the most rows to keep, and the seed of the draw.

    `on_rows(name, rows)` is called every 1,000 rows while a file is read.
    """

    most_rows: int
    seed: int
    on_rows: Callable[[str, int], None] = lambda name, rows: None


class ReadingProgress:
    """Reports how many rows of a file were read, at most every few seconds."""

    def __init__(self, say: Callable[[str], None], every: float = 3.0) -> None:
        self._say, self._every, self._last = say, every, time.monotonic()

    def __call__(self, name: str, rows: int) -> None:
        """Report the progress if the interval has passed."""
        now = time.monotonic()
        if now - self._last >= self._every:
            self._last = now
            self._say(f"{quoted(name, 60)}: {rows:,} rows read")


def read_file(
    path: Path,
    name: str,
    bad: BadRows,
    draw: SampleSpec,
    rows: Iterable[RawRow | RowFault] | None = None,
    *,
    answered: bool = True,
) -> FileRows:
    """Return the rows kept of a file: all, or a sample of `draw.most_rows` if it has more.

    The sample is chosen by a seeded hash of the row's id or content, so it does not depend on the
    order. `rows` are those of the file where they were read already.
    """
    kept = FileRows(name)
    if rows is None:
        kept.marked, rows = bool(check_text_file(path, name)), read_rows(path, name)
    drawn: list[_DrawnRow] = []
    last: tuple[bytes, int] | None = None  # the highest rank kept by the last cut
    for raw in rows:
        kept.rows += 1
        if kept.rows % _ROWS_PER_CHECK == 0:
            draw.on_rows(name, kept.rows)
        if isinstance(raw, RowFault):
            bad.add(raw)
            continue
        case = to_case(raw, answered=answered)
        if isinstance(case, RowFault):
            bad.add(case)
            continue
        for key in raw.fields.keys() - _KNOWN_FIELDS:
            kept.unread[key] += 1
        rank = seeded_hash(draw.seed, case.id), kept.rows
        if last is not None and rank > last:
            kept.not_drawn += 1
            continue
        drawn.append(_DrawnRow(rank, case, *_value_types(raw)))
        if len(drawn) >= draw.most_rows + _SPARE_ROWS:
            kept.not_drawn += _drop_highest_ranks(drawn, draw.most_rows)
            last = drawn[-1].rank
    kept.not_drawn += _drop_highest_ranks(drawn, draw.most_rows)
    drawn.sort(key=lambda row: row.rank[1])
    _add_named_cases(kept, drawn, bad)
    return kept


def lacks_answers(path: Path, name: str) -> bool:
    """Return whether no row of a file has a right answer; reads up to the first that has one."""
    check_text_file(path, name)
    return all(isinstance(row, RowFault) or lacks_answer(row) for row in read_rows(path, name))


def seeded_hash(seed: int, name: str) -> bytes:
    """Return a hash of a seed and a name: the sort key of a seeded random order."""
    return hashlib.sha256(f"{seed}:{name}".encode("utf-8", "replace")).digest()


def _drop_highest_ranks(drawn: list[_DrawnRow], keep: int) -> int:
    """Keep the first `keep` rows by rank, sorted; return the number removed."""
    if len(drawn) <= keep:
        return 0
    drawn.sort(key=lambda row: row.rank)
    gone = len(drawn) - keep
    del drawn[keep:]
    return gone


def _value_types(raw: RawRow) -> tuple[str, str]:
    """Return the type names of a row's own id and of an answer that is no text, list or object."""
    own, answer = raw.fields.get("id"), raw.fields.get("output")
    bare = answer is not None and not isinstance(answer, str | dict | list)
    return ("" if own in (None, "") else type(own).__name__), type(answer).__name__ * bare


def _add_named_cases(kept: FileRows, drawn: Sequence[_DrawnRow], bad: BadRows) -> None:
    """Add the drawn cases to `kept` with unique ids; duplicate or mixed-type ids go to `bad`."""
    kinds = Counter(row.id_kind for row in drawn if row.id_kind)
    usual = max(sorted(kinds), key=lambda kind: kinds[kind], default="")
    own: dict[str, str] = {}
    times: Counter[str] = Counter()
    for row in drawn:
        case = row.case
        if row.id_kind and (fault := _id_fault(row, usual, own)):
            bad.add(fault)
            continue
        if row.id_kind:
            own[case.id] = case.where
        else:
            times[case.id] += 1
            if times[case.id] > 1:
                case = case.model_copy(update={"id": f"{case.id}-{times[case.id]}"})
        if row.scalar:
            kept.scalar_answers[case.where] = row.scalar
        kept.cases.append(case)


def _id_fault(row: _DrawnRow, usual: str, own: dict[str, str]) -> RowFault | None:
    case = row.case
    if row.id_kind != usual:
        fix = f"write every id as {'text' if usual == 'str' else 'a whole number'}"
        return RowFault(case.where, "ids of mixed type", case.id, fix, "id", case.id)
    if case.id in own:
        fix = "give each row an id of its own"
        return RowFault(case.where, "duplicate id", f"first at {own[case.id]}", fix, "id", case.id)
    return None


def with_contexts(cases: Iterable[Case], docs: Sequence[Doc], bad: BadRows) -> list[Case]:
    """Return the cases with the text of the document that `context` or `meta.doc_id` names.

    A row that names a missing document is bad; without documents an id in `meta` is ignored. A
    document without text is no passage: its rows have none.
    """
    texts = {doc.id: doc.text if doc.text.strip() else None for doc in docs}
    out = []
    for case in cases:
        name = case.meta.get("doc_id")
        if case.context is not None or name is None or not docs:
            out.append(case)
        elif str(name) in texts:
            out.append(case.model_copy(update={"context": texts[str(name)]}))
        else:
            fix = "correct the id, or add the document to the docs file"
            why = "no document has this id"
            bad.add(RowFault(case.where, why, str(name), fix, "context", case.id))
    return out
