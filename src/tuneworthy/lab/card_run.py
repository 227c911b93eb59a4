"""Run an inference card with a model: answer 40 new rows, look by look, and send its events.

The events are those of a training run without its steps: a look is a level of the card's knob or a
group of answers. Knows no page and no process.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from statistics import fmean
from typing import Any

from tuneworthy.arms.prompt.grammar import grammar
from tuneworthy.lab.cases import ANSWER_TOKENS, ASKED_ROWS, SHOWN_LOSS_ROWS, LabCase, scored_case
from tuneworthy.lab.encode import clean_row
from tuneworthy.lab.events import Emit, RunStopped
from tuneworthy.metrics import scorer
from tuneworthy.records.answer import Answer, Score
from tuneworthy.records.card import CardAnswer, CardLook, Passage, Sampling
from tuneworthy.records.failure import Config, LabRow, LabRows, LabSetup, RunFacts, Runs
from tuneworthy.records.model import Limits, Prompt
from tuneworthy.rows.docs import Doc


class CardRun:
    """One run of a card: its rows, and the latest answer to each new row."""

    def __init__(self, case: LabCase, config: Config, seed: int, model: Any) -> None:
        """Draw the rows. `model` may be None for a card that uses no model."""
        self.case, self.config, self.seed, self.model = case, dict(config), seed, model
        self.rows = case.rows(config, seed)
        self.scorer = scorer(case.task())
        self.positions = {row.id: k for k, row in enumerate(self.rows.new)}
        self.latest_answers: dict[str, CardAnswer] = {}
        self.first_facts: dict[str, float | None] = {}

    def run(
        self,
        emit: Emit,
        folder: Path,
        role: str,
        twin: RunFacts | None = None,
        control: Callable[[], None] = lambda: None,
    ) -> RunFacts:
        """Answer and measure; send begin, looks and end; return the facts.

        The folder `shared` beside `folder` keeps the trained adapter, which several runs use.
        `control` is called after each look: it may wait, and stops the run by raising RunStopped.
        Other errors of a callback or the model are raised as they are.
        """
        begun, state = time.perf_counter(), "done"
        shutil.rmtree(folder, ignore_errors=True)
        tools = LabTools(self.case, self.rows, self.seed, self.model, folder.parent / "shared")
        emit(self._begin_event(role))
        at = 0
        try:
            looks = self.case.module.answer(LabSetup(self.config, self.seed), tools)
            for at, look in enumerate(looks, 1):
                emit(self._look_event(at, look))
                control()
        except RunStopped:
            state = "stopped"
        result = self._run_facts()
        because = f"stopped at look {at}" if state == "stopped" else None
        seconds = time.perf_counter() - begun
        emit(self.case.end_event(role, Runs(result, twin), state, because, seconds))
        return result

    def _begin_event(self, role: str) -> dict[str, Any]:
        tokenizer = getattr(self.model, "tokenizer", None)
        rows = [
            {"id": row.id, "tokens": [[text, "i", None] for text in _token_texts(tokenizer, row)]}
            for row in self.rows.new[:SHOWN_LOSS_ROWS]
        ]
        questions = [{"input": row.input, "gold": row.output} for row in self.rows.new]
        return self.case.begin_event(
            self.config, self.seed, role, steps=self.case.module.LOOKS, end=None, rows=rows,
            questions=questions,
        )  # fmt: skip

    def _look_event(self, at: int, look: CardLook) -> dict[str, Any]:
        answers = self._score_answers(look.answers)
        self.latest_answers |= {answer.row.id: answer for answer in answers}
        facts = self._mean_facts()
        if at == 1:
            self.first_facts = {f"first_{key}": facts[key] for key in ("valid", "score")}
        return {
            "kind": "look",
            "at": at,
            "level": look.level,
            "held": None,
            "losses": [],
            "answers": [
                {
                    "row": self.positions[answer.row.id],
                    "text": answer.text,
                    "ended": answer.ended,
                    "score": _rounded(answer.score),
                }
                for answer in answers[:ASKED_ROWS]
            ],
            "facts": {key: _rounded(value) for key, value in facts.items()},
        }

    def _score_answers(self, answers: Sequence[CardAnswer]) -> list[CardAnswer]:
        """Return the answers, scored by the task's metric where the card sets no score."""
        cases = [scored_case(each.row) for each in answers]
        given = [
            Answer(case=each.row.id, text=each.text, tokens_out=each.tokens,
                   finish="stop" if each.ended else "length")
            for each in answers
        ]  # fmt: skip
        scores = self.scorer.all(cases, given)
        return [
            answer if answer.score is not None else
            replace(answer, score=score.value, valid=score.valid) if isinstance(score, Score) else
            replace(answer, score=0.0, valid=False)
            for answer, score in zip(answers, scores, strict=True)
        ]  # fmt: skip

    def _mean_facts(self) -> dict[str, float | None]:
        """Return {fact: mean over each row's latest answer}, None where no answer has the fact."""
        answers = list(self.latest_answers.values())
        names = sorted({name for answer in answers for name in answer.measures})
        own = {
            name: _mean_of_known([each.measures.get(name) for each in answers]) for name in names
        }
        return {
            "length": _mean_of_known([each.tokens for each in answers]),
            "score": _mean_of_known([each.score for each in answers]),
            "valid": _mean_of_known([each.valid for each in answers]),
            **own,
        }

    def _run_facts(self) -> RunFacts:
        facts = self._mean_facts()
        means = {key: facts.pop(key) for key in ("length", "score", "valid")}
        answers = list(self.latest_answers.values())
        wrote = all(answer.tokens is not None for answer in answers)
        return RunFacts(
            answers=len(answers),
            ended=sum(answer.ended for answer in answers) if wrote else None,
            other={**self.first_facts, **facts},
            **means,
        )


def _token_texts(tokenizer: Any, row: LabRow) -> list[str]:
    """Return the texts of a row's tokens; without a tokenizer its words."""
    if tokenizer is None:
        turns = [message.content for message in row.messages]
        return [f"{word} " for text in (*turns, row.output) for word in text.split()]
    return [tokenizer.decode([token]) for token in clean_row(tokenizer, row).ids]


def _mean_of_known(values: Sequence[float | None]) -> float | None:
    known = [float(value) for value in values if value is not None]
    return fmean(known) if known else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


_LOOK_ROWS = 8  # new rows of a look


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
        for start in range(0, len(self.rows.new), _LOOK_ROWS):
            yield self.rows.new[start : start + _LOOK_ROWS]

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
        """Return a row per prompt: the log-probability of each of the texts as its answer."""
        scores: list[list[float]] = self.model.logprobs(prompts, [list(texts)] * len(prompts))
        return scores

    def legal_mass(self, prompts: Sequence[Prompt], texts: Sequence[str]) -> list[list[float]]:
        """Return the probability of all legal tokens before each token of each prompt's text."""
        from tuneworthy.models.local.score import legal_mass

        return legal_mass(self.model, prompts, texts, self._grammar())

    def likeliest_tokens(self, prompts: Sequence[Prompt], texts: Sequence[str]) -> list[list[int]]:
        """Return the id of the likeliest token before each token of each prompt's text."""
        from tuneworthy.models.local.score import chosen_tokens

        return chosen_tokens(self.model, prompts, texts)

    def search(self, rows: Sequence[LabRow], k: int, dated: bool) -> list[list[Passage]]:
        """Return each question's k best passages; `dated`: only ones in force at its time."""
        docs = {doc.id: doc for doc in self.case.docs()}
        found = _document_index(self.case, dated).search(
            [(row.input, row.meta["time"]) for row in rows], k
        )
        return [[_passage_of(docs[chunk.doc]) for chunk in chunks] for chunks in found]

    def with_trained_model(self, form: str) -> LabTools:
        """Return tools whose model has the trained adapter applied, or merged in the `form`.

        The adapter is trained on first use, with the lab's clean configuration.
        """
        from tuneworthy.lab.encode import trained_model

        trained = trained_model(self.model, self.rows, self.seed, self.shared)
        if form == "adapter":
            return replace(self, model=trained)
        from tuneworthy.models.train.merge import merged_rounded

        return replace(self, model=merged_rounded(trained, form))

    def _grammar(self) -> Any:
        return grammar(self.case.task(), [row.output for row in self.rows.train])


@lru_cache(maxsize=4)
def _document_index(case: LabCase, dated: bool) -> Any:
    """Return the index of the task's documents; without dates all of them are in force."""
    from tuneworthy.arms.retrieval.index import index

    free = {"since": None, "until": None}
    return index([doc if dated else doc.model_copy(update=free) for doc in case.docs()])


def _passage_of(doc: Doc) -> Passage:
    return Passage(doc.id, doc.title, doc.text, doc.since, doc.until)
