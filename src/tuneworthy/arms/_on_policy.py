"""Train a student on its own answers, scored by a local teacher (on-policy distillation)."""

from __future__ import annotations

from typing import Any

from tuneworthy.arms._prompted import answer_token_limit, mean_score
from tuneworthy.arms._student_rows import DistilOptions, StudentRows
from tuneworthy.arms._teaching import teacher_recipe
from tuneworthy.arms._trained import prompting_with, recipe_of, training_settings
from tuneworthy.core.arm import RETRY_TOKEN_FACTOR, Fitted, Setup
from tuneworthy.core.model import Model
from tuneworthy.prompting.messages import build_all


def on_policy_student(
    setup: Setup,
    models: tuple[Any, Model],
    options: DistilOptions,
    seed: int,
    student_rows: StudentRows,
) -> Fitted:
    """Train the student (the first of `models`) on its own answers to the rows' inputs.

    The last epoch is kept; its dev score chooses the best seed, as for other trained arms.
    """
    from tuneworthy.training.learning_rate import rate_of
    from tuneworthy.training.on_policy import OnPolicySetup, PromptPair, fit_on_policy

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
