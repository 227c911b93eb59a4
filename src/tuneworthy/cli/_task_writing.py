"""Write a task file from the user's files, for `init` and `tour`."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tuneworthy.records.errors import TuneworthyError
    from tuneworthy.rows.draft import DraftedTask
    from tuneworthy.rows.importing import Imported, ImportOptions


def check_free(rows: Sequence[Path], task: Path, force: bool, columns: Sequence[str] = ()) -> None:
    """Raise TaskError if the task file or its file of rows exists already, unless `force`.

    The error also names the first of `columns` that the first file lacks.
    """
    from tuneworthy.records.errors import TaskError

    if not task.name or task.is_dir():
        raise TaskError("a folder stands where the task file is to be written", where=str(task),
                        fix=f"-o {task / 'task.yaml'}")  # fmt: skip
    beside = task.with_name(f"{task.stem}.rows.jsonl")
    there = task if task.exists() else beside if beside.exists() and beside not in rows else None
    if there is not None and not force:
        what = "task file" if there == task else "file of rows"
        error = TaskError(
            f"there is a {what} already", where=str(there), fix="--force, or -o another.yaml"
        )
        if wrong := _wrong_column(rows, columns):
            error.fix += f"; and no column is called `{wrong.got}`: {wrong.fix}"
        raise error


def _wrong_column(rows: Sequence[Path], columns: Sequence[str]) -> TuneworthyError | None:
    """Return the error on the first named column that the first file lacks, None if it has all.

    A file that can't be read here is left to the reader of rows.
    """
    from tuneworthy.records.errors import DataError, TaskError
    from tuneworthy.rows.table import open_table
    from tuneworthy.rows.table_columns import column_like, columns_of, raise_no_column

    try:
        names = columns_of(open_table(rows[0]).head) if columns and rows else []
    except (DataError, OSError):
        return None
    try:
        for name in columns if names else ():
            if column_like(name, names) not in names:
                raise_no_column(name, names)
    except TaskError as error:
        return error
    return None


def print_written(task: Path, seen: Sequence[str], as_json: bool) -> None:
    """Print the task file that was written, what was seen in the rows, and the next commands."""
    from tuneworthy.cli._options import print_result, print_stderr

    option = "" if task == Path("task.yaml") else f" {shlex.quote(str(task))}"
    steps = [f"tuneworthy {word}{option}" for word in ("check", "plan", "run")]
    print_result(str(task), {"task": str(task), "seen": list(seen), "next": steps}, as_json)
    for one in seen:
        print_stderr(f"  {one}")
    print_stderr(f"next: read it, then `{steps[0]}` and `{steps[2]}`")


def write_task(
    rows: Sequence[Path],
    answers: Mapping[str, str],
    options: ImportOptions,
    task: Path,
) -> tuple[str, ...]:
    """Write the task file, its schema and the rows it needs; return what was taken and observed.

    `answers` maps a system to its file of recorded answers. Nothing is left where it fails.
    """
    import json

    from tuneworthy.records.errors import TuneworthyError
    from tuneworthy.records.own_files import ANSWERS, TASK, TASK_SCHEMA, check_own, write_own
    from tuneworthy.rows.importing import import_rows, with_source_places
    from tuneworthy.rows.log_roles import find_answer_log
    from tuneworthy.rows.taskfile import task_schema
    from tuneworthy.store.trouble import output_errors

    schema = task.with_name("task.schema.json")
    with output_errors(task):
        check_own(task, TASK, rows, free=not options.replace)
        check_own(schema, TASK_SCHEMA, rows)
        logs = {name: find_answer_log(place, options.choice) for name, place in answers.items()}
        made = {name: task.with_name(f"{task.stem}.{name}.jsonl") for name, log in logs.items()
                if not log.as_it_is}  # fmt: skip
        read = (*rows, *(log.path for log in logs.values()))
        for path in made.values():
            check_own(path, ANSWERS, read, free=not options.replace)
        found = import_rows(rows, replace(options, keep=read), task.parent, task.stem)
        for name, path in made.items():
            write_own(path, logs[name].lines(options.most_unread), ANSWERS, read)
        systems = {name: str(path) for name, path in found.answers.items()}
        systems |= {name: str(made.get(name, log.path)) for name, log in logs.items()}
        own = None if found.rows == rows[0] else rows[0].stem
        found = replace(found, name=own, docs=options.docs)
        try:
            drafted, spelt = _draft_task(found, systems, task.parent)
        except TuneworthyError as error:
            if found.made_of:
                for path in found.files:
                    error.where = with_source_places(error.where, path)
                    error.got = with_source_places(error.got, path)
            if found.made_of and not options.replace:  # what an earlier `init` wrote may be in use
                for path in (*found.files, *found.answers.values(), *made.values()):
                    path.unlink(missing_ok=True)
            raise
    with output_errors(task):
        write_own(task, drafted.text, TASK, read)
        write_own(schema, json.dumps(task_schema(), indent=2) + "\n", TASK_SCHEMA, read)
    said = (f"wrote {path.name}, from {logs[name].summary()}" for name, path in made.items())
    pair = _pair_offer(systems, found)
    return (*found.printed_lines, *said, *spelt, *drafted.sentences, *pair)


def _pair_offer(systems: Mapping[str, str], found: Imported) -> tuple[str, ...]:
    """Return the command that says which of the first two systems leads, () for fewer."""
    if len(systems) < 2:
        return ()
    gold = found.parts.get("test", found.rows)
    paths = [shlex.quote(str(path)) for path in (*list(systems.values())[:2], gold)]
    most = "" if len(systems) == 2 else " (and so any two)"
    return (f"which one leads, in seconds and without a model{most}:",
            "tuneworthy compare {} {} --gold {}".format(*paths))  # fmt: skip


def _draft_task(
    found: Imported, systems: Mapping[str, str], folder: Path
) -> tuple[DraftedTask, tuple[str, ...]]:
    """Return (the drafted task, what was done to rows of ours before it could be drafted, or ()).

    Labels that differ only in case or spaces are one label: in rows of our own they become so.
    """
    from tuneworthy.records.errors import DataError
    from tuneworthy.rows.draft import draft
    from tuneworthy.rows.infer import write_usual_spelling

    try:
        return draft(found.rows, systems, folder, found), ()
    except DataError as error:
        if not (found.made_of and error.misspelt and (said := write_usual_spelling(found.files))):
            raise
        return draft(found.rows, systems, folder, found), (said,)
