"""Compare a tuned model with its base on the same tokens: general text and task answers.

Every figure is stored as a unit; `harm_checks` and `weight_changes` build records from them. The
base's general passages are generated once for all adapters on it. Knows no arm by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from tuneworthy.measure.answering import Runner
from tuneworthy.records.answer import Answer, Score
from tuneworthy.records.arm import Sizes, Work
from tuneworthy.records.case import Message
from tuneworthy.records.code import code_version
from tuneworthy.records.errors import NumericError
from tuneworthy.records.interval import Interval
from tuneworthy.records.model import SCORED_LABELS, Scorer, limits_for
from tuneworthy.records.record import digest
from tuneworthy.records.run import Run

# The most cases: teacher-forced, answered by the base model, with scored labels.
MOST_TASK_CASES, MOST_ASKED_CASES, MOST_LABEL_CASES = 60, 12, 120

RESAMPLES = 4000

_TENSORS = ("adapter_model.safetensors", "model.safetensors")  # of an adapter, of full tuning


@dataclass(frozen=True)
class TunedPair:
    """One trained run with its base and tuned models opened; each figure of both is stored."""

    runner: Runner
    run: Run
    base: Any
    model: Any

    @cached_property
    def cases(self) -> list[str]:
        """Return ids of cases the run answered with a stored prompt, in a random (seeded) order."""
        seed = self.runner.task.seed
        ids = [a.case for a in self.run.answers if a.prompt and not a.error]
        return sorted(ids, key=lambda i: digest([seed, "changes", i]))

    @cached_property
    def answers(self) -> dict[str, Answer]:
        """Return {case id: answer} of the run."""
        return {answer.case: answer for answer in self.run.answers}

    def unit(self, what: str, more: Any, make: Any) -> Any:
        """Return the stored value `what` of this tuned model; if absent, make and store it."""
        identity = {"what": f"changes {what}", "made_by": code_version(), "salt": self.runner.salt,
                 "model": dict(self.model.fingerprint), "more": more}  # fmt: skip
        study = self.runner.study
        return self.runner.ledger.unit(digest(identity), "changes", make, study)

    def general(self) -> list[list[float]]:
        """Return (tokens, base loss, tuned loss, KL) of each general text, in nats.

        96 texts: the base's answers to 64 prompts, and 32 openings that it continued.
        """
        from tuneworthy.models.train import changes

        def make() -> dict[str, Any]:
            return {"rows": changes.compare_models(self.base, self.model, self._general_rows())}

        self.runner.say("general text, base beside tuned")
        rows = self.unit("general", _general_prompts(), make)["rows"]
        return [list(row) for row in rows if row[0]]

    def _general_rows(self) -> list[dict[str, Any]]:
        """Return tokenised texts that the base wrote at temperature 1; stored for all adapters."""
        from tuneworthy.models.train import changes

        identity = {"what": "general passages", "made_by": code_version(),
                 "base": dict(self.base.fingerprint),
                 "beginnings": _general_prompts(), "salt": self.runner.salt}  # fmt: skip
        stored = self.runner.ledger.unit(
            digest(identity),
            "changes",
            lambda: {
                "rows": changes.sample_passages(
                    self.base, [*chat_prompts(), *openings()], GENERAL_TOKENS, 0
                )
            },
            self.runner.study,
        )
        return list(stored["rows"])

    def on_task(self) -> list[list[float]]:
        """Return (tokens, base loss, tuned loss, KL) of the tuned model's own answers (≤ 60)."""
        from tuneworthy.models.train import changes

        def make() -> dict[str, Any]:
            return {"rows": changes.compare_models(self.base, self.model, self._task_rows())}

        rows = self.unit("on task", self._answers_digest(MOST_TASK_CASES), make)["rows"]
        return [list(row) for row in rows if row[0]]

    def _task_rows(self) -> list[dict[str, Any]]:
        from tuneworthy.models.train import changes

        own = [self.answers[i] for i in self.cases[:MOST_TASK_CASES]]
        return [changes.answered_row(self.base, a.prompt, a.text, a.finish == "stop") for a in own]

    def weights(self) -> dict[str, Any]:
        """Return {"layers": {layer: weight change}, "on", "off": shifts per layer on/off task}."""
        from tuneworthy.models.train import changes

        def make() -> dict[str, Any]:
            figures: dict[str, Any] = {"layers": changes.weight_changes(self.base, self.model)}
            for side, rows in (("on", self._task_rows()), ("off", self._general_rows()[::6])):
                try:
                    figures[side] = changes.representation_shifts(self.base, self.model, rows)
                except NumericError:  # `on_task` or `general` reports the reason
                    figures[side] = []
            return figures

        return dict(self.unit("weights", self._answers_digest(MOST_TASK_CASES), make))

    def asked_again(self) -> list[dict[str, Any]]:
        """Return dicts {case, before, finish} of up to 12 cases; `before`: the base's own reply."""
        ids = self.cases[:MOST_ASKED_CASES]
        limits = limits_for(self.runner.task, self.runner.task.output.token_limit)

        def make() -> dict[str, Any]:
            replies = self.base.reply([self.answers[i].prompt for i in ids], limits)
            rows = [(i, r) for i, r in zip(ids, replies, strict=True) if not r.error]
            return {"rows": [{"case": i, "before": r.text, "finish": r.finish} for i, r in rows]}

        return list(
            self.unit("asked", [self._answers_digest(MOST_ASKED_CASES), limits.plain()], make)[
                "rows"
            ]
        )

    def confidences(self) -> list[dict[str, Any]]:
        """Return dicts {case, before, after} of up to 120 cases: [label, probability] per model.

        Empty if the task has no closed labels or too many to score, or the model can't score them.
        """
        names = [str(label) for label in self.runner.task.output.labels or ()]
        if self.runner.task.output.type != "label" or not 0 < len(names) <= SCORED_LABELS:
            return []
        if not isinstance(self.model, Scorer):
            return []
        ids = self.cases[:MOST_LABEL_CASES]

        def make() -> dict[str, Any]:
            prompts = [self.answers[i].prompt for i in ids]
            tables = [m.logprobs(prompts, [names] * len(ids)) for m in (self.base, self.model)]
            before, after = ([_most_likely_label(names, row) for row in table] for table in tables)
            rows = zip(ids, before, after, strict=True)
            return {"rows": [{"case": i, "before": b, "after": a} for i, b, a in rows]}

        return list(
            self.unit("confidence", [self._answers_digest(MOST_LABEL_CASES), names], make)["rows"]
        )

    def _answers_digest(self, most: int) -> str:
        """Return a digest of the prompts and answers of the first `most` cases."""
        own = [self.answers[i] for i in self.cases[:most]]
        return digest([[a.case, [m.plain() for m in a.prompt], a.text, a.finish] for a in own])


def _general_prompts() -> list[Any]:
    """Return length and prompts of the general texts: the part of their key besides the model."""
    return [GENERAL_TOKENS, openings(), [chat[0].content for chat in chat_prompts()]]


def open_tuned(runner: Runner, run: Run) -> TunedPair | str:
    """Return a trained run with both models open, or the reason why they can't be opened.

    `run` has an artefact: the folder of an adapter or of whole weights, relative to the task's
    folder. Raises ModelError if it does not belong to the model.
    """
    base: Any = runner.models.get("tune")
    folder = runner.task.folder / Path(str(run.artefact))
    if base is None or not hasattr(base, "with_adapter"):
        return "the tuned model's base can't be opened here"
    if not hasattr(base, "module"):
        return "the tuned model answers behind a server, which does not show what training changed"
    if not any((folder / name).exists() for name in _TENSORS):
        return "what was trained no longer lies in .tuneworthy"
    if "layers" in run.fingerprint:
        return "its base has fewer layers than the task's model, so the two can't be compared"
    return TunedPair(runner, run, base, base.with_adapter(folder, idle=True))


def relative_rise(rows: Sequence[Sequence[float]]) -> Interval:
    """Return the relative rise of cross-entropy per token, with a paired bootstrap over texts.

    `rows` are (tokens, loss before, loss after, ...). Two-sided 95 %, percentiles of 4,000 seeded
    draws. Raises ValueError without rows.
    """
    table = _checked_array(rows)
    return _bootstrap_interval(table, lambda sums: sums[..., 2] / sums[..., 1] - 1)


def divergence(rows: Sequence[Sequence[float]]) -> Interval:
    """Return the mean KL divergence per token (nats) with a 95 % bootstrap interval over texts."""
    return _bootstrap_interval(_checked_array(rows), lambda sums: sums[..., 3] / sums[..., 0])


def _checked_array(rows: Sequence[Sequence[float]]) -> np.ndarray[Any, Any]:
    if not rows:
        raise ValueError("no texts were read")
    return np.array(rows, float)


def _bootstrap_interval(table: np.ndarray[Any, Any], figure: Any) -> Interval:
    picked = np.random.default_rng(20_251).integers(0, len(table), (RESAMPLES, len(table)))
    draws = figure(table[picked].sum(1))
    low, high = np.quantile(draws, [0.025, 0.975])
    mean = float(figure(table.sum(0)))
    return Interval(mean=round(mean, 6), low=round(float(low), 6), high=round(float(high), 6))


def estimate(sizes: Sizes) -> Work:
    """Return the work (requests, tokens) of measuring harm and changes of one trained arm.

    General text is generated once and read four times (twice by each model, with the shifts), task
    answers are read four times, 12 prompts answered by the base, and labels of 120 cases scored by
    both models.
    """
    texts = len(chat_prompts()) + len(openings())
    own = sizes.shared + sizes.own + sizes.answer
    cases = min(sizes.cases, MOST_TASK_CASES)
    labels = (
        2 * min(sizes.cases, MOST_LABEL_CASES) * (sizes.own + sizes.labels) if sizes.labels else 0
    )
    repeated = min(sizes.cases, MOST_ASKED_CASES)
    return Work.total(
        requests=texts + repeated,
        read=4 * texts * (GENERAL_TOKENS + 30) + 4 * cases * own + labels,
        written=texts * GENERAL_TOKENS + repeated * sizes.answer,
    )


def _most_likely_label(names: Sequence[str], row: Sequence[float]) -> list[Any]:
    """Return [most likely label, its probability among the labels]."""
    logs = np.array(row, float)
    shares = np.exp(logs - logs.max())
    at = int(shares.argmax())
    return [names[at], round(float(shares[at] / shares.sum()), 6)]


def score_value(runner: Runner, gold: Mapping[str, Any], answer: Answer) -> float | None:
    """Return an answer's score by the task's metric; None if it can't be scored."""
    score = runner.metric(gold[answer.case], answer)
    return score.value if isinstance(score, Score) else None


GENERAL_TOKENS = 48  # tokens generated per prompt

REQUESTS = (
    "Explain in two sentences how {} works.",
    "Write three short tips for someone who is new to {}.",
    "Tell a short story in which {} plays a part.",
    "What are the advantages and disadvantages of {}?",
)  # fmt: skip

TOPICS = (
    "a bicycle", "a lighthouse", "baking bread", "a public library", "the tides", "a market stall",
    "learning a language", "a vegetable garden", "a railway station", "playing chess",
    "the seasons", "a weather forecast", "repairing a chair", "a choir", "long walks",
    "a small museum",
)  # fmt: skip

OPENINGS = ("The history of {} begins", "Many people think that {}")


def chat_prompts() -> list[tuple[Message, ...]]:
    """Return 64 one-turn conversations: every request about every topic."""
    return [
        (Message(role="user", content=ask.format(topic)),) for ask in REQUESTS for topic in TOPICS
    ]


def openings() -> list[str]:
    """Return 32 openings of plain text, to be continued without a chat template."""
    return [text.format(topic) for text in OPENINGS for topic in TOPICS]
