"""Train a student on a teacher's answers and measure its agreement with the teacher.

Agreement with the teacher needs no right answer and is no quality: it is kept in the trace, apart
from the score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tuneworthy.arms import _student_checks as checks
from tuneworthy.arms._on_policy import on_policy_student
from tuneworthy.arms._pairs import FEW_SAMPLES, Pair, with_reason_request
from tuneworthy.arms._student_rows import (
    CURVE_SHARES,
    WHY_SUFFIX,
    DistilOptions,
    StudentRows,
    TrainStudent,
    reasoned_row,
    student_rows_from_teacher,
    taught_rows,
)
from tuneworthy.arms._teaching import teacher_recipe
from tuneworthy.arms._trained import PromptingMethod, prompting_with, recipe_of, train_model
from tuneworthy.core.answer import Answer
from tuneworthy.core.arm import Fitted, Recipe, Setup
from tuneworthy.core.case import Query
from tuneworthy.core.counting import count_noun
from tuneworthy.core.errors import DoesNotApply
from tuneworthy.core.model import Model, Prompt
from tuneworthy.prompting.messages import build_all
from tuneworthy.prompting.same_answer import normal_form

LEAST_COMPARED = 8  # inputs from which equal samples are noted
LEAST_HELD_BACK = 8  # held-back rows below which no agreement is stated


def taught_student(
    setup: Setup, teacher: Model, options: DistilOptions, train: TrainStudent
) -> Fitted:
    """Return the student trained on the teacher's answers; its trace says how well it agrees.

    `trace["distilled"]` has the pairs by reason, the spend, the agreement with the teacher on rows
    held back, and its learning curve.
    """
    written, student_rows = student_rows_from_teacher(setup, teacher, options)
    points = []
    for share in CURVE_SHARES if options.curve else ():
        part = student_rows.first_share(share)
        apart = replace(setup, folder=setup.folder / f"curve-{share:g}")
        points.append(_curve_point(setup, part, _held_back_answers(part, train(part, apart))))
    fitted = train(student_rows, setup)
    answers = _held_back_answers(student_rows, fitted)
    last = _curve_point(setup, student_rows, answers)
    facts = {
        "teacher": teacher.spec,
        "loss": options.loss,
        "pairs": written.summary(),
        "varied": written.varied,
        "gold_rows": len(student_rows.gold),
        "teacher_rows": last["rows"],
        "agreement": {"agree": last["agree"], "of": last["of"]},
        "curve": [*points, last],
        "length_ratio": _length_ratio(student_rows, fitted, answers),
        "prompt_tokens": _prompt_tokens(setup, teacher, options, fitted, student_rows),
    }
    if options.rationale:
        facts["weights"] = {"answer": 1.0, "reason": options.reason_weight}
    trace = {**(fitted.trace or {}), "distilled": facts}
    return replace(fitted, trace=trace, notes=(*_notes(options, facts), *fitted.notes))


def adapter_student(
    setup: Setup, student: Any, teacher: Model, options: DistilOptions, seed: int
) -> TrainStudent:
    """Return a function that trains an adapter on student rows, after checks of both models."""
    recipe = recipe_of(options)
    tried = [case.query() for case in setup.train[: checks.CHECKED_ROWS]]
    prompts = list(build_all(setup.task, tried, recipe, ()))
    same = checks.shares_tokenizer(teacher, student)
    if same:
        checks.check_same_form(teacher, student, prompts)
    elif options.loss != "text":
        raise DoesNotApply(
            f"`loss: {options.loss}` needs a teacher on this machine with the student's tokenizer, "
            f"and {teacher.spec} is none: write `loss: text`"
        )
    if options.loss != "text":
        texts = [case.output for case in setup.train[: checks.CHECKED_ROWS]]
        checks.check_self_divergence(student, prompts, texts)

    def train(student_rows: StudentRows, own: Setup) -> Fitted:
        if options.loss == "on_policy":
            fitted = on_policy_student(own, (student, teacher), options, seed, student_rows)
            checks.check_learnt(fitted.trace or {}, len(student_rows.pairs))
            return fitted
        rows = student_rows.training_rows(options.rationale)
        objective = _make_objective(own, teacher, options, student_rows)
        ask = replace(_student_prompting(own, recipe, options), objective=objective)
        learning = replace(own, train=rows, models={"tune": student})
        fitted = train_model(learning, options, seed, ask)
        checks.check_learnt(fitted.trace or {})
        return fitted

    return train


def _student_prompting(setup: Setup, recipe: Recipe, options: DistilOptions) -> PromptingMethod:
    """Return how the student is prompted; prompts of rationale rows ask for the reason."""
    plain = prompting_with(setup, recipe)
    if not options.rationale:
        return plain

    def prompts(queries: Sequence[Query]) -> list[Prompt]:
        built = zip(queries, plain.prompts(queries), strict=True)
        return [
            with_reason_request(p) if query.id.endswith(WHY_SUFFIX) else p for query, p in built
        ]

    return replace(plain, prompts=prompts)


def _make_objective(
    setup: Setup, teacher: Model, options: DistilOptions, student_rows: StudentRows
) -> Any:
    """Return the training objective; None for the likelihood of all rows alike."""
    if options.loss == "kl":
        from tuneworthy.training.top_k_loss import TopKDivergence

        recipe = teacher_recipe(setup, options.teacher_prompt)
        built = build_all(
            setup.task, [pair.query for pair in student_rows.pairs], recipe, setup.train
        )
        prompts = {
            row.id: prompt
            for pair, prompt in zip(student_rows.pairs, built, strict=True)
            for row in taught_rows(pair)
        }
        return TopKDivergence(teacher, prompts, options.top, options.soften)
    if options.rationale:
        from tuneworthy.training.objective import WeightedTokens

        return WeightedTokens(
            {reasoned_row(p).id: options.reason_weight for p in student_rows.pairs}
        )
    return None


def _held_back_answers(student_rows: StudentRows, fitted: Fitted) -> list[Answer]:
    """Return the student's answers to the held-back inputs, [] if these are too few."""
    if len(student_rows.held) < LEAST_HELD_BACK:
        return []
    return fitted.answer([pair.query for pair in student_rows.held])


def _curve_point(
    setup: Setup, student_rows: StudentRows, answers: Sequence[Answer]
) -> dict[str, Any]:
    """Return a point of the learning curve: teacher rows, and agreement on held-back rows.

    `agree` is None if too few rows are held back.
    """
    agree = count_agreeing(setup, student_rows.held, answers) if answers else None
    return {"rows": len(student_rows.pairs), "agree": agree, "of": len(student_rows.held)}


def count_agreeing(setup: Setup, pairs: Sequence[Pair], answers: Sequence[Answer]) -> int:
    """Return the number of answers that equal one of the teacher's, formatting ignored."""
    kind, count = setup.task.output.type, 0
    for pair, answer in zip(pairs, answers, strict=True):
        said = {normal_form(text, kind) for text in pair.texts}
        count += answer.error is None and normal_form(answer.text, kind) in said
    return count


def _length_ratio(
    student_rows: StudentRows, fitted: Fitted, answers: Sequence[Answer]
) -> float | None:
    """Return the student's mean answer length over the teacher's, in the student's tokens."""
    model: Any = fitted.model
    if not answers or not hasattr(model, "tokenizer"):
        return None
    from tuneworthy.models.local.chat_template import text_ids

    written = [len(text_ids(model.tokenizer, answer.text)) + 1 for answer in answers]
    taught = [len(text_ids(model.tokenizer, pair.texts[0])) + 1 for pair in student_rows.held]
    return checks.check_lengths(written, taught)


def _prompt_tokens(
    setup: Setup, teacher: Model, options: DistilOptions, fitted: Fitted, student_rows: StudentRows
) -> dict[str, float | None]:
    """Return the mean prompt tokens of a request to the teacher and to the student."""
    queries = [pair.query for pair in student_rows.pairs[: checks.CHECKED_ROWS]]
    recipe = teacher_recipe(setup, options.teacher_prompt)
    long = build_all(setup.task, queries, recipe, setup.train)
    short = build_all(setup.task, queries, fitted.recipe, ()) if fitted.recipe else []
    return {"teacher": _mean_tokens(teacher, long), "student": _mean_tokens(fitted.model, short)}


def _mean_tokens(model: Model | None, prompts: Sequence[Prompt]) -> float | None:
    if model is None or not prompts:
        return None
    return sum(map(model.count_tokens, prompts)) / len(prompts)


def _notes(options: DistilOptions, facts: dict[str, Any]) -> tuple[str, ...]:
    pairs, notes = facts["pairs"], []
    if options.samples < FEW_SAMPLES:
        notes.append(
            f"with {count_noun(options.samples, 'sample')} for each input, fewer than "
            f"{FEW_SAMPLES}, a wrong answer of the teacher is seldom outvoted"
        )
    if pairs["inputs"] >= LEAST_COMPARED and not facts["varied"] and options.samples > 1:
        notes.append(
            f"the {options.samples} samples of every input are equal: the teacher is sure, or its "
            "server ignores temperature and seed; one sample would have said the same"
        )
    kept = f"the teacher wrote for {pairs['inputs']:,} inputs, {pairs['kept']:,} are kept"
    left = ", ".join(f"{count:,}: {why}" for why, count in pairs["rejected"].items())
    notes.append(kept + (f" ({left})" if left else ""))
    return tuple(notes)
