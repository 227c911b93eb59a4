"""Train a student on a teacher's answers or on its own, check it, and measure agreement.

Agreement with the teacher needs no right answer and is no quality: it is kept in the trace, apart
from the score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tuneworthy.arms._pairs import FEW_SAMPLES, Pair, teacher_recipe, with_reason_request
from tuneworthy.arms._prompted import answer_token_limit, mean_score
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
from tuneworthy.arms._trained import (
    PromptingMethod,
    prompting_with,
    recipe_of,
    train_model,
    training_settings,
)
from tuneworthy.arms.prompt.lenient import normal_form
from tuneworthy.arms.prompt.messages import build_all
from tuneworthy.records.answer import Answer
from tuneworthy.records.arm import RETRY_TOKEN_FACTOR, Fitted, Setup
from tuneworthy.records.artefact import Recipe
from tuneworthy.records.case import Query
from tuneworthy.records.counting import count_noun
from tuneworthy.records.errors import DoesNotApply, ModelError, NumericError
from tuneworthy.records.model import Model, Prompt

_LEAST_COMPARED = 8  # inputs from which equal samples are noted
_LEAST_HELD_BACK = 8  # held-back rows below which no agreement is stated


def taught_student(
    setup: Setup, teacher: Model, options: DistilOptions, train: TrainStudent
) -> Fitted:
    """Train the student on the teacher's answers; return it with agreement figures in its trace.

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
    """Check both models; return a function that trains an adapter of the student on rows."""
    recipe = recipe_of(options)
    tried = [case.query() for case in setup.train[:CHECKED_ROWS]]
    prompts = list(build_all(setup.task, tried, recipe, ()))
    same = shares_tokenizer(teacher, student)
    if same:
        check_same_form(teacher, student, prompts)
    elif options.loss != "text":
        raise DoesNotApply(
            f"`loss: {options.loss}` needs a teacher on this machine with the student's tokenizer, "
            f"and {teacher.spec} is none: write `loss: text`"
        )
    if options.loss != "text":
        texts = [case.output for case in setup.train[:CHECKED_ROWS]]
        check_self_divergence(student, prompts, texts)

    def train(student_rows: StudentRows, own: Setup) -> Fitted:
        if options.loss == "on_policy":
            fitted = _on_policy_student(own, (student, teacher), options, seed, student_rows)
            check_learnt(fitted.trace or {}, len(student_rows.pairs))
            return fitted
        rows = student_rows.training_rows(options.rationale)
        objective = _make_objective(own, teacher, options, student_rows)
        ask = replace(_student_prompting(own, recipe, options), objective=objective)
        learning = replace(own, train=rows, models={"tune": student})
        fitted = train_model(learning, options, seed, ask)
        check_learnt(fitted.trace or {})
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
    """Return what replaces the likelihood of the training answers; None if it is not replaced."""
    if options.loss == "kl":
        from tuneworthy.models.train.top_k_loss import TopKDivergence

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
        from tuneworthy.models.train.objective import WeightedTokens

        return WeightedTokens(
            {reasoned_row(p).id: options.reason_weight for p in student_rows.pairs}
        )
    return None


def _held_back_answers(student_rows: StudentRows, fitted: Fitted) -> list[Answer]:
    """Return the student's answers to the held-back inputs, [] if these are too few."""
    if len(student_rows.held) < _LEAST_HELD_BACK:
        return []
    return fitted.answer([pair.query for pair in student_rows.held])


def _curve_point(
    setup: Setup, student_rows: StudentRows, answers: Sequence[Answer]
) -> dict[str, Any]:
    """Return a learning curve's point {"rows", "agree", "of"}: teacher rows, held-back agreement.

    `agree` is None if too few rows are held back.
    """
    agree = _count_agreeing(setup, student_rows.held, answers) if answers else None
    return {"rows": len(student_rows.pairs), "agree": agree, "of": len(student_rows.held)}


def _count_agreeing(setup: Setup, pairs: Sequence[Pair], answers: Sequence[Answer]) -> int:
    """Return the number of answers that equal one of the teacher's, formatting ignored."""
    kind, count = setup.task.output.type, 0
    for pair, answer in zip(pairs, answers, strict=True):
        said = {normal_form(text, kind) for text in pair.texts}
        count += answer.error is None and normal_form(answer.text, kind) in said
    return count


def _length_ratio(
    student_rows: StudentRows, fitted: Fitted, answers: Sequence[Answer]
) -> float | None:
    """Return the student's mean answer length over the teacher's (tokens), None if it has none."""
    model: Any = fitted.model
    if not answers or not hasattr(model, "tokenizer"):
        return None
    from tuneworthy.models.local.chat_template import text_ids

    written = [len(text_ids(model.tokenizer, answer.text)) + 1 for answer in answers]
    taught = [len(text_ids(model.tokenizer, pair.texts[0])) + 1 for pair in student_rows.held]
    return check_lengths(written, taught)


def _prompt_tokens(
    setup: Setup, teacher: Model, options: DistilOptions, fitted: Fitted, student_rows: StudentRows
) -> dict[str, float | None]:
    """Return {"teacher", "student"}: mean prompt tokens of a request, None without a model."""
    queries = [pair.query for pair in student_rows.pairs[:CHECKED_ROWS]]
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
    if pairs["inputs"] >= _LEAST_COMPARED and not facts["varied"] and options.samples > 1:
        notes.append(
            f"the {options.samples} samples of every input are equal: the teacher is sure, or its "
            "server ignores temperature and seed; one sample would have said the same"
        )
    kept = f"the teacher wrote for {pairs['inputs']:,} inputs, {pairs['kept']:,} are kept"
    left = ", ".join(f"{count:,}: {why}" for why, count in pairs["rejected"].items())
    notes.append(kept + (f" ({left})" if left else ""))
    return tuple(notes)


def _on_policy_student(
    setup: Setup,
    models: tuple[Any, Model],
    options: DistilOptions,
    seed: int,
    student_rows: StudentRows,
) -> Fitted:
    """Train the student (the first of `models`) on its own answers to the rows' inputs.

    The last epoch is kept; its dev score chooses the best seed, as for other trained arms.
    """
    from tuneworthy.models.train.on_policy import OnPolicySetup, PromptPair, fit_on_policy
    from tuneworthy.models.train.schedule import rate_of

    student, teacher = models
    queries, recipe = [pair.query for pair in student_rows.pairs], recipe_of(options)
    short = build_all(setup.task, queries, recipe, ())
    long = build_all(
        setup.task, queries, teacher_recipe(setup, options.teacher_prompt), setup.train
    )
    asked = [PromptPair(q.id, *pair) for q, *pair in zip(queries, short, long, strict=True)]
    rate = rate_of(student.module.config, options.rate)
    how = training_settings(options, len(asked), rate.value)
    both = OnPolicySetup(student, teacher, asked, answer_token_limit(setup), setup.say)
    done = fit_on_policy(both, how, seed, setup.folder)
    adapted, ask = student.with_adapter(done.adapter), prompting_with(setup, recipe)
    dev = ask.answers([case.query() for case in setup.dev], adapted, 1) if setup.dev else []
    trace = {**done.trace, "dev": mean_score(setup, setup.dev, dev) if dev else None,
             "rate": {"value": rate.value, "why": rate.why}}  # fmt: skip
    left = done.trace["rows"]["excluded"].items()
    return Fitted(
        answer=lambda queries: ask.answers(queries, adapted, 1),
        longer=lambda queries: ask.answers(queries, adapted, RETRY_TOKEN_FACTOR),
        learned=True,
        recipe=recipe,
        trace=trace,
        artefact=done.adapter,
        model=adapted,
        notes=tuple(f"{len(ids)} training rows left out: {reason}" for reason, ids in left),
        pack=ask.pack.model_copy(update={"adapter": True}),
    )


CHECKED_ROWS = 8  # rows on which a check runs

ROUNDING_NATS = 1e-4  # nats a token: rounding of two reads of one model

_LENGTH_FACTOR = 3.0  # factor between the lengths of the student's and the teacher's answers


def shares_tokenizer(teacher: Any, student: Any) -> bool:
    """Return whether both are local models with the same vocabulary."""
    if not (hasattr(teacher, "tokenizer") and hasattr(student, "tokenizer")):
        return False
    vocabularies = [model.tokenizer.get_vocab() for model in (teacher, student)]
    return bool(vocabularies[0] == vocabularies[1])


def check_same_form(teacher: Any, student: Any, prompts: Sequence[Prompt]) -> None:
    """Raise ModelError if models with one tokenizer render a prompt, or end a turn, differently."""
    from tuneworthy.models.local.chat_template import prompt_ids

    for prompt in prompts[:CHECKED_ROWS]:
        theirs, ours = (prompt_ids(model.tokenizer, prompt) for model in (teacher, student))
        if theirs != ours:
            at = next((n for n, pair in enumerate(zip(theirs, ours, strict=False))
                       if pair[0] != pair[1]), min(len(theirs), len(ours)))  # fmt: skip
            raise _template_mismatch(
                teacher, f"their tokens of one prompt differ from token {at} on"
            )
    if set(teacher.ends) != set(student.ends):
        raise _template_mismatch(teacher, f"they end a turn with {teacher.ends} and {student.ends}")


def _template_mismatch(teacher: Any, got: str) -> ModelError:
    return ModelError(
        "teacher and student share a tokenizer, but not the form of a conversation",
        where=str(teacher.spec),
        got=got,
        fix="give both the same chat template and end of turn, or take another teacher",
    )


def check_self_divergence(student: Any, prompts: Sequence[Prompt], texts: Sequence[str]) -> float:
    """Return the student's divergence from itself, 0.0 or less than rounding; else NumericError."""
    from tuneworthy.models.train.top_k_loss import self_divergence
    from tuneworthy.models.train.training_data import EncodedExample, render

    pairs = zip(prompts[:CHECKED_ROWS], texts[:CHECKED_ROWS], strict=True)
    rows = [render(student.tokenizer, prompt, text, student.context) for prompt, text in pairs]
    apart = self_divergence(student, [row for row in rows if isinstance(row, EncodedExample)])
    if not apart <= ROUNDING_NATS:
        raise NumericError(
            "the model is not equal to itself: its divergence from itself should be 0",
            where=str(student.spec),
            got=f"{apart:.3g} nats a token",
            fix="train it in float32, or leave this arm out",
        )
    return apart


def check_learnt(trace: dict[str, Any], rows: int = CHECKED_ROWS) -> None:
    """Raise NumericError if the loss of the first rows did not fall from first to last epoch.

    That the weights moved is checked where they are trained (models/train/figures.py).
    """
    epochs = [sum(epoch[:rows]) / len(epoch[:rows]) for epoch in trace["loss_by_row"]["epochs"]]
    if len(epochs) > 1 and not epochs[-1] < epochs[0]:
        raise NumericError(
            f"the loss did not fall on the first {rows} rows",
            got=f"{epochs[0]:.3f}, then {epochs[-1]:.3f} nats a token",
            fix="set another `rate`, or train longer (`epochs`)",
        )


def check_lengths(student: Sequence[int], teacher: Sequence[int]) -> float | None:
    """Return the student's mean answer length over the teacher's (tokens); None without answers.

    Raises NumericError if it exceeds a factor of 3 either way: the student's answers do not end
    where the teacher's do.
    """
    if not student or not sum(teacher):
        return None
    ratio = sum(student) / sum(teacher)
    if not 1 / _LENGTH_FACTOR <= ratio <= _LENGTH_FACTOR:
        raise NumericError(
            "the student's answers are not as long as the teacher's",
            got=f"{ratio:.2f} times as long, on {len(student)} inputs",
            fix="check the end of turn of both models, or train longer (`epochs`)",
        )
    return ratio
