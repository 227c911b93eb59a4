"""Retrieval: the passages of your documents that fit the question best, in front of it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tuneworthy.arms._context import Reader, documents, machine, recalled, retrieved
from tuneworthy.core.arm import Asks, Fitted, Setup, Sizes, Work
from tuneworthy.core.record import Record
from tuneworthy.retrieval.chunks import Cut

TOOL, ROLE, SIMPLICITY = "context", "candidate", 10
NEEDS = frozenset({"model", "docs"})
REMEDY = "retrieval"
PLACEBO = "random passages, as many and as long"
VARIANTS = ({"k": 4},)  # a small model reads one passage better than four: which is measured


class Options(Record):
    """`k` passages within `tokens`, from documents cut into at most `size` characters.

    `dense`: vectors take part where the encoder is on this machine (`models get minilm`), else and
    without it BM25 searches alone. `random`: random passages of the same length (the placebo).
    """

    k: Annotated[int, Field(ge=1, le=100)] = 1
    tokens: Annotated[int, Field(ge=50, le=1_000_000)] = 1200
    size: Annotated[int, Field(ge=100, le=100_000)] = 1200
    dense: bool = True
    random: bool = False


def fit(setup: Setup, options: Options, seed: int) -> Fitted:  # noqa: ARG001
    """Return the arm on the best prompt so far; it sees the documents as of each row's time.

    Raises DoesNotApply without documents.
    """
    found, notes = documents(setup, Cut(size=options.size), options.dense)
    model, recipe = setup.models["base"], setup.recipe
    search = retrieved(found, options.k, random=options.random)
    reader = Reader(setup, model, recipe, search, options.tokens, setup.train)
    notes += () if options.random else recalled(found, setup, options.k)
    return Fitted(
        answer=reader.answer,
        longer=reader.longer,
        learned=recipe.learned,
        recipe=recipe,
        model=model,
        notes=notes,
    )


def placebo(options: Options) -> Options:
    """Return the same arm with random passages, as many and as long."""
    return options.model_copy(update={"random": True})


def here(options: Options) -> dict[str, str]:
    """Return which encoder searches on this machine."""
    return machine(options.dense)


def asks(sizes: Sizes, options: Options) -> tuple[Asks, ...]:
    """Return the requests: one a case, with its passages and examples."""
    passages = min(options.k * sizes.passage, options.tokens * sizes.unit)
    read = sizes.shared + sizes.asked + passages
    return (Asks(requests=sizes.cases, most=sizes.cases, read=read),)


def estimate(sizes: Sizes, options: Options) -> Work:
    """Return the work: each input brings its own passages and examples."""
    passages = min(options.k * sizes.passage, options.tokens)
    read = sizes.shared + sizes.cases * (sizes.asked + passages)
    return Work(requests=sizes.cases, read=read, written=sizes.cases * sizes.answer)
