"""What the arms that prompt a model share: from a recipe to answers. Knows no metric."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tuneworthy.arms._choice import DEV_MOST
from tuneworthy.arms._classified import softmax
from tuneworthy.core.answer import Answer, Score
from tuneworthy.core.arm import LONGER, Fitted, Recipe, Setup
from tuneworthy.core.case import Case, Message, Query
from tuneworthy.core.errors import DoesNotApply
from tuneworthy.core.model import Grammar, Limits, Model, Reply
from tuneworthy.core.request_limits import limits_for, thought_room, times
from tuneworthy.metrics import score_all
from tuneworthy.prompting.messages import build

_SUMMED = ("tokens_in", "tokens_cached", "tokens_out", "tokens_thought", "seconds", "usd")
_TRIED = 40  # prompts that are counted to see whether they fit


def prompted(
    setup: Setup,
    recipe: Recipe,
    *,
    model: Model | None = None,
    grammar: Grammar | None = None,
    labels: bool = False,
) -> Fitted:
    """Return an arm that builds each prompt by `recipe` and asks the model once, greedily.

    It counts as learned where training rows decide what the prompt says. `labels`: the task's
    labels are scored in the same reading where that is cheap, so that an arm that stands on this
    prompt need not read it again; of dev cases only those that it chooses the prompt on.
    """
    asked: Any = model or setup.models["base"]
    limits = limits_for(setup.task, room(setup), grammar=grammar)
    names = [str(label) for label in setup.task.output.labels or ()]
    scores = labels and names and hasattr(asked, "reply_scored")

    dev = set(sorted(case.id for case in setup.dev)[DEV_MOST:])

    def some(queries: Sequence[Query], scored: bool, limits: Limits = limits) -> list[Answer]:
        prompts = [build(setup.task, query, recipe, setup.train) for query in queries]
        if scored:
            replies, rows = asked.reply_scored(prompts, limits, names)
        else:
            replies, rows = asked.reply(prompts, limits), [None] * len(queries)
        found = [as_answer(*each) for each in zip(queries, prompts, replies, strict=True)]
        tables = [row and dict(zip(names, softmax(row), strict=True)) for row in rows]
        return [
            answer.model_copy(update={"labels": table}) if table else answer
            for answer, table in zip(found, tables, strict=True)
        ]

    def answer(queries: Sequence[Query]) -> list[Answer]:
        if not scores or len(queries) == 1:  # one alone may be timed
            return some(queries, False)
        found: dict[str, Answer] = {}
        for is_dev in (False, True):
            if part := [query for query in queries if (query.id in dev) == is_dev]:
                found |= {answer.case: answer for answer in some(part, not is_dev)}
        return [found[query.id] for query in queries]

    def longer(queries: Sequence[Query]) -> list[Answer]:
        return some(queries, False, times(limits, LONGER))

    return Fitted(answer=answer, learned=recipe.learned, recipe=recipe, model=asked, longer=longer)


def check_fit(setup: Setup, recipe: Recipe, model: Model | None = None) -> None:
    """Raise DoesNotApply where prompts with k examples leave no room for an answer.

    Tried on the longest dev inputs (training ones where there is no dev); the message names the
    largest k that fits. Nothing is checked where the model does not say what it holds. `model` is
    what will be asked, the base if None.
    """
    model = model or setup.models["base"]
    if model.context is None:
        return
    cases = sorted(setup.dev or setup.train, key=lambda case: (-len(case.input), case.id))[:_TRIED]

    def longest(k: int) -> int:
        tried = recipe.model_copy(update={"k": k})
        prompts = [build(setup.task, case.query(), tried, setup.train) for case in cases]
        beside = room(setup) + thought_room(setup.task, model)
        return max(map(model.count_tokens, prompts), default=0) + beside

    if (needed := longest(recipe.k)) <= model.context:
        return
    low, high = 0, recipe.k  # k = low fits (or none does), k = high does not
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if longest(middle) <= model.context else (low, middle)
    raise DoesNotApply(
        f"prompts with {recipe.k} examples take up to {needed} tokens with their answer, the "
        f"context of {model.spec} is {model.context}: "
        + (f"at most k = {low} fits" if low else "not even one example fits")
    )


def mean_score(setup: Setup, cases: Sequence[Case], answers: Sequence[Answer]) -> float:
    """Return the mean score of answers to dev cases; what cannot be scored counts as wrong."""
    scores = score_all(setup.score, cases, answers)
    return sum(score.value for score in scores if isinstance(score, Score)) / len(scores)


def room(setup: Setup) -> int:
    """Return the tokens an answer may take: `output.max_tokens`, filled in when rows are read."""
    return setup.task.output.max_tokens or 256


def summed(replies: Sequence[Reply | Answer]) -> dict[str, Any]:
    """Return tokens, seconds and cost of several replies together; None where one has none."""
    found: dict[str, Any] = {}
    for name in _SUMMED:
        parts = [getattr(reply, name) for reply in replies]
        found[name] = None if None in parts else sum(parts)
    return found


def as_answer(query: Query, prompt: Sequence[Message], reply: Reply) -> Answer:
    """Return a reply as the answer to a query, with what was sent."""
    return Answer(
        case=query.id,
        text=reply.text,
        tokens_in=reply.tokens_in,
        tokens_cached=reply.tokens_cached,
        tokens_out=reply.tokens_out,
        tokens_thought=reply.tokens_thought,
        seconds=reply.seconds,
        usd=reply.usd,
        finish="error" if reply.error else reply.finish,
        error=reply.error,
        prompt=tuple(prompt),
        served=reply.served,
        system_fingerprint=reply.system_fingerprint,
        concurrency=reply.concurrency,
    )
