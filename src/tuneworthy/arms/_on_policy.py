"""How a student learns from its own answers, scored by a local teacher."""

from __future__ import annotations

from typing import Any

from tuneworthy.arms._lessons import DistilOptions, Lesson
from tuneworthy.arms._prompted import answer_token_limit, mean_score
from tuneworthy.arms._teaching import teacher_recipe
from tuneworthy.arms._trained import prompting_with, recipe_of, settings
from tuneworthy.core.arm import RETRY_TOKEN_FACTOR, Fitted, Setup
from tuneworthy.core.model import Model
from tuneworthy.prompting.messages import build_all


def on_policy_student(
    setup: Setup, models: tuple[Any, Model], options: DistilOptions, seed: int, lesson: Lesson
) -> Fitted:
    """Train the student (the first of `models`) on what it writes for the lesson's inputs.

    The last epoch is kept; its dev score chooses the best seed, as for other trained arms.
    """
    from tuneworthy.training.learning_rate import rate_of
    from tuneworthy.training.on_policy import OnPolicySetup, PromptPair, fit_on_policy

    student, teacher = models
    queries, recipe = [pair.query for pair in lesson.pairs], recipe_of(options)
    short = build_all(setup.task, queries, recipe, ())
    long = build_all(
        setup.task, queries, teacher_recipe(setup, options.teacher_prompt), setup.train
    )
    asked = [PromptPair(q.id, *pair) for q, *pair in zip(queries, short, long, strict=True)]
    rate = rate_of(student.module.config, options.rate)
    how = settings(options, len(asked), rate.value)
    both = OnPolicySetup(student, teacher, asked, answer_token_limit(setup), setup.say)
    done = fit_on_policy(both, how, seed, setup.folder)
    adapted, ask = student.with_adapter(done.adapter), prompting_with(setup, recipe)
    dev = ask.answers([case.query() for case in setup.dev], adapted, 1) if setup.dev else []
    trace = {**done.trace, "dev": mean_score(setup, setup.dev, dev) if dev else None,
             "rate": {"value": rate.value, "why": rate.why}}  # fmt: skip
    return Fitted(
        answer=lambda queries: ask.answers(queries, adapted, 1),
        longer=lambda queries: ask.answers(queries, adapted, RETRY_TOKEN_FACTOR),
        learned=True,
        recipe=recipe,
        trace=trace,
        artefact=done.adapter,
        model=adapted,
    )
