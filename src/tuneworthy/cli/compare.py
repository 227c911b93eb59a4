"""Compare two systems, logged or asked now, or two studies on the cases they share.

Exit code 2 for a wrong command line or two metrics, 5 where rows or answers can't be used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from tuneworthy.cli import _systems as systems
from tuneworthy.cli._options import BadRows, Json, MaxBad, print_stderr, share, show, show_json

if TYPE_CHECKING:
    from tuneworthy.explain.two_logs import LogComparison
    from tuneworthy.flows.comparing import CompareOptions
    from tuneworthy.rows.table_columns import Choice

EPILOG = (
    "Exit codes: 0 a comparison was printed, whatever it shows; 1 a model or an"
    " adapter can't be used; 2 the command line is wrong, no such study, or two studies with two"
    " metrics; 3 --export found a faulty step; 5 rows or answers that can't be used, or no row in"
    " common; 6 --budget is used up."
)
_FIRST_HELP = f"A: {systems.SYSTEM_HELP}; one table with both; or a study."
_SECOND_HELP = "B: the other one."
COLUMNS = "rows.csv --a COLUMN --b COLUMN --gold-column COLUMN"


def command(
    first: Annotated[str, typer.Argument(help=_FIRST_HELP)],
    second: Annotated[str | None, typer.Argument(help=_SECOND_HELP, show_default=False)] = None,
    gold: systems.Gold = None,
    a: Annotated[str | None, typer.Option("--a", help="In one CSV: the column of A.")] = None,
    b: Annotated[str | None, typer.Option("--b", help="In one CSV: the column of B.")] = None,
    gold_column: systems.GoldColumn = None,
    input_column: systems.InputColumn = None,
    answer_column: systems.AnswerColumn = None,
    id_column: systems.IdColumn = None,
    metric: systems.Metric = None,
    match: systems.MatchBy = None,
    cases: systems.Cases = None,
    repeats: systems.Repeats = 1,
    temperature: systems.Temperature = 0.0,
    max_tokens: systems.MaxTokens = None,
    model: systems.AnsweringModel = None,
    prompt: systems.PromptFile = None,
    budget: systems.Budget = None,
    grade: Annotated[
        int | None,
        typer.Option("--grade", min=1, help="Grade so many rows whose answers differ, blind."),
    ] = None,
    grades: Annotated[
        Path | None, typer.Option("--grades", help="The file of grades (else beside --gold).")
    ] = None,
    export: Annotated[
        bool,
        typer.Option("--export", help="Trace an export (B) back to its adapter (A), step by step."),
    ] = False,
    copies: systems.Copies = "near",
    bad_rows: BadRows = "stop",
    max_bad: MaxBad = "1%",
    json: Json = False,
) -> None:
    """Compare two systems, or two studies: B minus A, paired.

    Two systems with --gold, the file of the right answers (not needed where an export holds them);
    or two columns of one table with --a, --b and --gold-column; or two finished studies.
    """
    from tuneworthy.flows.comparing import CompareOptions
    from tuneworthy.records.errors import TuneworthyError
    from tuneworthy.rows.table_columns import Choice

    options = CompareOptions(metric, match, bad_rows, share(max_bad), copies, cases)
    columns = [a, b, gold_column]
    named = Choice(input_column, gold_column, answer_column, id=id_column)
    asking = systems.HowAsked(model, prompt, repeats, temperature, max_tokens, budget)
    if export:
        return _print_trace(first, second, gold, options, asking, json)
    if gold is None and second and not any(columns):
        gold = _right_answers_among([Path(first), Path(second)])
    if gold is None and not any(columns):
        studies = _require_studies(first, second)
        _refuse_for_studies(
            input_column=input_column, answer_column=answer_column, id_column=id_column,
            metric=metric, match=match,
        )  # fmt: skip
        return _print_studies(*studies, json)
    try:
        if gold is not None:
            _refuse_columns(gold, {"--a": a, "--b": b})
            compared = _compare_two_systems(first, second, gold, options, named, asking)
        else:
            other = None if second is None else Path(second)
            compared = _compare_two_columns(Path(first), other, (a, b), named, options)
    except TuneworthyError as error:
        error.kept = "your files; nothing was written"
        if budget is not None:
            error.kept = "your files, and the replies that were paid for: no answer is paid twice"
        raise
    if grade is not None or grades is not None:
        path = grades or (gold or Path(first)).parent / "grades.jsonl"
        compared = _graded(compared, grade, path)
    _print_logs(compared, json)


def _graded(compared: LogComparison, most: int | None, path: Path) -> LogComparison:
    """Return the comparison corrected by the grades in a file, after asking for `most` of them."""
    from tuneworthy.cli._grading import grade_rows
    from tuneworthy.rows.answers import read_grades

    if most is not None:
        grade_rows(compared, most, path, read_grades(path) if path.exists() else {})
    return compared.corrected(read_grades(path) if path.exists() else {})


def _print_logs(compared: LogComparison, json: bool) -> None:
    from tuneworthy.report.comparisons import two_logs_json, two_logs_screen
    from tuneworthy.report.screen import terminal_size

    if json:
        show_json(two_logs_json(compared))
    else:
        show(two_logs_screen(compared, *terminal_size()))


def _right_answers_among(paths: Sequence[Path]) -> Path | None:
    """Return the file that holds the right answers too, as the exports of many tools do."""
    from tuneworthy.rows.compared_files import right_answers_file

    return right_answers_file(paths) if len(_row_files(paths)) == len(paths) else None


def _row_files(paths: Sequence[Path | None]) -> list[Path]:
    """Return the paths that are files of rows, not studies."""
    from tuneworthy.report.results_folder import RESULTS_FILE

    return [path for path in paths if path and path.is_file()
            and not (path.name == "latest" or (path.parent / RESULTS_FILE).exists())
            and path.suffix.lower() not in {".yaml", ".yml"}]  # fmt: skip


def _require_studies(one: str, other: str | None) -> tuple[Path, Path]:
    """Return the paths of both studies; raise TaskError if they are no studies."""
    from tuneworthy.records.errors import TaskError

    first, second = Path(one), None if other is None else Path(other)
    if rows := _row_files([first, second]):
        fix = (
            f"tuneworthy compare {COLUMNS}"
            if second is None
            else f"tuneworthy compare {first} {second} --gold ROWS, the file of the right answers"
        )
        raise TaskError("answers can't be compared without the right answers",
                        where="command line", got=", ".join(map(str, rows)), fix=fix,
                        kept="your files")  # fmt: skip
    if second is None:
        raise TaskError(
            "one study alone can't be compared", where="command line", got=str(first),
            fix="name a second one: tuneworthy compare A B", kept="everything",
        )  # fmt: skip
    return first, second


def _refuse_for_studies(**given: str | None) -> None:
    """Raise TaskError for an option that only two files of answers have."""
    from tuneworthy.records.errors import TaskError

    if named := [name.replace("_", "-") for name, value in given.items() if value is not None]:
        raise TaskError("two studies are compared by their own scores", kept="both studies",
                        where=f"--{named[0]}", fix="leave it out")  # fmt: skip


def _compare_two_systems(
    first: str, second: str | None, gold: Path, options: CompareOptions, named: Choice,
    how: systems.HowAsked,
) -> LogComparison:  # fmt: skip
    if second is None:
        _not_two_files(gold, f"one system, {first}")
    return systems.compare_named(first, second, gold, options, named, how)


def _print_trace(
    first: str, second: str | None, gold: Path | None, options: CompareOptions,
    how: systems.HowAsked, json: bool,
) -> None:  # fmt: skip
    """Print the steps from an adapter to its export; exit 3 where one of them is faulty."""
    from tuneworthy.handover.export_trace import trace_files
    from tuneworthy.handover.named_systems import parse_system
    from tuneworthy.records.errors import TaskError
    from tuneworthy.records.record import canonical
    from tuneworthy.report.comparisons import trace_screen
    from tuneworthy.report.screen import terminal_size

    if second is None:
        raise TaskError("--export takes an adapter and its export", where="command line", got=first,
                        fix="tuneworthy compare --export ADAPTER EXPORT [--gold ROWS]",
                        kept="everything")  # fmt: skip
    trace = trace_files(parse_system(first), parse_system(second), gold, options, how.model)
    if json:
        show_json(canonical(trace.plain()))
    else:
        show(trace_screen(trace, *terminal_size()))
    if trace.fault is not None:
        raise typer.Exit(3)


def _refuse_columns(gold: Path, given: dict[str, str | None]) -> None:
    if named := [option for option, column in given.items() if column is not None]:
        _not_two_files(gold, f"{' and '.join(named)}, columns of one file, beside it")


def _not_two_files(gold: Path, got: str) -> NoReturn:
    from tuneworthy.records.errors import TaskError

    raise TaskError(
        "--gold goes with two files of answers", where="command line", got=got,
        fix=f"tuneworthy compare A.jsonl B.jsonl --gold {gold}; or {COLUMNS}",
    )  # fmt: skip


def _compare_two_columns(
    first: Path,
    second: Path | None,
    pair: tuple[str | None, str | None],
    named: Choice,
    options: CompareOptions,
) -> LogComparison:
    from tuneworthy.flows.comparing import compare_columns
    from tuneworthy.records.errors import TaskError

    columns = {"--a": pair[0], "--b": pair[1], "--gold-column": named.output}
    missing = [option for option, name in columns.items() if name is None]
    if named.present is not None:
        raise TaskError("--a and --b name the columns of answers", where="--answer-column",
                        got=named.present, fix="leave it out")  # fmt: skip
    if second is not None or missing:
        raise TaskError(
            "two columns of one file need their three names", where="command line",
            got=f"{', '.join(missing)} missing" if missing else f"two files, {first} and {second}",
            fix=f"tuneworthy compare {COLUMNS}",
        )  # fmt: skip
    answers = {"a": str(pair[0]), "b": str(pair[1])}
    return compare_columns(first, replace(named, answers=answers), options)


def _print_studies(first: Path, second: Path, json: bool) -> None:
    """Print the paired differences, second minus first, of two studies on their common cases."""
    from tuneworthy.explain.two_studies import (
        Scoring,
        compare_studies,
        ids_with_other_inputs,
        unknown_source,
        why_uncorrected,
    )
    from tuneworthy.records.counting import with_verb
    from tuneworthy.records.errors import DataError
    from tuneworthy.records.record import canonical
    from tuneworthy.report.comparisons import compare_screen
    from tuneworthy.report.results_folder import open_study
    from tuneworthy.report.screen import terminal_size

    studies = open_study(first), open_study(second)
    for uncompared in dict.fromkeys(study.uncompared for study in studies if study.uncompared):
        print_stderr(uncompared)
    one, two = (study.results for study in studies)
    pairs = compare_studies(one, two)
    if not pairs:
        raise DataError("no case was answered in both studies, so nothing can be compared",
                        where=f"{first} and {second}", kept="both studies",
                        fix="name two studies of the same rows")  # fmt: skip
    if caution := why_uncorrected(one, two):
        print_stderr(f"caution: {caution}")
    apart, _ = ids_with_other_inputs(one, two)
    if apart:
        print_stderr(
            f"left out: {with_verb(len(apart), 'case', 'have')} another input under the same id"
        )
    if json:
        if unsure := unknown_source(Scoring.of(one), Scoring.of(two)):
            print_stderr(unsure)
        named = {key: study.verdict for key, study in (("a", one), ("b", two))}
        heads = {key: {"task": v.task.plain(), "status": v.status} for key, v in named.items()}
        body = {"difference": "b - a", "pairs": [pair.plain() for pair in pairs],
                "left_out": sorted(apart)}  # fmt: skip
        show_json(canonical(heads | body))
    else:
        show(compare_screen(one, two, pairs, *terminal_size()))
