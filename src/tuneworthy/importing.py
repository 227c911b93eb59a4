"""Read what people have: recognise a file by its content, and make rows and answers of it.

A file in this project's own form is left as it is. Of any other one a file of rows is written
beside the task file, and one file of answers a system; the user's files are never changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from tuneworthy.core.counting import count_noun
from tuneworthy.core.errors import DataError, TaskError
from tuneworthy.core.escape import quoted
from tuneworthy.core.imported import ImportedRow, SourceRecord
from tuneworthy.core.plugins import catalogue, load
from tuneworthy.data.column_roles import Choice, Roles, answers_of, propose, row_of, system_name
from tuneworthy.data.csv_rows import TABLES, delimiter_of
from tuneworthy.data.import_files import NO_ANSWER, ImportFiles
from tuneworthy.data.lines import check_text_file
from tuneworthy.data.raw import BadRow, RowFault

_LOOKED = 1_000  # records by which a file is recognised
_HEAD = 65_536
_OWN = {"json_lines", "table"}  # forms of a file that the rest of tuneworthy reads as they are
_ROLE = {"input": "input", "output": "right answer"}
Ask = Callable[[Roles, Sequence[str]], Choice | None]


@dataclass(frozen=True)
class Source:
    """A recognised file: the form of the file, and the format or the roles of its columns.

    `own`: it needs no import, unless records are left out.
    """

    path: Path
    container: str
    importer: ModuleType | None = None
    roles: Roles | None = None
    at: tuple[str, ...] = ()
    own: bool = False


@dataclass(frozen=True)
class Imported:
    """What `draft` needs: the file of rows, a file of answers a system, and sentences on both.

    `heard` are the first answers of the systems, by row; `count` is the number of rows, 0 for a
    file that nobody has checked yet.
    """

    rows: Path
    answers: Mapping[str, Path] = field(default_factory=dict)
    said: tuple[str, ...] = ()
    made_of: str = ""
    heard: Mapping[str, Sequence[str]] = field(default_factory=dict)
    count: int = 0


def recognise(path: Path, choice: Choice, ask: Ask | None = None) -> Source:
    """Return how a file is read. Raises DataError that names the nearest format and what it lacks.

    `ask` gets the proposed roles of a table's columns once and may return others.
    """
    forms = _forms(path)
    nearest: list[SourceRecord] = []
    missing, ours, broken = "input", None, None
    for name, form in forms:
        found = list(islice(form.records(path), _LOOKED))
        records = [one for one in found if isinstance(one, SourceRecord)]
        source = _format_of(path, name, records, choice)
        if source is not None:
            return source
        if name == "json_lines" and len(records) == 1 and _is_document(records[0].value):
            continue
        at, table = _largest(records)
        roles = propose(table, choice) if table else "input"
        if isinstance(roles, Roles):
            if ask is not None and not _is_own(name, path, roles, choice):
                other = ask(roles, list(dict.fromkeys(key for row in table for key in row)))
                asked = propose(table, other) if other else roles
                roles = asked if isinstance(asked, Roles) else roles
            own = _is_own(name, path, roles, choice)
            return Source(path, name, None, roles, at, own)
        nearest, missing = nearest or records, roles
        broken = broken or next((one for one in found if isinstance(one, RowFault)), None)
        if name in _OWN and (not records or {"input", "messages"} & set(records[0].value)):
            ours = ours or Source(path, name, own=True)  # whose faults its own reader tells best
    if ours is not None:
        return ours
    if broken is not None and not nearest:
        raise DataError(broken.why, where=broken.where, got=broken.got, fix=broken.fix, kept="")
    _refuse(path, nearest, missing, bool(forms))


def bring_in(
    files: Sequence[Path], choice: Choice, folder: Path, stem: str, ask: Ask | None = None
) -> Imported:
    """Return the rows and answers of some files, written into `folder` where they need it.

    Files are named `STEM.rows.jsonl` and `STEM.SYSTEM.jsonl`. Records of several files with one
    input are one row. Raises DataError where no row has a right answer.
    """
    if len(files) == 1 and not files[0].exists():
        return Imported(files[0])
    sources = _named_apart([recognise(path, choice, ask) for path in files])
    single = sources[0] if len(sources) == 1 else None
    if single and single.own and single.importer is None:
        said = _where_it_lies(single) if single.roles else ()
        return Imported(single.path, said=said)
    made = ImportFiles(folder, stem, merge=single is None, right=choice.output)
    try:
        for source in sources:
            for where, row in _rows(source, made):
                made.add(where, row)
        keep = made.rows > 0 and not (single and single.own and not made.left)
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


def _forms(path: Path) -> list[tuple[str, ModuleType]]:
    """Return the forms that a file may have, the likeliest first."""
    head = b""
    if path.is_file():
        with path.open("rb") as file:
            head = file.read(_HEAD)
    found = [(name, load("containers", name)) for name in catalogue("containers")]
    found = [(name, form) for name, form in found if form.opens(path, head)]
    return sorted(found, key=lambda pair: getattr(pair[1], "ORDER", 9))


def _format_of(
    path: Path, name: str, records: Sequence[SourceRecord], choice: Choice
) -> Source | None:
    """Return the file as one of a known format; None if most records have none, or by choice."""
    columns = {key for record in records for key in record.value}
    if {choice.input, *choice.answers.values()} & columns or choice.output in columns:
        return None
    best: tuple[int, str] = (0, "")
    for importer in catalogue("importers"):
        module = load("importers", importer)
        best = max(best, (sum(map(module.fits, records)), importer))
    if best[0] == 0:
        return None
    module = load("importers", best[1])
    if choice.input or choice.answers:
        column = choice.input or next(iter(choice.answers.values()))
        raise TaskError(f"no column has this name; the file was read as {module.FORMAT}",
                        where=path.name, got=column, fix=f"there are: {', '.join(sorted(columns))}",
                        kept="")  # fmt: skip
    at = next(record.at for record in records if module.fits(record))
    own = name == "json_lines" and best[1] == "openai_chat" and not choice.named
    return Source(path, name, module, at=at, own=own)


def _largest(
    records: Sequence[SourceRecord],
) -> tuple[tuple[str, ...], list[Mapping[str, Any]]]:
    """Return the longest list of a document with its keys; of equal ones the first."""
    counts = Counter(record.at for record in records)
    at = max(counts, key=lambda one: counts[one], default=())
    return at, [record.value for record in records if record.at == at]


def _is_document(value: Mapping[str, Any]) -> bool:
    """Return whether an object holds lists of records: a whole document on one line."""
    return any(
        isinstance(one, dict) or (isinstance(one, list) and one and isinstance(one[0], dict))
        for one in value.values()
    )


def _is_own(name: str, path: Path, roles: Roles, choice: Choice) -> bool:
    plain = (roles.input, roles.output) == ("input", "output") and not choice.named
    plain = plain and not roles.systems and not roles.alternatives
    mark = TABLES.get(path.suffix.lower())
    table = name == "table" and mark is not None and mark == delimiter_of(path)
    return plain and (name == "json_lines" or table)


def _rows(source: Source, made: ImportFiles) -> Iterator[tuple[str, ImportedRow]]:
    """Yield the rows of a file with their places; what is no row is counted."""
    notes: dict[str, Any] = {"path": source.path}
    module, roles = source.importer, source.roles
    note = getattr(module, "note", None)
    for record in load("containers", source.container).records(source.path):
        if isinstance(record, RowFault):
            made.leave_out(record.why, record.where)
        elif module is None or roles is not None:
            if record.at == source.at and roles is not None:
                found = ImportedRow(row_of(record.value, roles), answers_of(record.value, roles))
                yield record.where, found
        elif module.fits(record):
            try:
                for row in module.rows(record, notes):
                    yield record.where, row
            except BadRow as error:
                made.leave_out(str(error.args[0]), record.where)
        elif note is not None and record.at != source.at:
            note(record, notes)
        elif record.at == source.at:
            lacks = ", ".join(need for need in module.NEEDS if not _has(record, need))
            why = f"not as {module.FORMAT} are" + (f": no {lacks}" if lacks else "")
            made.leave_out(why, record.where)


def _has(record: SourceRecord, need: str) -> bool:
    value: Any = record.value
    for key in need.split("."):
        if not isinstance(value, Mapping) or key not in value:
            return key in record.at
        value = value[key]
    return True


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
    names = ", ".join(source.path.name for source in sources)
    return Imported(
        made.rows_file(),
        answers,
        tuple(quoted(one, 300) for one in said),
        names,
        made.said,
        made.rows,
    )


def _free_name(name: str) -> str:
    plain = system_name(name)
    return f"{plain}-answers" if plain in catalogue("arms") and plain != "present" else plain


def _taken(sources: Sequence[Source], made: ImportFiles, names: Mapping[str, str]) -> Iterator[str]:
    for source in sources:
        form = load("containers", source.container).FORM
        if source.roles is not None:
            what, takes = form, (f"`{source.roles.input}`", f"`{source.roles.output}`")
        else:
            what, takes = f"{_format_name(source)}, {form}", _takes(source)
        yield f"{source.path.name}: read as {what}"
        yield f"  input         {takes[0]}"
        yield f"  right answer  {takes[1]}"
        if source.roles is not None and source.roles.alternatives:
            yield "                lists: any of their texts is right (else: --lists json)"
    for system, count in made.answers.items():
        key = names.get(system, system)
        source_of = next((one.roles.systems.get(system) for one in sources if one.roles), None)
        shown = f"`{source_of}`" if source_of else f"`{system}`"
        yield f"  {key + ' ' if len(key) > 13 else key:<13} {shown}, {count_noun(count, 'answer')}"
    yield _prompts(made)
    yield f"{count_noun(made.rows, 'row')} with a right answer"


def _prompts(made: ImportFiles) -> str:
    total = made.prompts.total()
    if not total:
        return "  system prompt none"
    first = next(iter(made.prompts))
    each = "the same in each of" if len(made.prompts) == 1 else "in"
    return f"  system prompt {each} {count_noun(total, 'row')}: “{quoted(first, 60)}”"


def _where_it_lies(source: Source) -> tuple[str, ...]:
    """Return what is taken of a file in our own form."""
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


def _refuse(path: Path, records: Sequence[SourceRecord], missing: str, known: bool) -> NoReturn:
    """Raise DataError: the file has none of the formats; say the nearest and what it lacks."""
    if not known:
        check_text_file(path, path.name)  # a folder, a compressed or an empty file: it says so
        raise DataError(
            "this form of file is not read", where=path.name, got=path.suffix or "no suffix",
            fix="save it as CSV, JSON Lines, Parquet or Excel",
        )  # fmt: skip
    columns = list(dict.fromkeys(key for record in records for key in record.value))
    near, lacks = _nearest(records)
    fix = f"name the column: --{missing} COL"
    if near:
        fix += f"; the nearest format is {near}, which also needs {', '.join(lacks)}"
    raise DataError(
        f"no column of this file looks like the {_ROLE[missing]}",
        where=path.name, got=", ".join(columns)[:180] or "no record", fix=fix,
    )  # fmt: skip


def _nearest(records: Sequence[SourceRecord]) -> tuple[str, list[str]]:
    """Return the format of whose fields a record has most, and those it lacks; "" for none."""
    best: tuple[float, str, list[str]] = (0.0, "", [])
    for name in catalogue("importers") if records else ():
        module = load("importers", name)
        for record in records[:20]:
            lacks = [need for need in module.NEEDS if not _has(record, need)]
            share = 1 - len(lacks) / len(module.NEEDS)
            if lacks and share > best[0]:
                best = (share, module.FORMAT, lacks)
    return best[1], best[2]
