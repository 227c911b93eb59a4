"""Import the user's files: recognise each by its content and write its rows and answers.

A file in this project's own form is used as it is. From others a file of rows is written beside
the task file, and a file of answers for each system; the user's files are never changed.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

from tuneworthy.records.counting import count_noun
from tuneworthy.records.errors import DataError
from tuneworthy.records.escape import quoted
from tuneworthy.records.plugins import catalogue
from tuneworthy.rows.bad_rows import MOST_UNREAD, ImportedRow, RawRow, RowFault
from tuneworthy.rows.column_roles import Roles, answers_of, row_of
from tuneworthy.rows.draft import DraftFacts
from tuneworthy.rows.import_files import NO_ANSWER, ImportFiles
from tuneworthy.rows.import_lines import (
    dependence_sentences,
    import_report_lines,
    read_in_place_lines,
    system_prompt_line,
)
from tuneworthy.rows.recognising import (
    AskForColumns,
    RecognisedFile,
    foreign_rows,
    recognise,
    with_one_gold_file,
)
from tuneworthy.rows.table_columns import Choice, part_of, raise_no_column, system_name


@dataclass(frozen=True)
class ImportOptions:
    """How files are read: `choice` has the columns that the user named, `ask` asks for others.

    `most_unread` is the largest share of records that may be left out because they can't be read.
    `replace`: files that an earlier import wrote are replaced, but none of `keep`. `docs`: the
    documents that answers are looked up in.
    """

    choice: Choice
    ask: AskForColumns | None = None
    most_unread: float = MOST_UNREAD
    replace: bool = True
    keep: tuple[Path, ...] = ()
    docs: Path | None = None


@dataclass(frozen=True)
class Imported(DraftFacts):
    """The imported files: `rows`, the `answers` of each system, and the lines that are printed.

    `rows` is the first of the `parts` where the rows are apart.
    """

    rows: Path = Path()
    answers: Mapping[str, Path] = field(default_factory=dict)
    printed_lines: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """Return all files of rows."""
        return tuple(self.parts.values()) or (self.rows,)


def import_rows(files: Sequence[Path], options: ImportOptions, folder: Path, stem: str) -> Imported:
    """Write the rows and answers of the files into `folder`, if they need it; return the result.

    Files are named `STEM.rows.jsonl` and `STEM.SYSTEM.jsonl`. Records of several files with the
    same input become one row. Raises DataError if no row has a right answer, or if more than
    `options.most_unread` of the records (and more than one) can't be read.
    """
    choice, ask = options.choice, options.ask
    if len(files) == 1 and not files[0].exists():
        return Imported(rows=files[0])
    sources = _recognised_sources(files, choice, ask)
    single = sources[0] if len(sources) == 1 else None
    if single and single.own and single.format is None:
        said = read_in_place_lines(single) if single.roles else ()
        tied = dependence_sentences(sources)
        return Imported(rows=single.path, printed_lines=said, dependence=tied)
    made = ImportFiles(folder, stem, merge=single is None, right=choice.output,
                       keep=(*files, *options.keep) if options.replace else None)  # fmt: skip
    try:
        for source in sorted(sources, key=_has_right_answers):
            for where, row in _imported_rows(source, made):
                made.add(where, row)
        if made.rows:
            made.read.check(options.most_unread, "--max-bad")
        if len(sources) > 1 and not made.shared:
            made.remarks.append("  no input stands in two of these files: no rows were matched")
        as_it_is = single and single.own and not (made.left or made.remarks)
        keep = made.rows > 0 and not as_it_is
        written = made.finish(keep)
    except BaseException:
        made.finish(False)
        raise
    if single and single.own and not keep:
        said = (*read_in_place_lines(single), system_prompt_line(made)) if made.rows else ()
        return Imported(rows=single.path, printed_lines=said, count=made.rows,
                        dependence=dependence_sentences(sources))  # fmt: skip
    if not made.rows:
        _refuse_without_rows(sources, made)
    return _import_result(sources, made, written, choice)


def with_source_places(where: str, rows: Path) -> str:
    """Return a message with places in the written rows replaced by those in the user's file.

    A row that was made of `tickets.csv:14` has this place, or an id of its own, as its id.
    """
    if not rows.is_file() or f"{rows.name}:" not in where:
        return where
    lines = rows.read_text("utf-8").split("\n")

    def source(found: re.Match[str]) -> str:
        number = int(found[1])
        row = lines[number - 1] if 0 < number < len(lines) else "{}"
        own = str(json.loads(row).get("id", found[0]))
        return own if ":" in own else f"row {own}"

    return re.sub(re.escape(rows.name) + r":(\d+)(:\d+)?", source, where)


def _recognised_sources(
    files: Sequence[Path], choice: Choice, ask: AskForColumns | None
) -> list[RecognisedFile]:
    """Return each file as recognised; of several tables one keeps its right answers.

    Raises TaskError for a named column that is in no file.
    """
    if len(files) == 1:
        return [recognise(files[0], choice, ask)]
    found = [recognise(path, choice, ask, several=True) for path in files]
    columns = list(dict.fromkeys(name for one in found for name in one.columns))
    systems = any(one.format is not None for one in found)  # whose name --output may be
    for name in choice.in_file_spelling(columns).columns:
        if name not in columns and not (systems and name == choice.output):
            raise_no_column(name, columns)
    return _with_distinct_systems(with_one_gold_file(found))


def _with_distinct_systems(sources: list[RecognisedFile]) -> list[RecognisedFile]:
    """Return the sources; if several call a system `present`, it gets its file's name instead."""
    present = [one for one in sources if one.roles and set(one.roles.systems) == {"present"}]
    if len(present) < 2:
        return sources
    return [
        replace(one, roles=replace(one.roles, systems={
            system_name(one.path.stem): one.roles.systems["present"]}))
        if one in present and one.roles else one
        for one in sources
    ]  # fmt: skip


def _has_right_answers(source: RecognisedFile) -> bool:
    """Return whether a file is a table of right answers.

    It is read last, so that its rows find the system prompts of the other files.
    """
    return bool(source.roles and source.roles.output)


def _imported_rows(source: RecognisedFile, made: ImportFiles) -> Iterator[tuple[str, ImportedRow]]:
    """Yield (place, row) for each row of a file; count the other records in `made`."""
    notes: dict[str, Any] = {"path": source.path}
    roles = source.roles
    elsewhere: Counter[str] = Counter()
    if source.format and roles is None:
        yield from foreign_rows(source, notes, made.count_lost)
    for record in source.table.records() if roles else ():
        if isinstance(record, RowFault):
            made.count_lost(record.why, record.where, record)
        elif record.at != source.at or roles is None:
            elsewhere[".".join(map(str, record.at))] += 1
        elif _has_other_shape(source, roles, record):
            keys = ", ".join(f"`{key[:20]}`" for key in list(record.fields)[:4])
            why = f"another shape than most: {keys or 'no fields'}"
            made.count_lost(why, record.where)
        else:
            yield from _imported_table_row(record, roles, made, source.table.has_cells)
    if told := notes.get("told"):
        names = ", ".join(f"`{name}`" for name in sorted(told))
        made.remarks.append(f"  not the input {names}: it tells the right answer")
    if remark := notes.get("remark"):
        made.remarks.append(f"  {remark}")
    for place, count in elsewhere.items():
        if count and place:
            made.remarks.append(f"  not read: {count_noun(count, 'record')} of the list `{place}`")
    made.metrics.append(notes.get("metric"))


def _imported_table_row(
    record: RawRow, roles: Roles, made: ImportFiles, cells: bool
) -> Iterator[tuple[str, ImportedRow]]:
    """Yield (place, row) of a table's record, with its part (train, test, dev) if it has one."""
    part = part_of(record.fields.get(roles.split)) if roles.split else ""
    if roles.split and not part:
        got = quoted(str(record.fields.get(roles.split, "")), 40)
        made.count_lost(f"neither train, test nor dev under `{roles.split}`: `{got}`", record.where)
        return
    fields, answers = row_of(record.fields, roles), answers_of(record.fields, roles, cells)
    yield record.where, ImportedRow(fields, answers, part=part)


def _has_other_shape(source: RecognisedFile, roles: Roles, record: RawRow) -> bool:
    """Return whether a record has neither the input nor the answer column of the others.

    False for a table, whose records lack the columns of empty cells.
    """
    if source.table.has_cells:
        return False
    mine = {name.partition(".")[0] for name in (*roles.inputs, roles.output)}
    return not mine & record.fields.keys()


def _import_result(
    sources: Sequence[RecognisedFile], made: ImportFiles, written: Sequence[Path], choice: Choice
) -> Imported:
    systems = {name: made.answers_file(name) for name in made.answers
               if made.answers_file(name) in written}  # fmt: skip
    present = choice.present if choice.present in systems else None
    if present is None and len(systems) == 1 and not choice.answers:
        present = next(iter(systems))
    answers = {"present" if name == present else _name_of_system(made.name_of(name), present): path
               for name, path in systems.items()}  # fmt: skip
    said = [*import_report_lines(sources, made, dict(zip(systems, answers, strict=True)))]
    for why, count in made.left.most_common():
        said.append(f"left out {count_noun(count, 'record')}: {why} (first {made.left_at[why]})")
    said.append(f"wrote {', '.join(path.name for path in written)}")
    said.append("your own files are as they were")
    parts = _checked_parts(made, choice)
    return Imported(
        made_of=", ".join(source.path.name for source in sources),
        count=made.rows,
        metric=made.metrics[0] if len(set(made.metrics)) == 1 else None,
        first_answers=made.said,
        parts=parts,
        scored=made.parts["test"],
        dependence=dependence_sentences(sources),
        rows=next(iter(parts.values()), made.rows_file()),
        answers=answers,
        printed_lines=tuple(quoted(one, 300) for one in said),
    )


def _checked_parts(made: ImportFiles, choice: Choice) -> dict[str, Path]:
    """Return each part's file of rows, {} for rows without parts; dev is scored without a test.

    Raises DataError, and deletes the files, if there are no rows to learn from or none to score.
    """
    parts = made.part_files()
    if not parts or {"train", "test"} <= parts.keys():
        return parts
    if parts.keys() == {"train", "dev"}:
        made.parts["test"] = made.parts["dev"]
        return {"train": parts["train"], "test": parts["dev"]}
    for path in parts.values():
        path.unlink(missing_ok=True)
    raise DataError(
        "the split has no rows to learn from, or none to score", where=choice.split or "",
        got=", ".join(parts), kept="",
        fix="leave --split out: each row is then scored once, by an arm that never saw it",
    )  # fmt: skip


def _name_of_system(plain: str, present: str | None) -> str:
    """Return a system's name in the task file; with `-answers` if a kind of arm has that name.

    `present` itself stays, unless another system runs today.
    """
    free = plain == "present" and present is None
    return f"{plain}-answers" if plain in catalogue("arms") and not free else plain


def _refuse_without_rows(sources: Sequence[RecognisedFile], made: ImportFiles) -> NoReturn:
    """Raise DataError that says why no record became a row."""
    why = "; ".join(f"{count:,} × {why} (first {made.left_at[why]})"
                    for why, count in made.left.most_common(3))  # fmt: skip
    files = [one.path for one in sources]
    fix = "correct the records, or name the columns: --input COL --output COL"
    if not any(one.format is None or one.format.has_inputs for one in sources):
        fix = f"give the file of rows first: tuneworthy init ROWS --answers NAME={files[0].name}"
    if made.left.get(NO_ANSWER):
        who = ", ".join(f"`{name}`" for name in made.rowless) or "nobody"
        fix = (
            f"add a file that has them: tuneworthy init {files[0].name} GOLD (rows are matched by"
            f" input). Answers are there from {who}: where one is right, name it: --output NAME"
        )
    raise DataError("no record of these files is a row with a right answer",
                    where=[path.name for path in files], got=why or "no record",
                    fix=fix)  # fmt: skip
