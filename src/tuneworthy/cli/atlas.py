"""Show which strategy wins on which type of task, measure more of it, add a measured task."""

from __future__ import annotations

from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    from tuneworthy.atlas.entry import Entry

command = typer.Typer(no_args_is_help=False, rich_markup_mode=None)
FiguresOnly = Annotated[
    bool, typer.Option("--figures-only", help="Without rows and answers: nobody can score again.")
]
Model = Annotated[str, typer.Option(help="The model that prompts run on and training starts from.")]


@command.callback(invoke_without_command=True)
def _show_by_default(
    context: typer.Context,
    json: Json = False,
) -> None:
    if context.invoked_subcommand is None:
        show_map(json)


@command.command("show")
def show_map(json: Json = False) -> None:
    """Print the map: types of task by number of rows, each cell's winner with its bound.

    Example: tuneworthy atlas show
    """
    from tuneworthy.atlas.atlas_data import read_atlas
    from tuneworthy.atlas.atlas_map import build_map
    from tuneworthy.atlas.map_screen import map_plain, map_screen
    from tuneworthy.core.record import canonical
    from tuneworthy.report.terminal import terminal_size

    found = build_map(read_atlas(Path()))
    if json:
        show_json(canonical(map_plain(found)))
    else:
        show(map_screen(found, *terminal_size()))


@command.command("plan")
def plan_cells(
    hours: Annotated[float, typer.Option(min=0.01, help="The hours that it should take.")] = 5.0,
    model: Model = "smollm2-135m",
    json: Json = False,
) -> None:
    """Say what measuring the open cells takes on this machine, and what is cut to fit the hours.

    Example: tuneworthy atlas plan --hours 2
    """
    from tuneworthy.atlas.atlas_data import read_atlas
    from tuneworthy.atlas.atlas_plan import cost_cells, fit_plan, inapplicable_arm_lines
    from tuneworthy.atlas.cells import all_cells
    from tuneworthy.atlas.map_screen import plan_lines, plan_plain
    from tuneworthy.atlas.run_cell import CellOptions
    from tuneworthy.core.record import canonical
    from tuneworthy.report.terminal import terminal_size

    cells = all_cells()
    costs = cost_cells(cells, Path(), read_atlas(Path()), CellOptions(model=model), print_stderr)
    plan, absent = fit_plan(costs, 60 * hours), inapplicable_arm_lines(cells)
    if json:
        show_json(canonical(plan_plain(plan, absent)))
    else:
        show(plan_lines(plan, absent, *terminal_size()))


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
    no_progress: Annotated[bool, typer.Option("--no-progress", help="Show no live view.")] = False,
    json: Json = False,
) -> int:
    """Measure cells, or go on where it stopped; each is a study below `atlas/`.

    Measured cells are passed over unless they are named. A cell that fails stops no other.

    Example: tuneworthy atlas run clause_type-100 --arms majority,tfidf
    """
    from tuneworthy.atlas.atlas_data import read_atlas
    from tuneworthy.atlas.cells import find_cells
    from tuneworthy.atlas.run_cell import CellOptions
    from tuneworthy.atlas.run_cells import run_cells

    wanted = find_cells(cells or [])
    options = CellOptions(model, teacher, arms.split(",") if arms else None, seeds, usd, pay)
    if not cells:
        atlas = read_atlas(Path())
        wanted = [cell for cell in wanted if not atlas.is_measured(cell, model)]
    seconds = None if limit is None else 60 * minutes(limit, "--minutes")
    outcome = run_cells(wanted, Path(), options, seconds,
                        lambda: progress_view(json or no_progress), print_stderr)  # fmt: skip
    left = outcome.unfinished(wanted)
    if json:
        reasons = {name: error.what for name, error in outcome.failed.items()}
        show_json(dumps({"measured": outcome.done, "failed": reasons, "left": left}))
    else:
        print_line(f"measured {len(outcome.done)} of {len(wanted)} cells")
    if left:
        print_stderr("time is up; `tuneworthy atlas run` goes on where it stopped")
    return outcome.exit_code


@command.command("add")
def add_entry(
    folder: Annotated[Path, typer.Argument(help="The folder of an entry (see `atlas entry`).")],
    figures_only: FiguresOnly = False,
    json: Json = False,
) -> None:
    """Check a measured task of somebody else and join it to the atlas of this folder.

    Every recorded answer is scored again. An entry without answers needs --figures-only.

    Example: tuneworthy atlas add clauses-entry
    """
    from tuneworthy.atlas.atlas_data import read_atlas, refuse_older, write_entry
    from tuneworthy.atlas.cell_rows import refuse_other_rows
    from tuneworthy.atlas.check_entry import check_entry
    from tuneworthy.atlas.entry_files import read_folder
    from tuneworthy.core.errors import DataError
    from tuneworthy.core.record import canonical

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

    Example: tuneworthy atlas entry demo/recorded/clause_type --out clauses-entry
    """
    from tuneworthy.atlas.check_entry import check_entry
    from tuneworthy.atlas.entry_files import write_folder
    from tuneworthy.atlas.study_entry import entry_of_study
    from tuneworthy.core.record import canonical

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
