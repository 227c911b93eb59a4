"""Helpers of the arms that show passages: the document index, and passages within a budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tuneworthy.arms._prompted import answer_token_limit, as_answer
from tuneworthy.arms.prompt.messages import NamedPassage, build
from tuneworthy.arms.retrieval.chunks import Chunk, ChunkOptions, encoder_here
from tuneworthy.arms.retrieval.gold import quality
from tuneworthy.arms.retrieval.index import Index, index
from tuneworthy.records.answer import Answer
from tuneworthy.records.arm import RETRY_TOKEN_FACTOR, Recipe, Setup
from tuneworthy.records.artefact import Passages
from tuneworthy.records.case import Case, Message, Query
from tuneworthy.records.errors import DoesNotApply
from tuneworthy.records.model import Model, limits_for, reasoning_tokens, scaled_limits

_RECALL_ROWS = 200  # training rows on which recall is measured
_SPARE_TOKENS = 8  # tokens for the words around the passages
# The last 4: folds and arms share documents.
_INDEX_CACHE: list[tuple[Any, Any, Index]] = []
_PassageSearch = Callable[[Sequence[Query]], list[list[Chunk]]]


def document_index(setup: Setup, cut: ChunkOptions, dense: bool) -> tuple[Index, tuple[str, ...]]:
    """Return (index of the task's documents, a note if no encoder is here for vectors, else ()).

    Raises DoesNotApply without documents.
    """
    if not setup.docs:
        raise DoesNotApply("there are no documents (data.docs) to look things up in")
    encoder, why = encoder_here() if dense else (None, "")
    notes = (f"passages are found by BM25 alone: {why}",) if why else ()
    about = (cut, dict(encoder.fingerprint) if encoder else None)
    for docs, known, found in _INDEX_CACHE:
        if docs is setup.docs and known == about:
            return found, notes
    found = index(setup.docs, cut, encoder, setup.common)
    _INDEX_CACHE.insert(0, (setup.docs, about, found))
    del _INDEX_CACHE[4:]
    return found, notes


def passages_of(options: Any, found: Index) -> Passages:
    """Return the retrieval settings of an arm with these options and this index, for its pack."""
    return Passages(k=options.k, tokens=options.tokens, size=options.size, dense=found.dense)


def recall_note(found: Index, setup: Setup, k: int) -> tuple[str, ...]:
    """Return () or a note on how often the right passage is found for training rows.

    Empty if recall cannot be measured. Only training rows count: an arm must not see a scored
    case's gold passage.
    """
    measured = quality(found, setup.train[:_RECALL_ROWS], (1, k))
    if measured.recall is None:
        return ()
    first, all_k = (measured.recall[at].mean for at in (1, k))
    text = f"the right passage ranks first for {first:.0%} of {measured.n} training rows"
    text += f", among the first {k} for {all_k:.0%}" * (k > 1)
    return (
        text + f" ({measured.inferred} of these passages were inferred)" * bool(measured.inferred),
    )


def encoder_fingerprint(dense: bool) -> dict[str, str]:
    """Return the fingerprint of the encoder here, which decides what is found, or "none"."""
    encoder = encoder_here()[0] if dense else None
    return dict(encoder.fingerprint) if encoder else {"encoder": "none"}


def passage_search(found: Index, k: int, *, random: bool) -> _PassageSearch:
    """Return a search function for each query's k best passages as of its time, or random ones.

    With `random` (the placebo), each passage is replaced by a random one of about the same length,
    drawn with the query's id as the seed.
    """

    def search(queries: Sequence[Query]) -> list[list[Chunk]]:
        lists = found.search([(query.input, query.time) for query in queries], k)
        if not random:
            return lists
        pairs = zip(queries, lists, strict=True)
        return [_with_random_passages(found, query, chunks) for query, chunks in pairs]

    return search


def _with_random_passages(found: Index, query: Query, chunks: Sequence[Chunk]) -> list[Chunk]:
    drawn = (
        found.placebo_chunk(chunk, f"{query.id} {rank}", query.time)
        for rank, chunk in enumerate(chunks)
    )
    return [chunk for chunk in drawn if chunk is not None]


@dataclass
class Reader:
    """Builds prompts with retrieved passages and answers with them.

    `recipe` is the prompt, `tokens` the budget of all passages. `examples` are the training cases
    that the recipe shows; a trained arm has none.
    """

    setup: Setup
    model: Model
    recipe: Recipe
    search: _PassageSearch
    tokens: int
    examples: Sequence[Case] = ()
    _counts: dict[str, int] = field(default_factory=dict)

    def prompts(self, queries: Sequence[Query]) -> list[tuple[tuple[Message, ...], list[Chunk]]]:
        """Return for each query its prompt and the chunks in it, the best first."""
        pairs = zip(queries, self.search(queries), strict=True)
        return [self._prompt(query, chunks) for query, chunks in pairs]

    def longer(self, queries: Sequence[Query]) -> list[Answer]:
        """Return answers under a token limit that is RETRY_TOKEN_FACTOR times the usual one."""
        return self.answer(queries, factor=RETRY_TOKEN_FACTOR)

    def answer(
        self, queries: Sequence[Query], model: Model | None = None, factor: int = 1
    ) -> list[Answer]:
        """Return one greedy answer per query, with its passages; `model` replaces the arm's own.

        `factor` multiplies the token limit.
        """
        asked = self.prompts(queries)
        limits = scaled_limits(limits_for(self.setup.task, answer_token_limit(self.setup)), factor)
        replies = (model or self.model).reply([prompt for prompt, _ in asked], limits)
        return [
            as_answer(query, prompt, reply).model_copy(
                update={"passages": tuple(chunk.doc for chunk in chunks)}
            )
            for query, (prompt, chunks), reply in zip(queries, asked, replies, strict=True)
        ]

    def _prompt(self, query: Query, chunks: list[Chunk]) -> tuple[tuple[Message, ...], list[Chunk]]:
        bare = build(self.setup.task, query, self.recipe, self.examples)
        shown = self._chunks_that_fit(
            chunks, passage_budget(self.setup, self.model, bare, self.tokens)
        )
        passages = [citation(chunk) for chunk in shown]
        prompt = build(self.setup.task, query, self.recipe, self.examples, passages)
        return prompt, shown

    def _chunks_that_fit(self, chunks: Sequence[Chunk], budget: int) -> list[Chunk]:
        """Return the chunks that fit the token budget, in rank order; too long ones are skipped.

        A passage is shown whole or not at all: half a sentence may say the opposite.
        """
        out = []
        for chunk in chunks:
            need = self._count_tokens(chunk)
            if need <= budget:
                out.append(chunk)
                budget -= need
        return out

    def _count_tokens(self, chunk: Chunk) -> int:
        name, text = citation(chunk)
        line = f"Passage 9 ({name}): {text}\n\n"
        if line not in self._counts:
            self._counts[line] = token_length(self.model, line)
        return self._counts[line]


def passage_budget(setup: Setup, model: Model, prompt: Sequence[Message], most: int) -> int:
    """Return the number of tokens left for passages after prompt and answer, at most `most`."""
    if model.context is None:
        return most
    beside = answer_token_limit(setup) + reasoning_tokens(setup.task, model) + _SPARE_TOKENS
    return min(most, model.context - model.count_tokens(prompt) - beside)


def token_length(model: Model, text: str) -> int:
    """Return the number of tokens that a text adds to an empty user turn."""
    empty, full = ([Message(role="user", content=said)] for said in ("", text))
    return model.count_tokens(full) - model.count_tokens(empty)


def citation(chunk: Chunk) -> NamedPassage:
    """Return the citation of a passage in a prompt: its title (or document id) and its text."""
    return chunk.title or chunk.doc, chunk.text
