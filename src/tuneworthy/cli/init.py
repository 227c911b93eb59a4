"""Read what people have and write a task.yaml that states success in plain words."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tuneworthy.cli._column_question import column_question
from tuneworthy.cli._options import Json, print_result, share
from tuneworthy.cli._task_writing import check_free, print_written, write_task

if TYPE_CHECKING:
    from tuneworthy.rows.table_columns import Choice

_YAML = {".yaml", ".yml"}
Rows = Annotated[
    list[Path] | None, typer.Argument(help="Files or folders with rows, in a form named above.")
]
Answers = Annotated[
    list[str] | None,
    typer.Option(
        "--answers",
        help="A system's answers: NAME=COLUMN, NAME=FILE or NAME=FILE:COLUMN; can be repeated.",
    ),
]
Input = Annotated[
    list[str] | None,
    typer.Option("--input", help="The column with the inputs; given twice, both are joined."),
]
Labels = Annotated[
    str, typer.Option("--labels", help="The mark between several labels of one cell, as in a;b.")
]
Split = Annotated[
    str | None, typer.Option("--split", help="The column that says train or test of each row.")
]
Group = Annotated[
    str | None, typer.Option("--group", help="The column whose rows belong together: a customer.")
]
Time = Annotated[
    str | None, typer.Option("--time", help="The column with each row's date: 2026-01-31.")
]
Output = Annotated[
    str | None,
    typer.Option("--output", help="The column with the right answers (or FILE.yaml, as --to)."),
]
MaxBad = Annotated[
    str, typer.Option(help="The most records that may be left out as unreadable (1% or 0.01).")
]
Present = Annotated[
    str | None, typer.Option("--present", help="The column (or file) of what runs today.")
]
Lists = Annotated[
    Literal["alternatives", "json"],
    typer.Option("--lists", help="Lists of right answers: any entry is right, or all are one."),
]
To = Annotated[Path | None, typer.Option("--to", "-o", help="The task file to write (task.yaml).")]
_Agent = Annotated[
    bool, typer.Option("--agent", help="Write what tells this project's coding agents to measure.")
]
_DryRun = Annotated[
    bool, typer.Option("--dry-run", help="With --agent: say what would be written.")
]
_Docs = Annotated[
    Path | None,
    typer.Option(
        "--docs", help="Documents to look up in: a folder (txt, md, html, pdf) or a file."
    ),
]
_Force = Annotated[bool, typer.Option("--force", help="Replace the task file if there is one.")]


def command(
    rows: Rows = None,
    answers: Answers = None,
    input: Input = None,
    output: Output = None,
    present: Present = None,
    lists: Lists = "alternatives",
    labels: Labels = "",
    split: Split = None,
    group: Group = None,
    time: Time = None,
    docs: _Docs = None,
    max_bad: MaxBad = "1%",
    to: To = None,
    force: _Force = False,
    agent: _Agent = False,
    dry_run: _DryRun = False,
    json: Json = False,
) -> None:
    """Look at the rows and write a commented task.yaml.

    Reads CSV, TSV, Excel, Parquet, JSON, JSON Lines; OpenAI chat files, promptfoo, Inspect,
    lm-eval, Langfuse, LangSmith, MLflow, Weave, Opik, Braintrust, DeepEval, Phoenix,
    pydantic-evals, OpenTelemetry, Kiln, TensorZero, DSPy, Alpaca, ShareGPT, Hugging Face data sets
    (saved, or a folder with train-*.parquet). Columns: tuneworthy init tickets.csv --input message
    --output team
    """
    from tuneworthy.records.errors import TaskError, TuneworthyError
    from tuneworthy.rows.importing import ImportOptions

    if agent:
        return _write_for_agents(dry_run, json)
    if not rows:
        fix = "tuneworthy init FILE; see tuneworthy init --help"
        raise TaskError("no file of rows is named", where="command line", fix=fix, kept="")
    try:
        task, column = _task_file(to, output)
        asked = input or []
        files, choice = _answer_files_and_columns(
            (next(iter(asked), None), column, present), answers or [], lists
        )
        choice = replace(choice, joined=tuple(asked[1:]), split=split, mark=labels,
                         group=group, time=time)  # fmt: skip
        _check_paths(rows)
        rows, files = _logs_apart(rows, files)
        check_free(rows, task, force, [name for name in (*asked, column, group, time) if name])
        ask = None if json or (choice.input and choice.output) else column_question()
        _check_paths([docs] if docs else [])
        options = ImportOptions(choice, ask, share(max_bad), replace=force, docs=docs)
        seen = write_task(rows, files, options, task)
    except TuneworthyError as error:
        error.kept = "your rows; nothing was written"
        raise
    print_written(task, seen, json)


def _write_for_agents(dry: bool, json: bool) -> None:
    """Write what tells this project's coding agents to measure, and print the files."""
    from tuneworthy.agents.project_files import write_project_files

    files = write_project_files(Path.cwd(), dry)
    lines = "\n".join(f"{name}: {state}" for name, state in files)
    print_result(lines, {"files": [{"path": n, "state": s} for n, s in files]}, json)


def _task_file(to: Path | None, output: str | None) -> tuple[Path, str | None]:
    """Return the task file's path, and the column of right answers if --output names one.

    A name in --output that ends in .yaml is the task file, as in earlier releases.
    """
    if output is not None and to is None and Path(output).suffix.lower() in _YAML:
        return Path(output), None
    return to or Path("task.yaml"), output


def _answer_files_and_columns(
    columns: tuple[str | None, str | None, str | None], answers: Sequence[str], lists: str
) -> tuple[dict[str, str], Choice]:
    """Return the files of recorded answers by system, and the columns that the user named."""
    from tuneworthy.rows.table_columns import Choice

    asked, right, present = columns
    pairs = dict(_system_and_place(entry) for entry in answers)
    if present is not None:
        pairs["present"] = present
    files = {name: place for name, place in pairs.items() if _names_file(place)}
    named = {name: place for name, place in pairs.items() if name not in files}
    today = named.pop("present", None)
    return files, Choice(asked, right, today, named, lists)


def _logs_apart(rows: Sequence[Path], files: dict[str, str]) -> tuple[list[Path], dict[str, str]]:
    """Return the files of rows, and the files of answers with the logs found among `rows`.

    A log has answers by id and no inputs. If all files are logs, all of them stay files of rows.
    """
    from tuneworthy.records.plugins import catalogue
    from tuneworthy.rows.log_roles import is_answers_only
    from tuneworthy.rows.table_columns import system_name

    logs = [path for path in rows if len(rows) > 1 and path.is_file() and is_answers_only(path)]
    if len(logs) == len(rows):
        return list(rows), files
    named = dict(files)
    for path in logs:
        name = system_name(path.stem)
        named[f"{name}-answers" if name in catalogue("arms") else name] = str(path)
    return [path for path in rows if path not in logs], named


def _names_file(place: str) -> bool:
    """Return whether a text means a file of answers, FILE or FILE:COLUMN, and not a column."""
    paths = (Path(place), Path(place.rpartition(":")[0] or place))
    return any(path.is_file() or path.suffix == ".jsonl" for path in paths)


def _check_paths(rows: Sequence[Path]) -> None:
    """Raise DataError for a path that does not exist."""
    from tuneworthy.records.errors import DataError

    if missing := next((path for path in rows if not path.exists()), None):
        near = difflib.get_close_matches(missing.name, _names_beside(missing), n=1, cutoff=0.6)
        hint = f"did you mean {missing.with_name(near[0])}? " if near else ""
        raise DataError(
            "there is no such file", where=str(missing),
            got=f"looked in {missing.absolute().parent.resolve()}",
            fix=f"{hint}correct the path of the rows; it starts at the folder you are in",
        )  # fmt: skip


def _names_beside(path: Path) -> list[str]:
    """Return the names in the folder of a path; [] if it can't be read."""
    try:
        return [one.name for one in path.absolute().parent.iterdir()]
    except OSError:
        return []


def _system_and_place(entry: str) -> tuple[str, str]:
    from tuneworthy.records.errors import TaskError
    from tuneworthy.records.plugins import catalogue

    name, sign, place = entry.partition("=")
    if not sign or not name or not place:
        raise TaskError(
            "recorded answers need a name and a file (or a column)",
            where="--answers",
            got=entry,
            fix="write --answers today=logged.jsonl",
        )
    if name != "present" and name in catalogue("arms"):
        raise TaskError(
            "recorded answers have the name of an arm",
            where="--answers",
            got=entry,
            fix=f"call them something else: --answers ours={place}",
        )
    return name, place
