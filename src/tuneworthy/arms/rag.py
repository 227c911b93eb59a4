"""Retrieval: the passages of the documents that match the question best, before the question."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from tuneworthy.arms import _choice
from tuneworthy.arms._context import (
    Reader,
    document_index,
    encoder_fingerprint,
    passage_search,
    passages_of,
    recall_note,
)
from tuneworthy.arms._prompted import prompt_pack
from tuneworthy.arms.retrieval.chunks import ChunkOptions
from tuneworthy.records.answer import Answer
from tuneworthy.records.arm import Asks, Fitted, Recipe, Setup, Sizes, Work
from tuneworthy.records.case import Query
from tuneworthy.records.record import Record

TOOL, ROLE, SIMPLICITY = "context", "candidate", 10
NEEDS = frozenset({"model", "docs"})
REMEDY = "retrieval"
PLACEBO = "random passages, as many and as long"
CHOOSES_PROMPT = True
VARIANTS = ({"k": 4},)  # a small model reads one passage better than four (measured)


class Options(Record):
    """`k` passages within `tokens`, from documents cut into at most `size` characters.

    `dense`: vectors of MiniLM take part, which `run` fetches on first use; without MiniLM, or with
    `dense` false, BM25 searches alone. `random`: random passages of the same length (the placebo).
    """

    k: Annotated[int, Field(ge=1, le=100)] = 1
    tokens: Annotated[int, Field(ge=50, le=1_000_000)] = 1200
    size: Annotated[int, Field(ge=100, le=100_000)] = 1200
    dense: bool = True
    random: bool = False


def fit(setup: Setup, options: Options, seed: int) -> Fitted:  # noqa: ARG001
    """Return the arm fitted with the prompt that is best on dev rows with retrieved passages.

    It sees the documents as of each row's time. It counts as learned if the prompt does. Raises
    DoesNotApply without documents.
    """
    found, notes = document_index(setup, ChunkOptions(size=options.size), options.dense)
    model = setup.models["base"]
    search = passage_search(found, options.k, random=options.random)

    def reading(recipe: Recipe) -> Reader:
        return Reader(setup, model, recipe, search, options.tokens, setup.train)

    def ask(recipe: Recipe, queries: Sequence[Query]) -> list[Answer]:
        return reading(recipe).answer(queries)

    recipe, how = _choice.choose_prompt(setup, ask)
    reader = reading(recipe)
    notes += how if options.random else (*recall_note(found, setup, options.k), *how)
    return Fitted(
        answer=reader.answer,
        longer=reader.longer,
        learned=recipe.learned,
        recipe=recipe,
        model=model,
        notes=notes,
        pack=prompt_pack(setup, recipe, passages=passages_of(options, found)),
    )


def placebo(options: Options) -> Options:
    """Return the placebo's options: random passages, as many and as long."""
    return options.model_copy(update={"random": True})


def here(options: Options) -> dict[str, str]:
    """Return the fingerprint of the encoder that searches on this machine."""
    return encoder_fingerprint(options.dense)


def estimate(sizes: Sizes, options: Options) -> Work:
    """Estimate the work: one request per case, with its passages, and the choice of a prompt."""
    passages = min(options.k * sizes.passage, options.tokens * sizes.unit)
    cases = Asks(requests=sizes.cases, shared=sizes.shared, own=sizes.input_tokens + passages)
    return Work(asks=(cases, _choice.choice_requests(sizes, passages)), answer=sizes.answer)
