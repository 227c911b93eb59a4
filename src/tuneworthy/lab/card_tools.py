"""The tools of an inference card: ask the model, search the documents, serve a trained adapter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from tuneworthy.core.card import CardAnswer, Passage, Sampling
from tuneworthy.core.failure import LabRow, LabRows
from tuneworthy.core.model import Limits, Prompt
from tuneworthy.data.docs import Doc
from tuneworthy.lab.cases import ANSWER_TOKENS, LabCase
from tuneworthy.prompting.grammar import grammar

LOOK_ROWS = 8  # new rows of a look


@dataclass(frozen=True)
class LabTools:
    """The tools of one run; the folder `shared` keeps the adapter, which several runs use."""

    case: LabCase
    rows: LabRows
    seed: int
    model: Any
    shared: Path

    def groups(self) -> Iterator[tuple[LabRow, ...]]:
        """Yield the new rows in groups, one group per look."""
        for start in range(0, len(self.rows.new), LOOK_ROWS):
            yield self.rows.new[start : start + LOOK_ROWS]

    def reply(
        self, rows: Sequence[LabRow], prompts: Sequence[Prompt], how: Sampling = Sampling()
    ) -> list[CardAnswer]:
        """Return the model's answers to the prompts, one per row."""
        limits = Limits(
            max_tokens=ANSWER_TOKENS, temperature=how.temperature, top_p=how.top_p, seed=self.seed,
            grammar=self._grammar() if how.schema else None,
        )  # fmt: skip
        replies = self.model.reply(prompts, limits)
        return [
            CardAnswer(row, reply.text, reply.finish == "stop", reply.tokens_out)
            for row, reply in zip(rows, replies, strict=True)
        ]

    def logprobs(self, prompts: Sequence[Prompt], texts: Sequence[str]) -> list[list[float]]:
        """Return for each prompt the log-probability of each of the texts as its answer."""
        scores: list[list[float]] = self.model.logprobs(prompts, [list(texts)] * len(prompts))
        return scores

    def legal_mass(self, prompts: Sequence[Prompt], texts: Sequence[str]) -> list[list[float]]:
        """Return the probability of all legal tokens before each token of each prompt's text."""
        from tuneworthy.models.local.given_answer import legal_mass

        return legal_mass(self.model, prompts, texts, self._grammar())

    def likeliest_tokens(self, prompts: Sequence[Prompt], texts: Sequence[str]) -> list[list[int]]:
        """Return the id of the likeliest token before each token of each prompt's text."""
        from tuneworthy.models.local.given_answer import chosen_tokens

        return chosen_tokens(self.model, prompts, texts)

    def search(self, rows: Sequence[LabRow], k: int, dated: bool) -> list[list[Passage]]:
        """Return the k best passages for each row's question; `dated`: in force at its time."""
        docs = {doc.id: doc for doc in self.case.docs()}
        found = _document_index(self.case, dated).search(
            [(row.input, row.meta["time"]) for row in rows], k
        )
        return [[_passage_of(docs[chunk.doc]) for chunk in chunks] for chunks in found]

    def with_trained_model(self, form: str) -> LabTools:
        """Return tools whose model has the trained adapter applied, or merged in the `form`.

        The adapter is trained on first use, with the lab's clean configuration.
        """
        from tuneworthy.lab.trained import trained_model

        trained = trained_model(self.model, self.rows, self.seed, self.shared)
        if form == "adapter":
            return replace(self, model=trained)
        from tuneworthy.training.rounded import merged_rounded

        return replace(self, model=merged_rounded(trained, form))

    def _grammar(self) -> Any:
        return grammar(self.case.task(), [row.output for row in self.rows.train])


@lru_cache(maxsize=4)
def _document_index(case: LabCase, dated: bool) -> Any:
    """Return the index of the task's documents; without dates all of them are in force."""
    from tuneworthy.retrieval.index import index

    free = {"since": None, "until": None}
    return index([doc if dated else doc.model_copy(update=free) for doc in case.docs()])


def _passage_of(doc: Doc) -> Passage:
    return Passage(doc.id, doc.title, doc.text, doc.since, doc.until)
