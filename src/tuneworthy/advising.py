"""The steps of `advice`: read measured tasks and recorded answers, ask a model, score advisers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tuneworthy.advice.adviser_list import Adviser, all_advisers
from tuneworthy.advice.answer_file import by_adviser, read_advice, shipped_advice
from tuneworthy.advice.asking import ask_model
from tuneworthy.advice.measured_tasks import measured_tasks
from tuneworthy.advice.scoring import AdviceTable, score_advisers
from tuneworthy.core.errors import TaskError
from tuneworthy.core.measured_task import MeasuredTask
from tuneworthy.ledger.purse import SpendingCap
from tuneworthy.ledger.store import open_ledger
from tuneworthy.ledger.trouble import output_errors
from tuneworthy.models import is_local, open_model

Say = Callable[[str], None]


@dataclass(frozen=True)
class AskOptions:
    """Which model is asked (`model` is a spec), whether our skill text is added, and its cap.

    `usd` caps what an endpoint may cost; `pay` allows it without a cap.
    """

    model: str
    with_skill: bool = False
    usd: float | None = None
    pay: bool = False


def advisers_of(
    tasks: list[MeasuredTask], answers: Path | None = None, run_programs: bool = False
) -> list[Adviser]:
    """Return the advisers that can be scored on the tasks: rules, and who answered in a file.

    Shipped answers count too. `run_programs`: ask other programs that are installed, as soup-cli.
    Raises DataError for a file of other content.
    """
    told = [*shipped_advice(), *(read_advice(answers) if answers else [])]
    return all_advisers(tasks, by_adviser(told), run_programs)


def advice_table(tasks: list[MeasuredTask], advisers: list[Adviser]) -> AdviceTable:
    """Return the advisers scored on the tasks."""
    return score_advisers(advisers, tasks)


def tasks_of(path: Path | None = None) -> list[MeasuredTask]:
    """Return the measured tasks of a file, else the shipped ones. Raises DataError."""
    return measured_tasks(path)


def ask(options: AskOptions, tasks: list[MeasuredTask], answers: Path, say: Say) -> int:
    """Ask a model about the tasks and keep its answers; return the number of requests.

    An endpoint's requests and replies are kept in the ledger beside the file of answers, under its
    cap. Raises TaskError for an endpoint without a cap, and what `ask_model` raises.
    """
    folder = answers.parent
    with output_errors(answers):
        if is_local(options.model):
            model = open_model(options.model, folder=Path())
            return ask_model(model, tasks, answers, options.with_skill, say)
        if options.usd is None and not options.pay:
            raise TaskError(
                "a paid model has no cap on what it may cost",
                where="--usd",
                got=options.model,
                fix="add --usd AMOUNT, or allow it with --pay",
                kept="your files; nothing was sent",
            )
        with open_ledger(folder) as ledger:
            purse = SpendingCap(ledger, options.usd, None, "advice")
            model = open_model(options.model, folder=Path(), purse=purse)
            return ask_model(model, tasks, answers, options.with_skill, say)
