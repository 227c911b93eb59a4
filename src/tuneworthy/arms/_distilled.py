"""Helpers of the arms that distil: rows from a teacher, the student, what it learnt of the teacher.

Agreement with the teacher needs no right answer and is no quality: it is kept in the trace, apart
from the score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tuneworthy.arms import _student_checks as checks
from tuneworthy.arms._lessons import (
    CURVE_SHARES,
    WHY_SUFFIX,
    DistilOptions,
    Lesson,
    Train,
    lesson_from,
    reasoned_row,
    taught_rows,
)
from tuneworthy.arms._on_policy import on_policy_student
from tuneworthy.arms._pairs import FEW_SAMPLES, Pair, asked_why
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


def taught_student(setup: Setup, teacher: Model, options: DistilOptions, train: Train) -> Fitted:
    """Return the student that learnt what the teacher wrote; the trace says how well.

    `trace["distilled"]` has the pairs by reason, the spend, the agreement with the teacher on rows
    held back, and its learning curve.
    """
    written, lesson = lesson_from(setup, teacher, options)
    points = []
    for share in CURVE_SHARES if options.curve else ():
        part = lesson.cut(share)
        apart = replace(setup, folder=setup.folder / f"curve-{share:g}")
        points.append(_point(setup, part, _asked_held(part, train(part, apart))))
    fitted = train(lesson, setup)
    answers = _asked_held(lesson, fitted)
    last = _point(setup, lesson, answers)
    facts = {
        "teacher": teacher.spec,
        "loss": options.loss,
        "pairs": written.account(),
        "varied": written.varied,
        "gold_rows": len(lesson.gold),
        "teacher_rows": last["rows"],
        "agreement": {"agree": last["agree"], "of": last["of"]},
        "curve": [*points, last],
        "length_ratio": _length_ratio(lesson, fitted, answers),
        "prompt_tokens": _prompt_tokens(setup, teacher, options, fitted, lesson),
    }
    if options.rationale:
        facts["weights"] = {"answer": 1.0, "reason": options.reason_weight}
    trace = {**(fitted.trace or {}), "distilled": facts}
    return replace(fitted, trace=trace, notes=(*_notes(options, facts), *fitted.notes))


def adapter_student(
    setup: Setup, student: Any, teacher: Model, options: DistilOptions, seed: int
) -> Train:
    """Return how a model with an adapter learns a lesson; check its form against the teacher's."""
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

    def train(lesson: Lesson, own: Setup) -> Fitted:
        if options.loss == "on_policy":
            fitted = on_policy_student(own, (student, teacher), options, seed, lesson)
            checks.check_learnt(fitted.trace or {}, len(lesson.pairs))
            return fitted
        rows = lesson.rows(options.rationale)
        objective = _objective(own, teacher, options, lesson)
        ask = replace(_asking(own, recipe, options), objective=objective)
        learning = replace(own, train=rows, models={"tune": student})
        fitted = train_model(learning, options, seed, ask)
        checks.check_learnt(fitted.trace or {})
        return fitted

    return train


def _asking(setup: Setup, recipe: Recipe, options: DistilOptions) -> PromptingMethod:
    """Return how the student is asked; a row with a reason asks for the reason."""
    plain = prompting_with(setup, recipe)
    if not options.rationale:
        return plain

    def prompts(queries: Sequence[Query]) -> list[Prompt]:
        built = zip(queries, plain.prompts(queries), strict=True)
        return [asked_why(p) if query.id.endswith(WHY_SUFFIX) else p for query, p in built]

    return replace(plain, prompts=prompts)


def _objective(setup: Setup, teacher: Model, options: DistilOptions, lesson: Lesson) -> Any:
    """Return the loss of the training rows; None for the likelihood of all of them."""
    if options.loss == "kl":
        from tuneworthy.training.top_k_loss import TopKDivergence

        recipe = teacher_recipe(setup, options.teacher_prompt)
        built = build_all(setup.task, [pair.query for pair in lesson.pairs], recipe, setup.train)
        prompts = {
            row.id: prompt
            for pair, prompt in zip(lesson.pairs, built, strict=True)
            for row in taught_rows(pair)
        }
        return TopKDivergence(teacher, prompts, options.top, options.soften)
    if options.rationale:
        from tuneworthy.training.objective import WeightedTokens

        return WeightedTokens({reasoned_row(p).id: options.reason_weight for p in lesson.pairs})
    return None


def _asked_held(lesson: Lesson, fitted: Fitted) -> list[Answer]:
    """Return the student's answers to the inputs held back; none if they are too few."""
    if len(lesson.held) < LEAST_HELD_BACK:
        return []
    return fitted.answer([pair.query for pair in lesson.held])


def _point(setup: Setup, lesson: Lesson, answers: Sequence[Answer]) -> dict[str, Any]:
    """Return a point of the learning curve: teacher rows, and agreement on the rows held back.

    `agree` is None if too few rows are held back.
    """
    agree = agreeing(setup, lesson.held, answers) if answers else None
    return {"rows": len(lesson.pairs), "agree": agree, "of": len(lesson.held)}


def agreeing(setup: Setup, pairs: Sequence[Pair], answers: Sequence[Answer]) -> int:
    """Return the number of answers that say what the teacher said, apart from their format."""
    kind, count = setup.task.output.type, 0
    for pair, answer in zip(pairs, answers, strict=True):
        said = {normal_form(text, kind) for text in pair.texts}
        count += answer.error is None and normal_form(answer.text, kind) in said
    return count


def _length_ratio(lesson: Lesson, fitted: Fitted, answers: Sequence[Answer]) -> float | None:
    """Return the student's mean answer length over the teacher's, in the student's tokens."""
    model: Any = fitted.model
    if not answers or not hasattr(model, "tokenizer"):
        return None
    from tuneworthy.models.local.chat_template import text_ids

    written = [len(text_ids(model.tokenizer, answer.text)) + 1 for answer in answers]
    taught = [len(text_ids(model.tokenizer, pair.texts[0])) + 1 for pair in lesson.held]
    return checks.check_lengths(written, taught)


def _prompt_tokens(
    setup: Setup, teacher: Model, options: DistilOptions, fitted: Fitted, lesson: Lesson
) -> dict[str, float | None]:
    """Return the mean prompt tokens of a request to the teacher and to the student."""
    queries = [pair.query for pair in lesson.pairs[: checks.CHECKED_ROWS]]
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
