"""Read the recorded answers that a task names, and report their anomalies."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest

from tuneworthy.records.answer import Answer
from tuneworthy.records.audit_report import Observation
from tuneworthy.records.case import Case, Query
from tuneworthy.records.errors import DataError
from tuneworthy.records.escape import quoted
from tuneworthy.records.task import Task, match_setting, recorded_files
from tuneworthy.rows.answers import AlignedAnswers, align_answers
from tuneworthy.rows.fingerprint import file_digest
from tuneworthy.rows.load import Loaded
from tuneworthy.rows.observations import observation

_MIN_GOLD_ANSWERS = 20
"""Fewest answers for the warning that all of them equal the gold answers."""


def recorded_answers(loaded: Loaded, scored: Sequence[Case]) -> dict[str, AlignedAnswers]:
    """Return the answers of each recorded system to the scored cases.

    Rows that are set aside are matched with them, so that answers without ids keep their order.
    Raises DataError for a file that is missing or can't be matched (see `align_answers`), and for
    the file of gold answers itself.
    """
    folder = loaded.task.folder
    others: list[Case | Query] = [*loaded.everyone, *loaded.unlabelled]
    files = recorded_files(loaded.task)
    more = loaded.aside
    if loaded.unlocked and loaded.test and not loaded.aside:  # one file: these are training rows
        more = loaded.cases
    refuse_gold(loaded.task, files.values(), (match_setting(loaded.task, n)[1] for n in files))
    output = loaded.task.output
    labels = [str(label) for label in output.labels or ()] if output.type == "label" else None
    aligned = {
        name: align_answers(
            folder / file,
            [*scored, *more],
            others,
            *match_setting(loaded.task, name),
            labels=labels,
        )
        for name, file in files.items()
    }
    return {name: replace(log, answers=log.answers[: len(scored)]) for name, log in aligned.items()}


def skips_early_rows(answers: Mapping[str, Answer], early: Collection[str]) -> bool:
    """Return whether answers exist for none of the `early` rows, which are then not scored."""
    return all(i not in answers or answers[i].lost == "not recorded" for i in early)


def answer_observations(
    loaded: Loaded, found: Mapping[str, AlignedAnswers], early: Collection[str] = ()
) -> Iterator[Observation]:
    """Yield anomalies of recorded answers: rows without one, unmatched answers, no tool.

    `early` are ids that are scored only if a file answers some of them.
    """
    files = recorded_files(loaded.task)
    for name, aligned in found.items():
        file = quoted(files[name], 60)
        yield from _missing_answers(_without_early(aligned, early), file)
        yield from _doubtful_matches(aligned, name, file)
        if aligned.columns:
            text = f"recorded answers are read by their columns: {quoted(aligned.columns, 200)}"
            fix = "name the columns `id`, `input`, `answer` if others are meant"
            yield Observation(kind="answer_columns", level="note", text=text, count=1, fix=fix)
        if (most := aligned.alike[1]) > 1:
            text = f"{file} answers each row {aligned.often}, always alike: that counts once"
            yield Observation(kind="answers_alike", level="note", text=text, count=most)
        elif (most := aligned.times[1]) > 1:
            text = f"{file} answers each row {aligned.often}: the mean of a row's answers counts"
            yield Observation(kind="answers_repeated", level="note", text=text, count=most)
        if aligned.by_input:
            count = len(aligned.by_input)
            text = (
                f"{_count_answers(count)} in {file} {'has' if count == 1 else 'have'} no id, or one"
                f" that no row has: matched by {'its' if count == 1 else 'their'} input"
            )
            yield observation("matched_by_input", "note", text, aligned.by_input)
        yield from _unlikely_answers(aligned, file)
        yield from _gold_copies(aligned, {case.id: case for case in loaded.everyone}, name, file)
        if aligned.unmatched:
            count = len(aligned.unmatched)
            text = f"{_count_answers(count)} in {file} belong{'s' * (count == 1)} to no row"
            if loaded.excluded:
                text += ", or to one that was left out"
            fix = "correct the ids if a row of yours is meant; they are not read"
            yield observation("answers_unknown", "warning", text, aligned.unmatched, fix)
    yield from _systems_without_tool([n for n in found if n in loaded.task.answers
                          and loaded.task.answers[n].tool is None])  # fmt: skip
    if "present" in found:
        yield from _corrected_answers(loaded)


def _corrected_answers(loaded: Loaded) -> Iterator[Observation]:
    """Yield the question whether right answers came from correcting today's; a warning if so."""
    said, count = loaded.task.data.corrected, len(loaded.everyone)
    fix = "`tuneworthy check --blind 100` writes rows to label without seeing an answer"
    if said is None:
        text = "were the right answers written by correcting answers of what runs today?"
        fix = f"say `corrected: true` or `false` under `data`; {fix}"
        yield Observation(kind="corrected_unknown", level="note", text=text, count=count, fix=fix)
    elif said:
        text = (
            "right answers came from correcting answers: an error that was accepted counts as right"
        )
        yield Observation(kind="corrected", level="warning", text=text, count=count, fix=fix)


def _systems_without_tool(names: Sequence[str]) -> Iterator[Observation]:
    """Yield one note on the recorded systems without a `tool`, if there are any."""
    if not names:
        return
    alone = len(names) == 1
    listed = ", ".join(f"`{quoted(name, 60)}`" for name in names)
    text = (
        f"{listed} {'has' if alone else 'have'} no `tool`: {'it is' if alone else 'they are'}"
        " compared with every arm, and named (use: other) only where shown to beat them all"
    )
    fix = f"if one is a tuned model, write `tool: tune` beside its file, under `answers.{names[0]}`"
    yield Observation(kind="no_tool", level="note", text=text, count=len(names), fix=fix)


def refuse_gold(task: Task, files: Collection[str], keys: Iterable[str] = ()) -> None:
    """Raise DataError if a file of recorded answers is the task's own file of gold answers.

    Its answers (`output`) are all right, so it would win every comparison. `keys` are those of
    task.yaml that name the files, if they do.
    """
    data, folder = task.data, task.folder
    rows = [name for name in (data.file, data.train, data.test, data.dev) if name]
    known = {digest: name for name in rows if (digest := file_digest(folder / name))}
    for file, key in zip_longest(files, keys):
        same = known.get(file_digest(folder / file))
        if same is not None:
            raise DataError(
                "the file of recorded answers is the file of right answers",
                where=f"task.yaml {key}" if key else file,
                got=f"{file}, the same bytes as {same}",
                fix="name a file of what the system itself answered",
            )


def _gold_copies(
    aligned: AlignedAnswers, cases: Mapping[str, Case], name: str, file: str
) -> Iterator[Observation]:
    """Yield a warning if every answer equals the gold one, byte for byte."""
    said = [(a, cases[a.case]) for a in aligned.answers if a.error is None and a.case in cases]
    if len(said) < _MIN_GOLD_ANSWERS or any(answer.text != case.output for answer, case in said):
        return
    text = (
        f"all {len(said):,} recorded answers of `{quoted(name, 60)}` in {file} equal the right"
        " answers, byte for byte: are they what the system answered?"
    )
    fix = (
        "name a file of what it answered; where the right answers were made by it, its score says"
        " nothing, and rows that people labelled are needed"
    )
    yield observation("answers_are_gold", "warning", text, [answer.case for answer, _ in said], fix)


def _unlikely_answers(aligned: AlignedAnswers, file: str) -> Iterator[Observation]:
    """Yield a note if answers are not the likeliest of their probabilities."""
    said = [one for answer in aligned.answers for one in (answer, *answer.repeats)]
    tables = [(one.case, one.labels[one.text], one.labels) for one in said
              if one.labels and one.text in one.labels]  # fmt: skip
    odd = [case for case, share, table in tables if share < max(table.values())]
    if odd:
        text = f"{_count_answers(len(odd))} in {file} {'is' if len(odd) == 1 else 'are'} not the"
        text += " likeliest by `scores`: the answers count as they are"
        yield observation("answers_unlikely", "note", text, odd)


def _doubtful_matches(aligned: AlignedAnswers, name: str, file: str) -> Iterator[Observation]:
    """Yield a warning if answers were matched by order, or by ids beside other inputs."""
    if aligned.matched_by == "order":
        text = (
            f"the answers of `{quoted(name, 60)}` in {file} are matched to the rows by their order"
            " alone"
        )
        fix = 'the "id" or the "input" of its row beside each answer would show a wrong order'
        yield Observation(kind="matched_by_order", level="warning", text=text,
                          count=len(aligned.answers), fix=fix)  # fmt: skip
    if aligned.other_inputs:
        count = len(aligned.other_inputs)
        text = (
            f"{_count_answers(count)} in {file} {'has' if count == 1 else 'have'} the id of a row"
            " and another input than it"
        )
        fix = "correct the ids; if they are those of other rows, don't match by id"
        yield observation("inputs_differ", "warning", text, aligned.other_inputs, fix)


def _without_early(aligned: AlignedAnswers, early: Collection[str]) -> AlignedAnswers:
    if not early or not skips_early_rows(
        {answer.case: answer for answer in aligned.answers}, early
    ):
        return aligned
    return replace(aligned, answers=tuple(a for a in aligned.answers if a.case not in early))


def _missing_answers(aligned: AlignedAnswers, file: str) -> Iterator[Observation]:
    lost = [answer for answer in aligned.answers if answer.error is not None]
    if not lost:
        return
    null = sum(answer.lost == "null" for answer in lost)
    verb, they = ("has", "it counts") if len(lost) == 1 else ("have", "they count")
    text = (
        f"{len(lost):,} of {len(aligned.answers):,} rows {verb} no recorded answer in {file}"
        f"{f' ({null:,} null)' if null else ''}: {they} as wrong"
    )
    fix = "record the answers to these rows too, or take the rows out of the task"
    yield observation("answers_missing", "warning", text, [answer.case for answer in lost], fix)


def _count_answers(count: int) -> str:
    return f"{count:,} recorded answer{'s' * (count != 1)}"
