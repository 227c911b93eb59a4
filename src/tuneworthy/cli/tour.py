"""Ask five questions at the terminal and write the task.yaml that they answer."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from tuneworthy.cli._column_question import column_question
from tuneworthy.cli._options import Json, print_stderr
from tuneworthy.cli._task_writing import check_free, print_written, write_task

_TOUR_ARMS = ("majority", "tfidf")  # what runs in seconds beside recorded answers, without a model


def command(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The task file to write; it must not exist.")
    ] = Path("task.yaml"),
    json: Json = False,
) -> None:
    """Ask five questions at the terminal and write a task.yaml from the answers.

    Enter takes the answer in brackets. Nothing is sent, and nothing is written before the last one.
    """
    from tuneworthy.records import own_files
    from tuneworthy.records.errors import TaskError
    from tuneworthy.rows.taskfile import read_task
    from tuneworthy.store.trouble import output_errors

    if output.exists():
        raise TaskError("there is a task file already", where=str(output), fix="-o another.yaml",
                        kept="it, unchanged")  # fmt: skip
    print_stderr("Five questions; Enter takes the answer in brackets, Ctrl-C ends.\n")
    rows = Path(_ask_user("1. Which file holds your rows, each an input with its right answer?", "",
                          _file_fault))  # fmt: skip
    present = _ask_user("2. Which file holds what runs today answered? [none]", "none", _file_fault)
    margin = _ask_user(
        "3. How many more right in 100 would be worth a change? [5]", "5", _points_fault
    )
    target = _ask_user("4. How many of 100 must be right? [no target]", "none", _points_fault)
    model = _ask_user("5. Which model may be asked: smollm2-135m, hf:ORG/NAME, openai:NAME? [none]",
                      "none", _model_fault)  # fmt: skip
    seen = _write_task(rows, present, output)
    text = output.read_text("utf-8")
    text = _fill_in_answers(text, float(margin), None if target == "none" else float(target), model)
    with output_errors(output):
        own_files.write_own(output, text, own_files.TASK)
    read_task(output)  # a file that would be refused must not be the end of a tour
    print_written(output, seen, json)


def _ask_user(question: str, default: str, fault: Callable[[str], str]) -> str:
    """Return the user's answer, asked again until `fault` returns ""; abort at the input's end."""
    while True:
        print_stderr(question)
        line = sys.stdin.readline()
        if not line:
            raise typer.Abort
        answer = line.strip() or default
        why = "" if answer == default and default else fault(answer)
        if not why:
            return answer
        print_stderr(f"   {why}")


def _file_fault(answer: str) -> str:
    if not answer:
        return "a file is needed: a table, JSON Lines or any that `init` reads"
    return "" if Path(answer).is_file() else f"there is no file {answer} here"


def _points_fault(answer: str) -> str:
    try:
        value = float(answer)
    except ValueError:
        return "a number from 1 to 100 is needed"
    return "" if 1 <= value <= 100 else "a number from 1 to 100 is needed"


def _model_fault(answer: str) -> str:
    known = ("hf:", "vllm:", "openai:", "scripted:")
    if answer in ("none", "smollm2-135m") or answer.startswith(known):
        return ""
    return "write none, smollm2-135m, hf:ORG/NAME or openai:NAME"


def _write_task(rows: Path, present: str, output: Path) -> tuple[str, ...]:
    """Write the task file that `init` would write; return the lines that `init` would print."""
    from tuneworthy.records.errors import TuneworthyError
    from tuneworthy.rows.importing import ImportOptions
    from tuneworthy.rows.table_columns import Choice

    answers = {} if present == "none" else {"present": present}
    options = ImportOptions(Choice(), column_question(), replace=False)
    try:
        check_free([rows], output, force=False)
        return write_task([rows], answers, options, output)
    except TuneworthyError as error:
        error.kept = "your rows; nothing was written"
        raise


def _fill_in_answers(text: str, margin: float, target: float | None, model: str) -> str:
    """Return the drafted task.yaml with the user's answers written in; comments are kept."""
    import io

    from ruamel.yaml import YAML

    yaml, out = YAML(), io.StringIO()
    yaml.preserve_quotes = True
    yaml.width = 100
    content: Any = yaml.load(text)
    success = content.setdefault("success", {})
    success["margin"] = min(margin / 100, 0.99)
    if target is not None:
        success["target"] = target / 100
    if model == "none":
        recorded = [name for name in ("present", "answers") if content.get(name)]
        kind = content.get("output", {}).get("type")
        arms = [*recorded, *(_TOUR_ARMS if kind == "label" else _TOUR_ARMS[:1])]
        if len(arms) > 1:  # one arm alone can't be compared: then every arm is left to the plan
            content["arms"] = arms
    else:
        content["model"] = model
    yaml.dump(content, out)
    return out.getvalue()
