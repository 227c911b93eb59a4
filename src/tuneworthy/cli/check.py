"""Check the rows; with --live a log of served requests, with --run a training folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tuneworthy.cli._options import (
    BadRows,
    Json,
    Limit,
    MaxBad,
    TaskFile,
    print_line,
    print_messages,
    share,
    show,
    show_json,
    task_path,
)

if TYPE_CHECKING:
    from tuneworthy.records.run import RunOptions
    from tuneworthy.report.atlas_file import Forecast

Live = Annotated[
    Path | None, typer.Option("--live", help="Check this log of served requests instead.")
]
Gold = Annotated[
    Path | None,
    typer.Option("--gold", help="With --live: rows with right answers to these requests."),
]
_ArmInUse = Annotated[
    str | None,
    typer.Option("--arm", help="With --live: the arm in use, if the verdict names another."),
]
_ShowInputs = Annotated[
    bool,
    typer.Option("--show", help="With --live: print the inputs that resemble no row of the study."),
]
Blind = Annotated[
    int | None,
    typer.Option("--blind", min=1, help="Write so many rows without answers, to label blind."),
]
Run = Annotated[Path | None, typer.Option("--run", help="Check this training folder instead.")]
Data = Annotated[
    Path | None, typer.Option("--data", help="With --run: the rows that the run was trained on.")
]
Test = Annotated[
    Path | None, typer.Option("--test", help="With --run: rows to score the trained model on.")
]
Base = Annotated[
    Path | None, typer.Option("--base", help="With --run: the folder of the base model.")
]


def command(
    task: TaskFile = Path("task.yaml"),
    bad_rows: BadRows = "stop",
    max_bad: MaxBad = "1%",
    limit: Limit = None,
    live: Live = None,
    gold: Gold = None,
    arm: _ArmInUse = None,
    show_inputs: _ShowInputs = False,
    blind: Blind = None,
    run: Run = None,
    data: Data = None,
    test: Test = None,
    base: Base = None,
    json: Json = False,
) -> None:
    """Check rows and recorded answers for faults, and say how small a gain they can show.

    Nothing is sent, nothing is scored.

    With --live LOG (JSON lines, OpenTelemetry GenAI): does the verdict still hold for the requests
    that are served? The answer is keep, retrain, or repeat the verdict; exit code 0 for each. It is
    an error if more lines can't be read than --max-bad allows.

    With --run FOLDER: find known failures of training. Reads folders of Hugging Face Trainer, TRL
    and Unsloth, logs in JSON Lines, CSV or JSON, PEFT adapters. Exit code 0: none found; 3: one
    found; 4: nothing could be measured.
    """
    from tuneworthy.report.checks import audit_screen, live_check_screen
    from tuneworthy.report.screen import terminal_size

    if run is not None:
        _refuse_beside(live=live, gold=gold, arm=arm, show=show_inputs, blind=blind)
        raise typer.Exit(_check_run(run, (data, test, base), json))
    _refuse_alone("--run", data=data, test=test, base=base)
    if live is not None:
        from tuneworthy.handover.watching import WatchOptions, check_live
        from tuneworthy.records.record import canonical

        watched = WatchOptions(arm, gold, show_inputs, most_unread=share(max_bad))
        found = check_live(task_path(task), live, watched)
        if json:
            show_json(canonical(found))
        else:
            show(live_check_screen(found, *terminal_size()))
        return
    _refuse_alone("--live", gold=gold, arm=arm, show=show_inputs)
    from tuneworthy.flows.study import RunOptions, check

    options = RunOptions(bad_rows=bad_rows, max_bad=share(max_bad), limit=limit)
    if blind is not None:
        print_line(_write_blind_rows(task_path(task), options, blind))
        return
    audit = check(task_path(task), options, print_messages)
    if json:
        show_json(audit.model_dump_json(by_alias=True, indent=2))
    else:
        show(audit_screen(audit, *terminal_size()))
        for line in _forecasts(task_path(task), options):
            print_line(line)


_BLIND_FILE = "blind_rows.jsonl"


def _write_blind_rows(path: Path, options: RunOptions, count: int) -> str:
    """Write `count` rows drawn at random, without answers, beside the task; return what was done.

    Raises DataError if there are fewer rows, TaskError if the file exists.
    """
    import random
    from json import dumps

    from tuneworthy.flows.session import read
    from tuneworthy.records.errors import DataError
    from tuneworthy.records.own_files import ROWS, check_own, write_atomic

    loaded, _ = read(path, options, print_messages)
    cases, file = loaded.everyone, path.parent / _BLIND_FILE
    if count > len(cases):
        raise DataError("there are not so many rows", where="--blind", got=f"{count:,}",
                        fix=f"ask for at most {len(cases):,}")  # fmt: skip
    drawn = random.Random(loaded.task.seed).sample(sorted(cases, key=lambda case: case.id), count)
    rows = [
        {"id": case.id, "input": case.input, "output": ""}
        if len(case.messages) == 1
        else {"id": case.id, "messages": [turn.plain() for turn in case.messages], "output": ""}
        for case in drawn
    ]
    check_own(file, ROWS, free=True, replaced_by="")
    write_atomic(file, (dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return (
        f"{file}: {count:,} rows without answers. Write each `output` without looking at an answer"
        " of any system, then name the file in task.yaml:"
        f" data: {{file: {_BLIND_FILE}, corrected: false}}"
    )


def _forecasts(path: Path, options: RunOptions) -> list[str]:
    """Return lines that forecast the winning tool and the worth of more answers; [] if unknown."""
    from tuneworthy.report.atlas_file import read_atlas
    from tuneworthy.report.plans import repeats_lines

    forecast = read_atlas().forecast
    winner = _winner_lines(path, options, forecast) if forecast else []
    return [*winner, *repeats_lines(path)]


def _winner_lines(path: Path, options: RunOptions, forecast: Forecast) -> list[str]:
    """Return the line on the tools that win on rows like these; [] without right answers."""
    from random import Random

    from tuneworthy.flows.session import read
    from tuneworthy.report.atlas_file import row_features

    loaded, split = read(path, options)
    outputs = [case.output for case in loaded.everyone]
    if len(outputs) > forecast.answers:
        outputs = Random(0).sample(outputs, forecast.answers)
    learnt = max((len(part.train) + len(part.dev) for part in split.parts), default=len(outputs))
    facts = row_features(outputs, learnt, loaded.task.output.type)
    return [forecast.line(facts)] if facts else []


def _check_run(folder: Path, files: tuple[Path | None, ...], json: bool) -> int:
    """Print what the detectors of the lab find in a training folder; return the exit code."""
    from tuneworthy.lab.own_run import OwnFiles, check_run
    from tuneworthy.records.record import canonical
    from tuneworthy.report.checks import own_run_screen
    from tuneworthy.report.screen import terminal_size

    found = check_run(folder, OwnFiles(*files))
    if json:
        show_json(canonical({**found.plain(), "exit_code": found.exit_code}))
    else:
        show(own_run_screen(found, *terminal_size()))
    return found.exit_code


def _refuse_alone(option: str, **given: object) -> None:
    """Raise TaskError for a given option that has an effect only together with `option`."""
    from tuneworthy.records.errors import TaskError

    if alone := [name for name, value in given.items() if value]:
        whole = {"--live": "--live LOG", "--run": "--run FOLDER"}[option]
        raise TaskError(f"this option belongs to {option}", where=f"--{alone[0]}",
                        fix=f"add {whole}, or leave it out")  # fmt: skip


def _refuse_beside(**given: object) -> None:
    """Raise TaskError for an option of --live that is given together with --run."""
    from tuneworthy.records.errors import TaskError

    if named := [name for name, value in given.items() if value]:
        raise TaskError("--run and --live are two checks", where=f"--{named[0]}",
                        fix="run them one after the other")  # fmt: skip
