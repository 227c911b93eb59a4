"""Recognise the columns of a log of recorded answers, and read its records under our names.

A column that the user named wins, then the format of another tool (`tool_exports.py`), then the
usual names, then the values.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tuneworthy.records.errors import DataError
from tuneworthy.records.escape import quoted
from tuneworthy.rows.bad_rows import RawRow, ReadCount, RowFault
from tuneworthy.rows.column_roles import propose_roles
from tuneworthy.rows.measures import (
    MEASURE_NAMES,
    measured_columns,
    measured_values,
    unread_number,
)
from tuneworthy.rows.recognising import format_of
from tuneworthy.rows.rows import id_text, read_records
from tuneworthy.rows.table import Table, open_rows
from tuneworthy.rows.table_columns import (
    Choice,
    column_like,
    columns_of,
    has_letter,
    is_empty,
    is_id,
    is_id_name,
    is_key_name,
    raise_no_column,
    value_of,
)
from tuneworthy.rows.tool_exports import Export, UndecidedColumn, read_export

ANSWER_NAMES = ("answer", "output", "response", "prediction", "predicted", "pred", "completion",
                "generated", "generation", "reply", "model_output", "text_output",
                "prediction_text", "generated_text", "said", "antwort", "ausgabe",
                "vorhersage")  # fmt: skip
_REPEAT_NAMES = ("repeat", "repetition", "run", "epoch", "trial", "attempt", "iteration")
_ANSWER_KEYS = ("answer", "output")
_AMBIGUOUS_KEYS = {"output"}  # may be the right answer of a row as well as a system's answer
PROBABILITY_KEYS = ("probability", "scores")  # of an answer, and of labels
_KEPT_KEYS = ("seconds", "usd", "tokens_in", "tokens_out", "finish", "repeat", "input", "id")


@dataclass(frozen=True)
class LogRoles:
    """The columns of a log, "" for a role that no column has; `a.0.b` is a field inside.

    `measured` maps our name of a measured value to its column. `repeat` numbers the answers to one
    row. `rated`: `probability` and `scores` are those of the answers, as our own names say.
    """

    answer: str
    id: str = ""
    input: str = ""
    measured: Mapping[str, str] = field(default_factory=dict)
    repeat: str = ""
    rated: bool = False

    def renamed(
        self, records: Iterable[RawRow | RowFault], cells: bool, option: str = ""
    ) -> Iterator[RawRow | RowFault]:
        """Yield each record under our names, or its fault; a missing answer is one.

        `cells`: the records are of a table, where an empty cell is an answer that did not come.
        `option` names another column.
        """
        kept = (*_KEPT_KEYS, *PROBABILITY_KEYS * self.rated)
        for record in records:
            if isinstance(record, RowFault):
                yield record
                continue
            own, answer = record.fields, value_of(record.fields, self.answer)
            if not cells and self.answer.partition(".")[0] not in own:
                yield self._missing_answer(record, option)
                continue
            fields = {key: own[key] for key in kept if key in own}
            fields["answer"] = None if is_empty(answer) else answer
            if (name := id_text(value_of(own, self.id))) is not None:
                fields["id"] = name
            if (number := value_of(own, self.repeat)) is not None:
                fields["repeat"] = number
            if (asked := value_of(own, self.input)) is not None:
                fields["input"] = asked
            ours = {key: key for key in MEASURE_NAMES if cells and key in own}  # numbers as text
            measured = {**ours, **self.measured}
            yield unread_number(record, measured) or RawRow(
                record.where, fields | measured_values(own, measured)
            )

    def _missing_answer(self, record: RawRow, option: str) -> RowFault:
        name = quoted(self.answer, 40)
        fix = f'write "{name}": null where the system gave none (it counts as wrong)'
        fix += f", or name another column: {option}" * bool(option)
        return RowFault(record.where, f"the log's answers stand in `{name}`, which is missing here",
                        ", ".join(sorted(record.fields)), fix)  # fmt: skip


def answer_column(
    table: Table, free: Sequence[str], names: Sequence[str] = ANSWER_NAMES, alone: bool = True,
    ask: str = "",
) -> str:  # fmt: skip
    """Return the column of a log's answers, "" if none of the free columns is known to be.

    It has one of the names, else (`alone`) it is the only text, or the only one with letters.
    `ask` names the option that decides: DataError where several have an answer's name.
    """
    lowered = {name.lower(): name for name in reversed(free)}
    by_name = [lowered[name] for name in names if name in lowered]
    if ask and len(set(by_name) & {lowered.get(name) for name in ANSWER_NAMES}) > 1:
        raise UndecidedColumn("several columns of a log may be its answers",
                              where=table.path.name, got=", ".join(by_name),
                              fix=f"name it: {ask}")  # fmt: skip
    if by_name:
        return by_name[0]
    left = {*measured_columns(free).values()} | set(filter(is_key_name, free))
    texts = {name: found for name in free if name not in left
             if 2 * len(found := [value for row in table.head
                                  if isinstance(value := row.get(name), str)]) > len(table.head)
             }  # fmt: skip
    if len(texts) > 1:
        texts = {name: found for name, found in texts.items() if any(map(has_letter, found))}
    return next(iter(texts)) if alone and len(texts) == 1 else ""


def repeat_column(columns: Sequence[str]) -> str:
    """Return the column that numbers the answers to one row, "" if there is none."""
    lowered = {name.lower(): name for name in reversed(columns)}
    return next((lowered[name] for name in _REPEAT_NAMES if name in lowered), "")


# Logs for a task file.


@dataclass(frozen=True)
class AnswerLog:
    """A file of recorded answers; `as_it_is`: it has our names, so a task can name it.

    `table` is None for a file that does not exist, or has no column that is known. `export`: it is
    that of another tool.
    """

    path: Path
    table: Table | None = None
    roles: LogRoles = LogRoles("answer")
    as_it_is: bool = False
    export: Export | None = None

    def summary(self) -> str:
        """Return a sentence on the columns that are read."""
        if self.export is not None:
            return f"{self.path.name}: {self.export.format}"
        own = self.roles
        named = {"answer": own.answer, **own.measured, "id": own.id, "input": own.input}
        taken = ", ".join(f"{role} `{name}`" for role, name in named.items() if name)
        lacks = "" if own.id or own.input else (
            "; it has neither an id nor an input, so nothing says which row an answer belongs to:"
            " call its ids `id`, or write `match: order` where each row has its answer, in order"
        )  # fmt: skip
        return f"{self.path.name}: {taken}{lacks}"

    def records(self) -> Iterator[RawRow | RowFault]:
        """Return the records under our field names, and the faults."""
        if self.table is None:
            return read_records(self.path, self.path.name)
        rows = self.table.rows() if self.export is None else self.export.records
        return self.roles.renamed(rows, self.table.has_cells)

    def lines(self, most_unread: float) -> Iterator[str]:
        """Yield the answers under our field names, one JSON object a line.

        Unreadable records are left out. Raises DataError for more than `most_unread` of them, or
        where the file breaks.
        """
        count = ReadCount()
        for row in self.records():
            count.add(row if isinstance(row, RowFault) else None)
            if isinstance(row, RawRow):
                yield json.dumps(row.fields, ensure_ascii=False) + "\n"
        count.check(most_unread, "--max-bad")


def find_answer_log(place: str, choice: Choice) -> AnswerLog:
    """Return a file of recorded answers and its roles; `place` is FILE or FILE:COLUMN.

    Of another tool's export with several systems the column is the name of one.

    Raises DataError where no column looks like answers, TaskError for a column that is not there.
    """
    path, column = Path(place), ""
    if not path.is_file():
        head, _, tail = place.rpartition(":")
        path, column = (Path(head), tail) if head and Path(head).is_file() else (path, "")
    if not path.is_file():
        return AnswerLog(path, as_it_is=True)  # the draft says that there is no such file
    table = open_rows(path)
    ask = f"--answers NAME={path.name}:{{}}"
    if export := read_export(path, {column}, system=column, ask=ask):
        roles = LogRoles("answer", "id", "input", repeat="repeat")
        return AnswerLog(path, export.table, roles, export=export)
    columns = columns_of(table.head)
    column = column_like(column, columns)
    said = next((name for name in _ANSWER_KEYS if name in columns), "")
    measured = measured_columns(columns)
    ours = {*_ANSWER_KEYS, *_KEPT_KEYS, *PROBABILITY_KEYS}
    keyed = bool({"id", "input"} & set(columns)) or not {*table.columns} - ours
    usual = said and column in ("", said) and not measured and keyed
    usual = usual and table.is_plain
    usual = usual and (said == "answer" or len(set(columns) & set(ANSWER_NAMES)) == 1)
    if not table.head:
        return AnswerLog(path, as_it_is=True)
    if usual:
        key, asked = (name if name in columns else "" for name in ("id", "input"))
        roles = LogRoles(said, key, asked, repeat=repeat_column(columns), rated=True)
        return AnswerLog(path, table, roles, as_it_is=True)
    if column and column not in columns:
        raise_no_column(column, columns)
    ids = _id_columns(table, columns)
    option = f"--answers NAME={path.name}:COLUMN, or call it `answer`"
    answer = column or answer_column(table, [*table.columns], alone=bool(ids), ask=option)
    if not answer:
        raise DataError(
            "no column of these recorded answers is called `answer`", where=path.name,
            got=", ".join(columns)[:180], fix=f"name it: {option}",
        )  # fmt: skip
    others = [name for name in columns if name != answer]
    own = column_like("id", others)
    keys = [name for name in ids if name in others]
    keys = [name for name in keys if is_key_name(name)] or keys
    if len(keys) > 1 and own not in others:
        raise UndecidedColumn(
            "several columns of these recorded answers may be the ids of the rows",
            where=path.name, got=", ".join(keys)[:180],
            fix="call the one that has the ids of your rows `id`",
        )  # fmt: skip
    own = own if own in others else next(iter(keys), "")
    asked = "input" if "input" in others else _likely_input(table, choice, answer)
    again = repeat_column(columns)
    return AnswerLog(path, table, LogRoles(answer, own, asked, measured, repeat=again))


def _id_columns(table: Table, columns: Sequence[str]) -> list[str]:
    """Return the columns of ids: those unique in each row, else those of an id's name with gaps.

    Ids repeat where a row was answered several times, and a few records may lack theirs.
    """
    values = {name: [row.get(name) for row in table.head] for name in columns}
    if unique := [name for name, found in values.items() if is_id(name, found)]:
        return unique
    words = {name: [str(one) for one in found if isinstance(one, str | int)]
             for name, found in values.items() if is_id_name(name)}  # fmt: skip
    return [name for name, found in words.items() if 2 * len(found) > len(table.head)
            and len(set(found)) > 1 and all(len(one.split()) == 1 for one in found)]  # fmt: skip


def _likely_input(table: Table, choice: Choice, answer: str) -> str:
    """Return the column of inputs: the one that the user named, else the likeliest, else ""."""
    asked = column_like(choice.input, columns_of(table.head))
    if asked and any(asked in row for row in table.head):
        return asked
    roles = propose_roles(table.head, Choice(output=answer))
    if isinstance(roles, str):
        return ""
    texts = [row for row in table.head if isinstance(value_of(row, roles.input), str)]
    return roles.input if 2 * len(texts) > len(table.head) else ""  # numbers are no inputs


def is_answers_only(path: Path) -> bool:
    """Return whether a file is a log of answers by id: it has no inputs, so it has no rows.

    Raises DataError for a file that can't be read.
    """
    table = open_rows(path)
    found = format_of(table, Choice(), several=True)
    if table.at or (found and found.format):
        return bool(found and found.format and not found.format.has_inputs)
    columns = columns_of(table.head)
    values = {name: [row[name] for row in table.head if name in row] for name in table.columns}
    if not any(is_id(name, found) for name, found in values.items()):
        return False
    free = [name for name in columns if name not in _AMBIGUOUS_KEYS]
    if named := answer_column(table, free, alone=False):
        return isinstance(propose_roles(table.head, Choice(output=named)), str)
    left = {*measured_columns(columns).values()}
    inner = any(isinstance(one, list | dict) for name, found in values.items()
                if name not in left for one in found)  # fmt: skip
    return not inner and len(free) == len(columns) and bool(answer_column(table, table.columns))
