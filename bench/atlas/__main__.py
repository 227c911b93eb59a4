"""Measure cells of the atlas, add measured tasks, score advisers, and write the package's file.

usage: python -m bench.atlas COMMAND      (in the repository's folder; --help lists the commands)
"""

from __future__ import annotations

import sys
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tuneworthy.cli._options import (
    Json,
    minutes,
    print_line,
    print_stderr,
    progress_view,
    show,
    show_json,
)

if TYPE_CHECKING:
    from bench.atlas.entry import Entry
    from bench.atlas.run_cell import CellOptions

command = typer.Typer(no_args_is_help=True, rich_markup_mode=None, add_completion=False)
EXIT_NOTHING = 4
FiguresOnly = Annotated[
    bool, typer.Option("--figures-only", help="Without rows and answers: nobody can score again.")
]
Data = Annotated[
    Path | None, typer.Option("--data", help="The folder of public sets (default: none of them).")
]
Model = Annotated[str, typer.Option(help="The model that prompts run on and training starts from.")]


@command.command("plan")
def plan_cells(model: Model = "smollm2-135m", data: Data = None, json: Json = False) -> None:
    """Say which cells are still to measure, in what order, and the minutes of each here.

    Example: python -m bench.atlas plan --data ../shared/data
    """
    from bench.atlas.atlas_data import read_atlas
    from bench.atlas.cell_queue import cost_cells, inapplicable_arm_lines, open_cells
    from bench.atlas.cells import find_cells
    from bench.atlas.plan_screen import plan_lines, plan_plain

    from tuneworthy.records.record import canonical
    from tuneworthy.report.screen import terminal_size

    cells, options = find_cells([], data), _every_arm(model)
    left = open_cells(cells, read_atlas(Path()), options)
    queue, absent = cost_cells(left, Path(), options, print_stderr), inapplicable_arm_lines(cells)
    if json:
        show_json(canonical(plan_plain(queue, len(cells), absent)))
    else:
        show(plan_lines(queue, len(cells), absent, *terminal_size()))


def _every_arm(model: str, **more: Any) -> CellOptions:
    """Return the options of a cell with the arms of the map and those that the queue adds."""
    from bench.atlas.cells import ARMS, MORE_ARMS
    from bench.atlas.run_cell import CellOptions

    return CellOptions(model, kinds=(*ARMS, *MORE_ARMS), **more)


@command.command("run")
def measure_cells(
    cells: Annotated[
        list[str] | None, typer.Argument(help="Cells as `clause_type-100` (default: all).")
    ] = None,
    limit: Annotated[
        str | None, typer.Option("--minutes", help="Stop cleanly after so long (90, 10m, 2h).")
    ] = None,
    model: Model = "smollm2-135m",
    seeds: Annotated[int, typer.Option(min=1, max=20, help="Seeds of each trained arm.")] = 3,
    teacher: Annotated[
        str | None, typer.Option(help="A teacher for `distil` (default: no cell distils).")
    ] = None,
    usd: Annotated[
        float | None, typer.Option(min=0, help="The most that a cell may cost at an endpoint.")
    ] = None,
    pay: Annotated[
        bool, typer.Option("--pay", help="Allow a model at an endpoint without a cap.")
    ] = False,
    arms: Annotated[
        str | None, typer.Option(help="Only these arms, with commas (default: all that apply).")
    ] = None,
    data: Data = None,
    no_progress: Annotated[bool, typer.Option("--no-progress", help="Show no live view.")] = False,
    json: Json = False,
) -> int:
    """Measure cells, or go on where it stopped; each is a study below `atlas/`.

    Without names it is the queue of `plan`: at the lowest priority, one at a time in a folder. A
    cell that fails stops no other.

    Example: python -m bench.atlas run clause_type-100 --arms majority,tfidf
    """
    from contextlib import nullcontext

    from bench.atlas.atlas_data import read_atlas
    from bench.atlas.cell_queue import cost_cells, only_queue, open_cells
    from bench.atlas.cells import find_cells
    from bench.atlas.run_cells import run_cells

    wanted = find_cells(cells or [], data)
    options = _every_arm(model, teacher=teacher, arms=arms.split(",") if arms else None,
                         seeds=seeds, usd=usd, pay=pay)  # fmt: skip
    seconds = None if limit is None else 60 * minutes(limit, "--minutes")
    with nullcontext() if cells else only_queue(Path()):
        if not cells:
            left = open_cells(wanted, read_atlas(Path()), options)
            wanted = [cost.cell for cost in cost_cells(left, Path(), options, print_stderr)]
        outcome = run_cells(wanted, Path(), options, seconds,
                            lambda: progress_view(json or no_progress), print_stderr)  # fmt: skip
    left = outcome.unfinished(wanted)
    if json:
        reasons = {name: error.what for name, error in outcome.failed.items()}
        show_json(dumps({"measured": outcome.done, "failed": reasons, "left": left}))
    else:
        print_line(f"measured {len(outcome.done)} of {len(wanted)} cells")
    if left:
        print_stderr("time is up; `python -m bench.atlas run` goes on where it stopped")
    return outcome.exit_code


@command.command("add")
def add_entry(
    folder: Annotated[Path, typer.Argument(help="The folder of an entry (see `entry`).")],
    figures_only: FiguresOnly = False,
    json: Json = False,
) -> None:
    """Check a measured task of somebody else and join it to the atlas of this folder.

    Every recorded answer is scored again. An entry without answers needs --figures-only.

    Example: python -m bench.atlas add clauses-entry
    """
    from bench.atlas.atlas_data import read_atlas, refuse_older, write_entry
    from bench.atlas.cell_rows import refuse_other_rows
    from bench.atlas.check_entry import check_entry
    from bench.atlas.entry_files import read_folder

    from tuneworthy.records.errors import DataError
    from tuneworthy.records.record import canonical

    entry = read_folder(folder)
    if entry.figures_only and not figures_only:
        raise DataError("this entry has no answers, so its figures can't be scored again",
                        where=str(folder), got="figures only", kept="the atlas, unchanged",
                        fix="--figures-only takes them as stated; every view says so")  # fmt: skip
    scored = check_entry(entry)
    refuse_other_rows(entry)
    refuse_older(entry, read_atlas(Path()))
    path = write_entry(entry, Path())
    if json:
        show_json(canonical({"key": entry.card.key, "scored_again": scored, "file": str(path)}))
        return
    checked = f"{scored:,} answers scored again" if scored else "figures only, as stated"
    print_line(f"added {entry.card.key}: {checked}")


@command.command("entry")
def write_own_entry(
    study: Annotated[Path, typer.Argument(help="A finished study: folder, name or hash.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The new folder to write.")],
    kind: Annotated[
        str | None, typer.Option(help="The type of task in plain words (default: its name).")
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="The entry's key (default: name and hash).")
    ] = None,
    facts_change: Annotated[
        bool, typer.Option("--facts-change", help="The facts of the right answers change.")
    ] = False,
    figures_only: FiguresOnly = False,
    json: Json = False,
) -> None:
    """Write an entry of a finished study of your own: task card, rows, answers, environment.

    The folder holds your scored rows and every answer, unless --figures-only.

    Example: python -m bench.atlas entry demo/recorded/clause_type --out clauses-entry
    """
    from bench.atlas.check_entry import check_entry
    from bench.atlas.entry_files import write_folder
    from bench.atlas.study_entry import entry_of_study

    from tuneworthy.records.record import canonical

    entry = entry_of_study(study, kind, key, facts_change, figures_only)
    scored = check_entry(entry)
    folder = write_folder(entry, out)
    if json:
        show_json(canonical({"key": entry.card.key, "folder": str(folder), "answers": scored}))
        return
    print_line(folder)
    print_stderr(_content_of_entry(entry, scored))


def _content_of_entry(entry: Entry, scored: int) -> str:
    if entry.figures_only:
        return "figures only: no row and no answer stands in it"
    taught = f", {len(entry.card.shown)} rows to learn from" if entry.card.shown else ""
    held = f"{len(entry.cases):,} of your scored rows{taught} and {scored:,} answers"
    return f"it holds {held}: read it before you publish it"


@command.command("advise")
def score_advice(
    tasks: Annotated[
        Path | None,
        typer.Option("--tasks", help="Measured tasks, JSON lines (else those of the atlas)."),
    ] = None,
    answers: Annotated[
        Path, typer.Option("--answers", help="Recorded answers; --ask adds to this file.")
    ] = Path("advice.jsonl"),
    ask: Annotated[
        str | None, typer.Option("--ask", help="Ask this model about every task, then score it.")
    ] = None,
    with_skill: Annotated[
        bool, typer.Option("--with-skill", help="With --ask: send our guide to choosing a tool.")
    ] = False,
    usd: Annotated[
        float | None, typer.Option("--usd", min=0, help="With --ask: the most dollars to spend.")
    ] = None,
    pay: Annotated[
        bool, typer.Option("--pay", help="With --ask: allow an endpoint without a cap.")
    ] = False,
    json: Json = False,
) -> None:
    """Show who predicts the winning tool, and how many points are lost by following the advice.

    The tasks are those whose winner was measured. Advisers are rules of thumb, the five-question
    checklist, the program `soup advise`, and everybody whose answers the file of --answers holds.
    --ask MODEL asks a language model about each task that it has not answered yet.
    """
    from bench.atlas.advising import AskOptions, advice_table, advisers_of, measured_tasks
    from bench.atlas.advising import ask_for_advice as ask_about

    from tuneworthy.records.record import canonical
    from tuneworthy.report.atlas import advice_json, advice_screen
    from tuneworthy.report.screen import terminal_size

    _refuse_alone(ask, with_skill=with_skill, usd=usd is not None, pay=pay)
    measured = measured_tasks(tasks)
    if not measured:
        print_line("there is no measured task: no adviser can be judged")
        raise typer.Exit(EXIT_NOTHING)
    if ask is not None:
        done = ask_about(AskOptions(ask, with_skill, usd, pay), measured, answers, print_stderr)
        print_stderr(f"{done} asked now; answers are kept in {answers}")
    table = advice_table(measured, advisers_of(measured, answers, run_programs=True))
    if json:
        show_json(canonical(advice_json(table)))
    else:
        show(advice_screen(table, *terminal_size()))


def _refuse_alone(ask: str | None, **given: bool) -> None:
    """Raise TaskError for a given option that has an effect only together with --ask."""
    from tuneworthy.records.errors import TaskError

    if ask is None and (alone := [name for name, value in given.items() if value]):
        raise TaskError("this option belongs to --ask", where=f"--{alone[0].replace('_', '-')}",
                        fix="add --ask MODEL, or leave it out", kept="everything")  # fmt: skip


@command.command("package")
def write_package() -> None:
    """Write the atlas that the package ships from the entries in bench/atlas/entries."""
    from bench.atlas.package_file import write_package_file

    from tuneworthy.report.atlas_file import ATLAS_FILE

    print_line(f"{ATLAS_FILE}: {write_package_file():,} bytes")


def main(words: list[str] | None = None) -> int:
    """Run one command (None: that of the command line); return its exit code or its error's."""
    from tuneworthy.records.errors import TuneworthyError
    from tuneworthy.store.signals import StopRequested

    words = sys.argv[1:] if words is None else words
    try:
        code = command(
            words or ["--help"], prog_name="python -m bench.atlas", standalone_mode=False
        )
    except TuneworthyError as error:
        print_stderr(error)
        return error.exit_code
    except StopRequested as stop:
        print_stderr(stop)
        return stop.exit_code
    return code if isinstance(code, int) else 0


if __name__ == "__main__":
    sys.exit(main())
