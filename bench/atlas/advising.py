"""The steps of `advice`: read measured tasks and recorded answers, ask a model, score advisers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.atlas.adviser_list import Adviser, all_advisers
from bench.atlas.answer_file import by_adviser, read_advice, shipped_advice
from bench.atlas.asking import ask_model
from bench.atlas.atlas_data import read_atlas
from bench.atlas.scoring import AdviceTable, score_advisers
from bench.atlas.task_file import read_tasks

from tuneworthy.models import is_local, open_model
from tuneworthy.records.errors import TaskError
from tuneworthy.records.measured_task import MeasuredTask
from tuneworthy.store.purse import SpendingCap
from tuneworthy.store.store import open_ledger
from tuneworthy.store.trouble import output_errors

Say = Callable[[str], None]


@dataclass(frozen=True)
class AskOptions:
    """The model to ask for advice, by its spec, and whether our skill text is in the prompt.

    `usd` caps what an endpoint may cost; `pay` allows it without a cap.
    """

    model: str
    with_skill: bool = False
    usd: float | None = None
    pay: bool = False


def advisers_of(
    tasks: list[MeasuredTask], answers: Path | None = None, run_programs: bool = False
) -> list[Adviser]:
    """Return the advisers to score on the tasks: the rules, and those with recorded answers.

    Answers are read from our package and from the file `answers`. `run_programs`: also run
    installed programs that advise, such as soup-cli. Raises DataError if `answers` has other
    content.
    """
    recorded = [*shipped_advice(), *(read_advice(answers) if answers else [])]
    return all_advisers(tasks, by_adviser(recorded), run_programs)


def advice_table(tasks: list[MeasuredTask], advisers: list[Adviser]) -> AdviceTable:
    """Return the table of each adviser's scores on the tasks."""
    return score_advisers(advisers, tasks)


def measured_tasks(path: Path | None = None, working: Path | None = Path()) -> list[MeasuredTask]:
    """Return the measured tasks in a file, or without a file those of the atlas ([] if none).

    The atlas is the package's own with the entries that were added in the folder `working` (None:
    without added entries). Raises DataError for a file that can't be used.
    """
    if path is not None:
        return read_tasks(path)
    atlas = read_atlas(working)
    return [listed.head.card for listed in atlas.entries.values()]


def ask_for_advice(options: AskOptions, tasks: list[MeasuredTask], answers: Path, say: Say) -> int:
    """Ask a model for advice on each task, add it to the file `answers`; return the requests sent.

    An endpoint's requests and replies are kept in the ledger of the folder of `answers`, under the
    cap. Raises TaskError for an endpoint without a cap, and what `ask_model` raises.
    """
    folder = answers.parent
    with output_errors(answers):
        if is_local(options.model):
            model = open_model(options.model, folder=Path())
            return ask_model(model, tasks, answers, options.model, options.with_skill, say)
        if options.usd is None and not options.pay:
            raise TaskError(
                "an endpoint has no cap on what it may cost",
                where="--usd",
                got=options.model,
                fix="add --usd AMOUNT, or allow it with --pay",
                kept="your files; nothing was sent",
            )
        with open_ledger(folder) as ledger:
            purse = SpendingCap(ledger, options.usd, None, "advice")
            model = open_model(options.model, folder=Path(), purse=purse)
            return ask_model(model, tasks, answers, options.model, options.with_skill, say)
