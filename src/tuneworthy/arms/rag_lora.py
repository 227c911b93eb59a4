"""LoRA trained and answering with retrieved passages in the prompt: it learns to read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

from pydantic import Field

from tuneworthy.arms._context import (
    Reader,
    document_index,
    encoder_fingerprint,
    passage_search,
    passages_of,
)
from tuneworthy.arms._prompted import prompt_pack
from tuneworthy.arms._trained import (
    PromptingMethod,
    TuningOptions,
    model_to_tune,
    pilot_options,
    recipe_of,
    train_model,
    training_work,
)
from tuneworthy.arms.retrieval.chunks import ChunkOptions
from tuneworthy.records.arm import Fitted, Setup, Sizes, Work
from tuneworthy.records.case import Query
from tuneworthy.records.model import Prompt

TOOL, ROLE, SIMPLICITY = "tune", "candidate", 40
NEEDS = frozenset({"training", "docs"})
REMEDY, PLACEBO = "learnable", "the same training on shuffled answers"


class Options(TuningOptions):
    """As `lora`, with `k` passages within `tokens` (see `rag`), in training and in answering."""

    k: Annotated[int, Field(ge=1, le=100)] = 2
    tokens: Annotated[int, Field(ge=50, le=1_000_000)] = 600
    size: Annotated[int, Field(ge=100, le=100_000)] = 1200
    dense: bool = True


pilot = pilot_options


def placebo(options: Options) -> Options:
    """Return the placebo's options: the same training, with passages, on shuffled answers."""
    return options.model_copy(update={"shuffled": True})


def fit(setup: Setup, options: Options, seed: int) -> Fitted:
    """Train on rows with their retrieved passages, right or wrong, and return the arm.

    Raises DoesNotApply without documents or rows, or if the model cannot be trained here.
    """
    found, notes = document_index(setup, ChunkOptions(size=options.size), options.dense)
    search = passage_search(found, options.k, random=False)
    reader = Reader(setup, model_to_tune(setup), recipe_of(options), search, options.tokens)

    def prompts(queries: Sequence[Query]) -> list[Prompt]:
        return [prompt for prompt, _ in reader.prompts(queries)]

    passages = passages_of(options, found)
    pack = prompt_pack(
        replace(setup, train=()), reader.recipe, role="tune", adapter=True, passages=passages
    )
    fitted = train_model(setup, options, seed, PromptingMethod(pack, prompts, reader.answer))
    return replace(fitted, notes=(*notes, *fitted.notes))


def here(options: Options) -> dict[str, str]:
    """Return the fingerprint of the encoder that searches on this machine."""
    return encoder_fingerprint(options.dense)


def estimate(sizes: Sizes, options: Options) -> Work:
    """Return the work of a training run; every row is read with its passages."""
    return training_work(sizes, options, min(options.k * sizes.passage, options.tokens))
