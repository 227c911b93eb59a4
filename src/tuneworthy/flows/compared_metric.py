"""Choose the metric of a comparison, and refuse one that fails: no score would say anything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tuneworthy.explain.metric_ladder import MOST_CASES, TOLERATED_UNSCORED, why_metric_is_broken
from tuneworthy.metrics import JUDGE, metric_name, score_all, scorer
from tuneworthy.records.answer import Answer, Score, Unscored, lacks_score, value_or_zero
from tuneworthy.records.case import Case
from tuneworthy.records.counting import count_noun
from tuneworthy.records.errors import TaskError
from tuneworthy.records.task import Task
from tuneworthy.rows.answer_form import choose_answer_form, propose_metric, with_form
from tuneworthy.rows.load import Loaded

FILES_KEPT = "your files; nothing was written"
_WHOLE_ANSWER_METRICS = {"accuracy", "exact", "exact_words", "token_f1"}
"""The metrics that score below 1 where a right answer stands inside a longer text."""
NONE_RIGHT = (
    "neither system gave an answer that scores above 0, so this says nothing of the two: look at"
    " answers (`cases` in --json), at the metric, and at what a model was asked (--prompt)"
)
_NOTED_SHARE = 0.1  # a note is given if more of a side's answers contain a right one

AlignedRows = tuple[Sequence[Case], Sequence[Answer], Sequence[Answer]]
"""Cases, and the answers of the first and of the second system, in the same order."""


def unscored_rows(
    task: Task, rows: AlignedRows, scores: Sequence[Sequence[Score | Unscored]], most: float
) -> set[int]:
    """Return the positions of rows where the metric could not score an answer that came back.

    Raises TaskError if that is more than a share `most` of the rows (a single row never is), or if
    the metric fails on the right answers: no score would say anything about the systems.
    """
    cases, *sides = rows
    lost = {
        at: score.reason
        for answers, own in zip(sides, scores, strict=True)
        for at, (answer, score) in enumerate(zip(answers, own, strict=True))
        if lacks_score(answer, score) and isinstance(score, Unscored)
    }
    broken = why_metric_is_broken(cases[:MOST_CASES], scorer(task))
    if not broken and len(lost) <= max(TOLERATED_UNSCORED, most * len(cases)):
        return set(lost)
    raise TaskError(
        broken[0] if broken else
        f"the metric gives no score to answers of {len(lost):,} of {count_noun(len(cases), 'row')}",
        where=f"--metric {metric_name(task)}",
        got=next(iter(lost.values()), "a score that can't tell a right answer from a wrong one"),
        fix="mend the metric so that it returns a number from 0 to 1 for every answer (0 for one it"
        " can't read), or name another one",
        kept=FILES_KEPT,
    )  # fmt: skip


def with_metric(loaded: Loaded, rows: AlignedRows, metric: str | None) -> tuple[Task, list[str]]:
    """Return (task with its metric and answer form, [note on how the form was guessed] or []).

    It is `metric`, else the one that `init` proposes for these rows and answers.
    """
    task = loaded.task
    if metric == JUDGE:
        raise TaskError(
            "a judge is a model, and this comparison calls none", where="--metric", got=JUDGE,
            fix="write a task.yaml with `success.judge` and both files under `answers`, then run",
            kept=FILES_KEPT,
        )  # fmt: skip
    if metric is not None:
        return task, []
    cases, *sides = rows
    said: dict[str, list[str]] = {case.id: [] for case in cases}
    for answer in (answer for side in sides for answer in side if answer.error is None):
        said[answer.case].append(answer.text)
    if form := choose_answer_form(loaded.cases, said, task.output.type or "text"):
        return with_form(task, form), [form.sentence]
    better = propose_metric(loaded.cases) if task.output.type == "text" else None
    if better:
        success = task.success.model_copy(update={"metric": better[0]})
        task = task.model_copy(update={"success": success}).at(task.folder)
    return task, []


def contained_answer_notes(
    task: Task, rows: AlignedRows, scores: Sequence[Sequence[Score | Unscored]]
) -> Iterator[str]:
    """Yield a note for each side many of whose answers contain the right one in a longer text."""
    if metric_name(task) not in _WHOLE_ANSWER_METRICS or task.output.type not in {"label", "text"}:
        return
    success = task.success.model_copy(update={"metric": "contains"})
    holds = scorer(task.model_copy(update={"success": success}).at(task.folder))
    cases, *sides = rows
    for name, answers, own in zip("AB", sides, scores, strict=True):
        found = score_all(holds, cases, answers)
        held = sum(
            value_or_zero(one) < 1 <= value_or_zero(held)
            for one, held in zip(own, found, strict=True)
        )
        if held > _NOTED_SHARE * len(answers):
            yield (
                f"{held:,} of {name}'s {count_noun(len(answers), 'answer')}"
                f" {'holds' if held == 1 else 'hold'} a right one inside a longer text:"
                " `--metric contains` counts them"
            )
