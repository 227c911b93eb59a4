"""What the arms that prompt a model share: from a recipe to answers. Knows no metric."""

from __future__ import annotations

from collections.abc import Sequence

from tuneworthy.core.answer import Answer, Score
from tuneworthy.core.arm import Fitted, Recipe, Setup
from tuneworthy.core.case import Case, Message, Query
from tuneworthy.core.model import Grammar, Limits, Model, Reply
from tuneworthy.prompting.messages import build


def prompted(
    setup: Setup, recipe: Recipe, *, model: Model | None = None, grammar: Grammar | None = None
) -> Fitted:
    """Return an arm that builds each prompt by `recipe` and asks the model once, greedily.

    It counts as learned where the prompt holds training rows.
    """
    asked = model or setup.models["base"]
    limits = Limits(max_tokens=room(setup), grammar=grammar)

    def answer(queries: Sequence[Query]) -> list[Answer]:
        prompts = [build(setup.task, query, recipe, setup.train) for query in queries]
        replies = asked.reply(prompts, limits)
        return [as_answer(*each) for each in zip(queries, prompts, replies, strict=True)]

    learned = recipe.kind in {"few", "nearest"}
    return Fitted(answer=answer, learned=learned, recipe=recipe, model=asked)


def mean_score(setup: Setup, cases: Sequence[Case], answers: Sequence[Answer]) -> float:
    """Return the mean score of answers to dev cases; what cannot be scored counts as wrong."""
    scores = [setup.score(case, answer) for case, answer in zip(cases, answers, strict=True)]
    return sum(score.value for score in scores if isinstance(score, Score)) / len(scores)


def room(setup: Setup) -> int:
    """Return the tokens an answer may take: `output.max_tokens`, filled in when rows are read."""
    return setup.task.output.max_tokens or 256


def as_answer(query: Query, prompt: Sequence[Message], reply: Reply) -> Answer:
    """Return a reply as the answer to a query, with what was sent."""
    return Answer(
        case=query.id,
        text=reply.text,
        tokens_in=reply.tokens_in,
        tokens_cached=reply.tokens_cached,
        tokens_out=reply.tokens_out,
        seconds=reply.seconds,
        usd=reply.usd,
        finish="error" if reply.error else reply.finish,
        error=reply.error,
        prompt=tuple(prompt),
    )
