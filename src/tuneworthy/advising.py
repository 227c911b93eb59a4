"""The steps of `advice`: read measured tasks and recorded answers, ask a model, score advisers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tuneworthy.advice.adviser_list import all_advisers
from tuneworthy.advice.answer_file import by_adviser, read_advice
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


def advice_table(tasks: list[MeasuredTask], answers: Path | None = None) -> AdviceTable:
    """Return every adviser scored on the tasks, with the recorded ones of a file of answers."""
    recorded = by_adviser(read_advice(answers)) if answers else {}
    return score_advisers(all_advisers(tasks, recorded), tasks)


def tasks_of(path: Path | None) -> list[MeasuredTask]:
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
