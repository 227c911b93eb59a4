"""The gold passage before the question: a ceiling for what retrieval can gain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Annotated

from pydantic import Field

from tuneworthy.arms import _choice
from tuneworthy.arms._context import passage_budget, token_length
from tuneworthy.arms._prompted import prompting_arm
from tuneworthy.arms.prompt.messages import build
from tuneworthy.arms.retrieval.chunks import ChunkOptions, chunked
from tuneworthy.arms.retrieval.index import index, similar_length
from tuneworthy.records.answer import Answer
from tuneworthy.records.arm import Asks, Fitted, Recipe, Setup, Sizes, Work
from tuneworthy.records.case import Query
from tuneworthy.records.model import Model
from tuneworthy.records.record import Record
from tuneworthy.rows.docs import Doc

TOOL, ROLE, SIMPLICITY = "", "ceiling", 10
NEEDS = frozenset({"model", "gold_passage"})
REMEDY = "knowledge"
PLACEBO = "another passage of the same length"
CHOOSES_PROMPT = True
_SPLIT = ChunkOptions(size=600, overlap=0)  # how a too long passage is split


class Options(Record):
    """The gold passage within `tokens`; `wrong` (placebo) shows another one of the same length."""

    tokens: Annotated[int, Field(ge=50, le=1_000_000)] = 1200
    wrong: bool = False


def fit(setup: Setup, options: Options, seed: int) -> Fitted:  # noqa: ARG001
    """Return the arm fitted with the prompt that is best on dev rows with their gold passages.

    A case without a gold passage is asked without one. The arm counts as learned if its prompt
    does.
    """
    shown = _other_passage_drawer(setup) if options.wrong else _gold_passage

    def ask(recipe: Recipe, queries: Sequence[Query]) -> list[Answer]:
        own = replace(setup, recipe=recipe)
        queries_with_passage = [
            _with_passage(own, query, shown(query), options.tokens) for query in queries
        ]
        return prompting_arm(setup, recipe).answer(queries_with_passage)

    recipe, notes = _choice.choose_prompt(setup, ask, gold=True)
    learned = recipe.learned or (options.wrong and not setup.docs)
    return Fitted(
        answer=lambda queries: ask(recipe, queries),
        learned=learned,
        recipe=recipe,
        model=setup.models["base"],
        notes=notes,
    )


def placebo(options: Options) -> Options:
    """Return the placebo's options: a wrong passage of about the same length."""
    return options.model_copy(update={"wrong": True})


def _gold_passage(query: Query) -> str | None:
    return query.gold_passage


def _other_passage_drawer(setup: Setup) -> Callable[[Query], str | None]:
    """Return a function that draws another passage of like length: of the documents, else rows."""
    pool = [chunk.text for chunk in chunked(setup.docs)]
    pool = pool or sorted({case.context for case in setup.train if case.context})

    def drawn(query: Query) -> str | None:
        at = (
            None
            if query.gold_passage is None
            else similar_length(pool, query.gold_passage, query.id)
        )
        return None if at is None else pool[at]

    return drawn


def _with_passage(setup: Setup, query: Query, passage: str | None, tokens: int) -> Query:
    """Return the query with this passage, cut to its most relevant sentences if it is too long."""
    model, bare = setup.models["base"], query.model_copy(update={"gold_passage": None})
    if passage is None:
        return bare
    most = passage_budget(setup, model, build(setup.task, bare, setup.recipe, setup.train), tokens)
    if token_length(model, passage) > most:
        passage = _sentences_that_fit(model, bare, passage, most)
    return query.model_copy(update={"gold_passage": passage or None})


def _sentences_that_fit(model: Model, query: Query, passage: str, most: int) -> str:
    """Return the sentences of a passage nearest to the question that fit, joined in their order."""
    sentences = index([Doc(id="", text=passage)], _SPLIT)
    kept: list[int] = []
    for at in sentences.ranked([(query.input, None)])[0] or range(len(sentences.chunks)):
        text = " ".join(sentences.chunks[i].text for i in sorted([*kept, at]))
        if token_length(model, text) <= most:
            kept.append(at)
    return " ".join(sentences.chunks[at].text for at in sorted(kept))


def estimate(sizes: Sizes, options: Options) -> Work:
    """Return one request for each case, with its passage and examples, and the prompt's choice."""
    passage = min(sizes.passage, options.tokens * sizes.unit)
    cases = Asks(requests=sizes.cases, shared=sizes.shared, own=sizes.input_tokens + passage)
    return Work(asks=(cases, _choice.choice_requests(sizes, passage)), answer=sizes.answer)
