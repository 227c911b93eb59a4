"""The recorded answers that a task names: read once, and what is odd about them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from tuneworthy.core.answer import Answer
from tuneworthy.core.audit import Observation
from tuneworthy.core.case import Case, Query
from tuneworthy.core.escape import quoted
from tuneworthy.data.answers import NONE, NULL, Aligned, align
from tuneworthy.data.files import recorded_files
from tuneworthy.data.load import Loaded
from tuneworthy.data.observations import seen


def recorded(loaded: Loaded, scored: Sequence[Case]) -> dict[str, Aligned]:
    """Return the answers of each recorded system to the scored cases.

    Rows that are set aside are matched with them, so that answers without ids keep their order.
    Raises DataError for a file that is missing or can't be matched (see `align`).
    """
    folder = loaded.task.folder
    others: list[Case | Query] = [*loaded.everyone, *loaded.unlabelled]
    files = recorded_files(loaded.task)
    more = loaded.aside
    if loaded.unlocked and loaded.test and not loaded.aside:  # of one file: the rows learnt from
        more = loaded.cases
    found = {name: align(folder / file, [*scored, *more], others) for name, file in files.items()}
    return {name: replace(one, answers=one.answers[: len(scored)]) for name, one in found.items()}


def begins_later(answers: Mapping[str, Answer], early: Collection[str]) -> bool:
    """Return whether a file answers none of the earliest rows: they are left out, not wrong."""
    return all(i not in answers or answers[i].error == NONE for i in early)


def odd_answers(
    loaded: Loaded, found: Mapping[str, Aligned], early: Collection[str] = ()
) -> Iterator[Observation]:
    """Yield what is odd about recorded answers: rows without one, answers to no row, no tool.

    `early` are ids that are scored only where a file answers some of them.
    """
    files = recorded_files(loaded.task)
    for name, aligned in found.items():
        file = quoted(files[name], 60)
        yield from _missing(_asked(aligned, early), file)
        if aligned.strangers:
            count = len(aligned.strangers)
            text = f"{_answers(count)} in {file} belong{'s' * (count == 1)} to no row"
            if loaded.excluded:
                text += ", or to one that was left out"
            fix = "correct the ids if a row of yours is meant; they are not read"
            yield seen("answers_unknown", "warning", text, aligned.strangers, fix)
        if name in loaded.task.answers and loaded.task.answers[name].tool is None:
            text = f"`{quoted(name, 60)}` has no `tool`: it is scored, but no verdict can name it"
            fix = f"write `tool: tune` beside the file, or another tool, under `answers.{name}`"
            yield Observation(kind="no_tool", level="note", text=text, count=1, fix=fix)


def _asked(aligned: Aligned, early: Collection[str]) -> Aligned:
    if not early or not begins_later({one.case: one for one in aligned.answers}, early):
        return aligned
    return replace(aligned, answers=tuple(a for a in aligned.answers if a.case not in early))


def _missing(aligned: Aligned, file: str) -> Iterator[Observation]:
    lost = [answer for answer in aligned.answers if answer.error is not None]
    if not lost:
        return
    null = sum(answer.error == NULL for answer in lost)
    verb, they = ("has", "it counts") if len(lost) == 1 else ("have", "they count")
    text = (
        f"{len(lost):,} of {len(aligned.answers):,} rows {verb} no recorded answer in {file}"
        f"{f' ({null:,} null)' if null else ''}: {they} as wrong"
    )
    fix = "record the answers to these rows too, or take the rows out of the task"
    yield seen("answers_missing", "warning", text, [answer.case for answer in lost], fix)


def _answers(count: int) -> str:
    return f"{count:,} recorded answer{'s' * (count != 1)}"
