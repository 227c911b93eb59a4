"""Get answers under a grammar: decoded directly, or as corrections of free drafts."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from tuneworthy.arms._classified import most_probable_label, softmax
from tuneworthy.arms._prompted import answer_token_limit, as_answer, sum_usage
from tuneworthy.arms.prompt.messages import build
from tuneworthy.records.answer import Answer
from tuneworthy.records.arm import Recipe, Setup
from tuneworthy.records.case import Message, Query
from tuneworthy.records.mistake_costs import Costs
from tuneworthy.records.model import Grammar, Limits, Model, Scorer, limits_for

Prompts = Sequence[Sequence[Message]]
Ask = Callable[[Sequence[Query], Prompts], list[Answer]]
REPEAT_REQUEST = (
    "Give this answer once more, exactly in the form that was asked for and nothing else."
)


def answer_under_grammar(
    model: Model, rule: Grammar, limits: Limits, costs: Costs | None = None
) -> Ask:
    """Return a function that gets a model's answers under a grammar, within limits.

    Few labels (`Grammar.scored`) are scored as continuations, each with its end-of-turn token, and
    the likeliest is taken (with `costs` the cheapest), if the model can score and does not think
    first. All else is decoded under the grammar.
    """
    limits = limits.model_copy(update={"grammar": rule})

    def decoded(queries: Sequence[Query], prompts: Prompts) -> list[Answer]:
        replies = model.reply(prompts, limits)
        return [as_answer(*each) for each in zip(queries, prompts, replies, strict=True)]

    if rule.scored and _can_score_labels(model):
        return _label_scorer(model, [str(label) for label in rule.value], costs)
    return decoded


def _can_score_labels(model: Any) -> bool:
    """Return whether the model can score labels, which takes one that doesn't think first."""
    return isinstance(model, Scorer) and not getattr(model, "thinks", False)


def _label_scorer(model: Any, names: Sequence[str], costs: Costs | None) -> Ask:
    def scored(queries: Sequence[Query], prompts: Prompts) -> list[Answer]:
        start = time.perf_counter()
        table = model.logprobs(prompts, [names] * len(prompts))
        each = (time.perf_counter() - start) / max(len(prompts), 1)
        count = model.count_tokens if isinstance(model, Model) else (lambda prompt: None)
        return [
            most_probable_label(
                q, names, softmax(row), costs, seconds=each, tokens_in=count(p), prompt=tuple(p)
            )
            for q, p, row in zip(queries, prompts, table, strict=True)
        ]

    return scored


def correct_drafts(
    queries: Sequence[Query],
    drafts: Sequence[Answer],
    ask: Ask,
    valid: Callable[[Answer], bool | None],
) -> list[Answer]:
    """Return the drafts, each invalid one replaced by an answer under the grammar.

    The prompt has the draft as the model's own turn, unless it is empty or failed. Tokens, seconds
    and cost of a replaced draft are those of both requests.
    """
    bad = [at for at, draft in enumerate(drafts) if valid(draft) is not True]
    prompts = [_messages_with_draft(drafts[at]) for at in bad]
    answers = list(drafts)
    for at, again in zip(
        bad, ask([queries[at] for at in bad], prompts) if bad else (), strict=True
    ):
        both = sum_usage([drafts[at], again])
        answers[at] = again.model_copy(update=both)
    return answers


def reusable_free_answers(
    setup: Setup, rule: Grammar, recipe: Recipe
) -> Callable[[Query], Answer | None] | None:
    """Return a lookup query -> free answer that is valid under the grammar too; None without one.

    If every token of the greedy free answer is allowed, greedy decoding under the grammar takes
    the same tokens. The likeliest of few labels is known if they were scored with the free answer.
    Return None if the model cannot check an answer against its grammar.
    """
    model: Any = setup.models["base"]
    labels = rule.scored
    if not (_can_score_labels(model) if labels else hasattr(model, "holds")):
        return None
    reusable = {
        answer.case: answer
        for answer in setup.given(recipe)
        if not answer.error
        if (answer.labels if labels else answer.finish == "stop" and model.holds(answer.text, rule))
    }

    free, recalls = (
        limits_for(setup.task, answer_token_limit(setup)),
        not labels and hasattr(model, "recall"),
    )

    costs = setup.task.success.costs

    def known(query: Query) -> Answer | None:
        answer = reusable.get(query.id)
        same = tuple(build(setup.task, query, recipe, setup.train)) if answer or recalls else ()
        if answer is None and recalls and (reply := model.recall(same, free)) is not None:
            answer = as_answer(query, same, reply)
            answer = answer if answer.finish == "stop" and model.holds(answer.text, rule) else None
        if answer is None or answer.prompt != same:
            return None
        if not labels or not answer.labels:
            return answer
        names, row = zip(*answer.labels.items(), strict=True)
        cost = {"tokens_in": answer.tokens_in, "seconds": answer.seconds}
        return most_probable_label(query, names, row, costs, prompt=same, **cost)

    return known


def _messages_with_draft(draft: Answer) -> tuple[Message, ...]:
    if draft.error is not None or not draft.text.strip():
        return draft.prompt
    own, then = (
        Message(role="assistant", content=draft.text),
        Message(role="user", content=REPEAT_REQUEST),
    )
    return (*draft.prompt, own, then)
