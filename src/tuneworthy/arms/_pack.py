"""Open a pack: from plain data and files to a function that answers as the fitted arm did.

It calls the helpers that the arms call, so there is one code path from a prompt to an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from tuneworthy.arms._classified import classify
from tuneworthy.arms._context import Reader, document_index, passage_search
from tuneworthy.arms._prompted import draw_samples, first_then, majority_answers, prompting_arm
from tuneworthy.arms._under_grammar import answer_under_grammar, correct_drafts
from tuneworthy.arms.prompt.messages import build_all
from tuneworthy.arms.retrieval.chunks import ChunkOptions
from tuneworthy.metrics._validity import validity
from tuneworthy.models.encoder import vectors as _vectors
from tuneworthy.records.answer import Answer
from tuneworthy.records.arm import Recipe, Setup
from tuneworthy.records.artefact import Pack, Passages
from tuneworthy.records.case import Query
from tuneworthy.records.errors import ModelError
from tuneworthy.records.model import Limits, Model, Prompt


@dataclass(frozen=True)
class OpenedPack:
    """An answering function, and the prompts that it sends (None without a model).

    `limits` are those of a request, grammar included; None without a model.
    """

    answer: Callable[[Sequence[Query]], list[Answer]]
    prompts: Callable[[Sequence[Query]], list[Prompt]] | None = None
    model: Model | None = None
    limits: Limits | None = None


def open_pack(setup: Setup, pack: Pack, classifier: Any = None) -> OpenedPack:
    """Open a pack: return its answering function, with prompts, model and limits if it has a model.

    `setup` has the task, the documents and the answering model under `pack.role`, its adapter
    applied; its training rows are not read. `classifier` is the estimator of an arm without a
    model. Raises ModelError if the encoder that the pack needs is not on this machine.
    """
    if not pack.role:
        encode = _vectors.encode if pack.vectors else None
        encode = classifier.encoder.encode if pack.encoder else encode
        costs = setup.task.success.costs
        return OpenedPack(lambda queries: classify(queries, classifier, encode, costs))
    if pack.first:
        return _open_cascade(setup, pack, classifier)
    model, recipe = setup.models[pack.role], pack.recipe or Recipe()
    setup = replace(setup, train=pack.examples)
    limits = pack.limits or Limits(max_tokens=setup.task.output.token_limit)
    shown = limits.model_copy(update={"grammar": pack.grammar}) if pack.grammar else limits
    if pack.passages:
        reader = _make_reader(setup, pack.passages, model, recipe)
        return OpenedPack(reader.answer, partial(_reader_prompts, reader), model, limits)
    prompts = partial(_prompts, setup, recipe)
    if pack.votes:
        drawn = partial(_voted_answers, setup, pack, model, limits)
        return OpenedPack(lambda queries: drawn(queries, prompts(queries)), prompts, model, limits)
    free = prompting_arm(setup, recipe, model=model, limits=limits).answer
    if pack.grammar is None:
        return OpenedPack(free, prompts, model, limits)
    ask = answer_under_grammar(model, pack.grammar, limits, setup.task.success.costs)
    valid = validity(setup.task)
    if not pack.draft:
        return OpenedPack(lambda queries: ask(queries, prompts(queries)), prompts, model, shown)
    return OpenedPack(
        lambda queries: correct_drafts(queries, free(queries), ask, valid), prompts, model, limits
    )


def _open_cascade(setup: Setup, pack: Pack, classifier: Any) -> OpenedPack:
    """Open a pack whose first part answers what it is sure of; `prompts` are those of the rest."""
    assert pack.first is not None
    front = open_pack(setup, pack.first, classifier)
    rest = open_pack(setup, pack.model_copy(update={"first": None}))
    return replace(
        rest, answer=lambda queries: first_then(queries, front.answer, rest.answer, pack.least)
    )


def _prompts(setup: Setup, recipe: Recipe, queries: Sequence[Query]) -> list[Prompt]:
    return list(build_all(setup.task, queries, recipe, setup.train))


def _reader_prompts(reader: Reader, queries: Sequence[Query]) -> list[Prompt]:
    return [prompt for prompt, _ in reader.prompts(queries)]


def _voted_answers(
    setup: Setup,
    pack: Pack,
    model: Model,
    limits: Limits,
    queries: Sequence[Query],
    prompts: Sequence[Prompt],
) -> list[Answer]:
    draws = draw_samples(model, prompts, limits, pack.votes)
    return majority_answers(queries, prompts, draws, setup.task.output.type)


def _make_reader(setup: Setup, passages: Passages, model: Model, recipe: Recipe) -> Reader:
    found, notes = document_index(setup, ChunkOptions(size=passages.size), passages.dense)
    if passages.dense and not found.dense:
        raise ModelError(
            "the passages were found with sentence vectors, which this machine lacks",
            got="; ".join(notes),
            fix="tuneworthy models get minilm",
        )
    search = passage_search(found, passages.k, random=False)
    return Reader(setup, model, recipe, search, passages.tokens, setup.train)
