"""Read what people have: recognise a file by its content, and make rows and answers of it.

A file in this project's own form is left as it is. Of any other one a file of rows is written
beside the task file, and one file of answers a system; the user's files are never changed.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

from tuneworthy.core.counting import count_noun
from tuneworthy.core.errors import DataError
from tuneworthy.core.escape import quoted
from tuneworthy.core.imported import ImportedRow, SourceRecord
from tuneworthy.core.plugins import catalogue, load
from tuneworthy.data.column_choice import Choice, no_column
from tuneworthy.data.column_roles import Roles, answers_of, row_of, system_name
from tuneworthy.data.csv_rows import delimiter_of
from tuneworthy.data.file_roles import FileRoles, with_one_right
from tuneworthy.data.import_files import NO_ANSWER, ImportFiles
from tuneworthy.data.lines import WINDOWS_ENCODING, text_encoding
from tuneworthy.data.raw import BadRow, RowFault
from tuneworthy.data.row_parts import part_of
from tuneworthy.recognising import Ask, Source, has, recognise

_LOOKED_RECORDS = 1_000  # records by which a format learns what all of them have in common


@dataclass(frozen=True)
class Reading:
    """How files are read: the columns that people named, the question about the others, and the
    share of records that may be left out because they can't be read.
    """

    choice: Choice
    ask: Ask | None = None
    most_unread: float = 0.05


@dataclass(frozen=True)
class Imported:
    """What `draft` needs: the file of rows, a file of answers a system, and sentences on both.

    `heard` are the first answers of the systems, by row; `count` is the number of rows, 0 for a
    file that nobody has checked yet. `metric` is the one that the files' own checks call for.
    `parts` are the files of rows to learn from and to score, of which `rows` is the first, and
    `scored` is the number of rows to score.
    """

    rows: Path
    answers: Mapping[str, Path] = field(default_factory=dict)
    said: tuple[str, ...] = ()
    made_of: str = ""
    heard: Mapping[str, Sequence[str]] = field(default_factory=dict)
    count: int = 0
    metric: str | None = None
    parts: Mapping[str, Path] = field(default_factory=dict)
    scored: int = 0

    @property
    def files(self) -> tuple[Path, ...]:
        """Return all files of rows."""
        return tuple(self.parts.values()) or (self.rows,)


def bring_in(files: Sequence[Path], reading: Reading, folder: Path, stem: str) -> Imported:
    """Return the rows and answers of some files, written into `folder` where they need it.

    Files are named `STEM.rows.jsonl` and `STEM.SYSTEM.jsonl`. Records of several files with one
    input are one row. Raises DataError where no row has a right answer, and where more than
    `reading.most_unread` of the records (and more than one) can't be read.
    """
    choice, ask = reading.choice, reading.ask
    if len(files) == 1 and not files[0].exists():
        return Imported(files[0])
    sources = _sources(files, choice, ask)
    single = sources[0] if len(sources) == 1 else None
    if single and single.own and single.importer is None:
        said = _where_it_lies(single) if single.roles else ()
        return Imported(single.path, said=said)
    made = ImportFiles(folder, stem, merge=single is None, right=choice.output)
    try:
        for source in sorted(sources, key=_has_right):
            for where, row in _rows(source, made):
                made.add(where, row)
        made.check_unread(reading.most_unread)
        as_it_is = single and single.own and not (made.left or made.remarks)
        keep = made.rows > 0 and not as_it_is
        written = made.finish(keep)
    except BaseException:
        made.finish(False)
        raise
    if single and single.own and not keep:
        said = (*_where_it_lies(single), _prompts(made)) if made.rows else ()
        return Imported(single.path, said=said, count=made.rows)
    if not made.rows:
        _nothing(files, made)
    return _imported(sources, made, written, choice)


def at_source(where: str, rows: Path) -> str:
    """Return a message's places in the user's own file in place of those in the written rows.

    A row that was made of `tickets.csv:14` has this place, or an id of its own, as its id.
    """
    if not rows.is_file() or f"{rows.name}:" not in where:
        return where
    lines = rows.read_text("utf-8").splitlines()

    def source(found: re.Match[str]) -> str:
        number = int(found[1])
        row = lines[number - 1] if 0 < number <= len(lines) else "{}"
        own = str(json.loads(row).get("id", found[0]))
        return own if ":" in own else f"row {own}"

    return re.sub(re.escape(rows.name) + r":(\d+)(:\d+)?", source, where)


def _sources(files: Sequence[Path], choice: Choice, ask: Ask | None) -> list[Source]:
    """Return how the files are read; of several tables one has the right answers to an input.

    Raises TaskError for a column that is named and in no file.
    """
    if len(files) == 1:
        return [recognise(files[0], choice, ask)]
    found = [recognise(path, choice, ask, several=True) for path in files]
    columns = list(dict.fromkeys(name for one in found for name in one.columns))
    systems = any(one.importer is not None for one in found)  # whose name --output may be
    for name in choice.spelt(columns).columns:
        if name not in columns and not (systems and name == choice.output):
            no_column(name, columns)
    tables = [one for one in found if one.roles is not None]
    known = [FileRoles(one.path, one.roles, one.right) for one in tables if one.roles]
    settled = dict(zip(map(id, tables), with_one_right(known), strict=True))
    return _named_apart([replace(one, roles=settled.get(id(one))) for one in found])


def _named_apart(sources: list[Source]) -> list[Source]:
    """Return the sources with another name for each system that is `present` in its own table."""
    present = [one for one in sources if one.roles and set(one.roles.systems) == {"present"}]
    if len(present) < 2:
        return sources
    return [
        replace(one, roles=replace(one.roles, systems={
            system_name(one.path.stem): one.roles.systems["present"]}))
        if one in present and one.roles else one
        for one in sources
    ]  # fmt: skip


def _has_right(source: Source) -> bool:
    """Return whether a file is a table of right answers.

    It is read last, so that its rows find the system prompts of the other files.
    """
    return bool(source.roles and source.roles.output)


def _rows(source: Source, made: ImportFiles) -> Iterator[tuple[str, ImportedRow]]:
    """Yield the rows of a file with their places; what is no row is counted."""
    notes: dict[str, Any] = {"path": source.path}
    _learn(source, notes)
    if told := notes.get("told"):
        names = ", ".join(f"`{name}`" for name in sorted(told))
        made.remarks.append(f"  not the input {names}: it tells the right answer")
    module, roles = source.importer, source.roles
    note = getattr(module, "note", None)
    for record in load("containers", source.container).records(source.path):
        if isinstance(record, RowFault):
            made.lose(record.why, record.where, unread=True)
        elif module is None or roles is not None:
            if record.at != source.at or roles is None:
                continue
            if _is_other(source, roles, record):
                made.lose(f"another shape than most: {_listed(record.value)}", record.where)
            else:
                yield from _table_row(record, roles, made)
        elif module.fits(record):
            try:
                for row in module.rows(record, notes):
                    yield record.where, row
            except BadRow as error:
                made.lose(str(error.args[0]), record.where)
        elif note is not None and record.at != source.at:
            note(record, notes)
        elif record.at == source.at:
            lacks = ", ".join(need for need in module.NEEDS if not has(record, need))
            why = f"not as {module.FORMAT} are" + (f": no {lacks}" if lacks else "")
            made.lose(why, record.where)
    if remark := notes.get("remark"):
        made.remarks.append(f"  {remark}")
    made.metrics.append(notes.get("metric"))


def _table_row(
    record: SourceRecord, roles: Roles, made: ImportFiles
) -> Iterator[tuple[str, ImportedRow]]:
    """Yield the row of a table's record, in its part where the table has a column of parts."""
    part = part_of(record.value.get(roles.split)) if roles.split else ""
    if roles.split and not part:
        got = quoted(str(record.value.get(roles.split, "")), 40)
        made.lose(f"neither train, test nor dev under `{roles.split}`: `{got}`", record.where)
        return
    fields, answers = row_of(record.value, roles), answers_of(record.value, roles)
    yield record.where, ImportedRow(fields, answers, part=part)


def _learn(source: Source, notes: dict[str, Any]) -> None:
    """Let a format read the first records for what only many of them show together."""
    learn = getattr(source.importer, "learn", None)
    if source.importer is None or learn is None:
        return
    found = islice(load("containers", source.container).records(source.path), _LOOKED_RECORDS)
    learn([one for one in found if isinstance(one, SourceRecord) and source.importer.fits(one)],
          notes)  # fmt: skip


def _is_other(source: Source, roles: Roles, record: SourceRecord) -> bool:
    """Return whether a record has neither the input nor the answer column of the others.

    False for a table, whose records lack the columns of empty cells.
    """
    if source.container not in {"json_lines", "json_document", "yaml_document"}:
        return False
    mine = {name.partition(".")[0] for name in (*roles.inputs, roles.output)}
    return not mine & record.value.keys()


def _listed(value: Mapping[str, Any]) -> str:
    return ", ".join(f"`{key[:20]}`" for key in list(value)[:4]) or "no fields"


def _imported(
    sources: Sequence[Source], made: ImportFiles, written: Sequence[Path], choice: Choice
) -> Imported:
    systems = {name: made.answers_file(name) for name in made.answers
               if made.answers_file(name) in written}  # fmt: skip
    present = choice.present if choice.present in systems else None
    if present is None and len(systems) == 1 and not choice.answers:
        present = next(iter(systems))
    answers = {"present" if name == present else _free_name(name): path
               for name, path in systems.items()}  # fmt: skip
    said = [*_taken(sources, made, dict(zip(systems, answers, strict=True)))]
    for why, count in made.left.most_common():
        said.append(f"left out {count_noun(count, 'record')}: {why} (first {made.left_at[why]})")
    said.append(f"wrote {', '.join(path.name for path in written)}")
    said.append("your own files are as they were")
    parts = _checked_parts(made, choice)
    names = ", ".join(source.path.name for source in sources)
    return Imported(
        next(iter(parts.values()), made.rows_file()),
        answers,
        tuple(quoted(one, 300) for one in said),
        names,
        made.said,
        made.rows,
        made.metrics[0] if len(set(made.metrics)) == 1 else None,
        parts,
        made.parts["test"],
    )


def _checked_parts(made: ImportFiles, choice: Choice) -> dict[str, Path]:
    """Return the files of the parts, {} for a file without; raise DataError if one has no rows.

    Rows to learn from and rows to score are needed; without a test part the dev rows are scored.
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


def _free_name(name: str) -> str:
    plain = system_name(name)
    return f"{plain}-answers" if plain in catalogue("arms") and plain != "present" else plain


def _taken(sources: Sequence[Source], made: ImportFiles, names: Mapping[str, str]) -> Iterator[str]:
    for source in sources:
        form = _form_of(source)
        if source.roles is not None:
            right = f"`{source.roles.output}`" if source.roles.output else "stands in another file"
            asked = ", ".join(f"`{name}`" for name in source.roles.inputs)
            what, takes = form, (asked + ", joined" * bool(source.roles.joined), right)
        else:
            what, takes = f"{_format_name(source)}, {form}", _takes(source)
        yield f"{source.path.name}: read as {what}{_written_in(source.path)}"
        if source.roles is not None and source.roles.id:
            yield f"  id            `{source.roles.id}`"
        yield f"  input         {takes[0]}"
        yield f"  right answer  {takes[1]}"
        if source.roles is not None and source.roles.alternatives:
            yield "                lists: any of their texts is right (else: --lists json)"
        if source.roles is not None and (unused := _unused(source)):
            yield f"  not used      {unused}"
        if source.roles is not None:
            yield from _offers(source)
    for system, count in made.answers.items():
        key = names.get(system, system)
        source_of = next((one.roles.systems[system] for one in sources
                          if one.roles and system in one.roles.systems), None)  # fmt: skip
        shown = f"`{source_of}`" if source_of else f"`{system}`"
        yield f"  {key + ' ' if len(key) > 13 else key:<13} {shown}, {count_noun(count, 'answer')}"
    yield from made.remarks
    yield _prompts(made)
    counted = [f"{made.parts[part]:,} {part}" for part in made.part_files()]
    split = f": {', '.join(counted)}" * bool(counted)
    yield f"{count_noun(made.rows, 'row')} with a right answer{split}"


def _offers(source: Source) -> Iterator[str]:
    """Yield options that may fit the columns: more text, several labels of a cell, a split."""
    assert source.roles is not None
    roles = source.roles
    if roles.texts and not roles.joined:
        mine = sorted((*roles.texts, roles.input), key=source.columns.index)
        names = " ".join(f"--input {shlex.quote(name)}" for name in mine)
        yield f"                more text is in `{roles.texts[0]}`; to join them: {names}"
    if source.mark and not roles.mark:
        said = f"some hold several labels, parted by `{source.mark}`; to score them as a set"
        yield f"                {said}: --labels {shlex.quote(source.mark)}"
    if source.split and not roles.split:
        said = f"`{source.split}` says train and test; to score its test rows alone"
        yield f"                {said}: --split {shlex.quote(source.split)}"


def _unused(source: Source) -> str:
    """Return the columns without a role, which rows keep in `meta`: an input may stand in two."""
    assert source.roles is not None
    used = {name.partition(".")[0] for name in source.roles.used}
    left = [name for name in source.columns if "." not in name and name not in used]
    shown = ", ".join(f"`{name[:30]}`" for name in left[:6])
    return shown + (f" and {len(left) - 6} more" if len(left) > 6 else "")


def _form_of(source: Source) -> str:
    """Return what the form of a file is called; a table by the mark between its columns."""
    module = load("containers", source.container)
    named = module.form_of(source.path) if hasattr(module, "form_of") else ""
    form = str(named or module.FORM)
    mark = delimiter_of(source.path) if source.container == "table" else ","
    return {"\t": "a table (TSV)", "|": "a table (columns parted by |)"}.get(mark, form)


def _written_in(path: Path) -> str:
    """Return a remark on a text file that is not UTF-8."""
    binary = path.is_dir() or path.suffix.lower() in {".parquet", ".xlsx", ".eval", ".arrow"}
    if binary or text_encoding(path) != WINDOWS_ENCODING:
        return ""
    return "; not UTF-8: its letters are read as Windows-1252"


def _prompts(made: ImportFiles) -> str:
    total = made.prompts.total()
    if not total:
        return "  system prompt none"
    first = next(iter(made.prompts))
    each = "the same in each of" if len(made.prompts) == 1 else "in"
    return f"  system prompt {each} {count_noun(total, 'row')}: “{quoted(first, 60)}”"


def _where_it_lies(source: Source) -> tuple[str, ...]:
    """Return the lines about a file that is read where it lies: its input and right answer."""
    takes = ("`input`", "`output`") if source.importer is None else _takes(source)
    return (
        f"{quoted(source.path.name, 60)}: read where it lies",
        f"  input         {takes[0]}",
        f"  right answer  {takes[1]}",
    )


def _format_name(source: Source) -> str:
    return str(getattr(source.importer, "FORMAT", ""))


def _takes(source: Source) -> tuple[str, str]:
    found: tuple[str, str] = getattr(source.importer, "TAKES", ("", ""))
    return found


def _nothing(files: Sequence[Path], made: ImportFiles) -> NoReturn:
    """Raise DataError: no record became a row."""
    why = "; ".join(f"{count:,} × {why} (first {made.left_at[why]})"
                    for why, count in made.left.most_common(3))  # fmt: skip
    fix = "correct the records, or name the columns: --input COL --output COL"
    if made.left.get(NO_ANSWER):
        who = ", ".join(f"`{name}`" for name in made.heard_of) or "nobody"
        fix = (
            f"add a file that has them: tuneworthy init {files[0].name} GOLD (rows are matched by"
            f" input). Answers are there from {who}: where one is right, name it: --output NAME"
        )
    raise DataError("no record of these files is a row with a right answer",
                    where=[path.name for path in files], got=why or "no record",
                    fix=fix)  # fmt: skip
