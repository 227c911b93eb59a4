"""The system in production: its logged answers, or its model, prompt and options."""

from __future__ import annotations

from collections.abc import Sequence

from tuneworthy.arms._prompted import answer_token_limit, as_answer, recorded_arm
from tuneworthy.arms.prompt.messages import build, file_recipe
from tuneworthy.records.answer import Answer
from tuneworthy.records.arm import RETRY_TOKEN_FACTOR, Fitted, Recipe, Setup
from tuneworthy.records.case import Query
from tuneworthy.records.errors import DoesNotApply
from tuneworthy.records.model import Limits, limits_for, scaled_limits
from tuneworthy.records.record import Record

TOOL, ROLE, SIMPLICITY = "keep", "candidate", 0
NEEDS = frozenset({"present"})
WITHOUT_GOLD = True


class Options(Record):
    """No options: everything is in the task's `present`."""


def fit(setup: Setup, options: Options, seed: int) -> Fitted:  # noqa: ARG001
    """Return the arm of today's system: its logged answers if there are any, else its model's."""
    present = setup.task.present
    if present is None:
        raise DoesNotApply("the task has no `present`: nothing runs today, or it was not given")
    if setup.recorded:
        return recorded_arm(setup)
    model = setup.models.get("present")
    if model is None:
        raise DoesNotApply("`present` has neither logged answers nor a model")
    prompt = present.prompt
    recipe = file_recipe(setup.task.folder / prompt) if prompt else Recipe(kind="zero")
    usual = limits_for(setup.task, answer_token_limit(setup), seed=seed).model_dump()
    limits = Limits.model_validate({**usual, **present.options})

    def answer(queries: Sequence[Query], limits: Limits = limits) -> list[Answer]:
        prompts = [build(setup.task, query, recipe, ()) for query in queries]
        replies = model.reply(prompts, limits)
        return [as_answer(*each) for each in zip(queries, prompts, replies, strict=True)]

    def longer(queries: Sequence[Query]) -> list[Answer]:
        return answer(queries, scaled_limits(limits, RETRY_TOKEN_FACTOR))

    def again(queries: Sequence[Query], n: int) -> list[Answer]:
        return answer(queries, limits.model_copy(update={"sample": n}))

    ours = "max_tokens" not in present.options  # the user's own cap also cuts answers in production
    return Fitted(answer=answer, learned=False, recipe=recipe, model=model, again=again,
                  longer=longer if ours else None)  # fmt: skip
