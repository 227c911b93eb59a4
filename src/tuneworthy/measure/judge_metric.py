"""Score answers with a judge model, which compares each with the right one, in both orders.

The judge is any model of our protocol. Replies are stored shard by shard, so a killed study
resumes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import starmap
from typing import Any

from tuneworthy.arms.prompt.judging import comparison_messages, read_verdict
from tuneworthy.metrics import Scorer
from tuneworthy.metrics._validity import validity
from tuneworthy.records.answer import Answer, Score, Unscored
from tuneworthy.records.case import Case, right_answers
from tuneworthy.records.code import code_version
from tuneworthy.records.errors import ModelError
from tuneworthy.records.escape import quoted
from tuneworthy.records.model import Limits, Model, Prompt, Reply, limits_for
from tuneworthy.records.record import digest
from tuneworthy.records.task import Task

REPLY_TOKENS = 120  # a sentence and its verdict
_ANSWERS_PER_SHARD = 64
_JudgementStore = Callable[[str, Callable[[], Any]], Mapping[str, Any]]
Verdicts = tuple[str | None, str | None]
"""The winner ("answer", "gold" or "same"; None: no verdict) with the answer first, then second."""
_ANSWER_AS_A = {"A": "answer", "B": "gold", "SAME": "same"}
_ANSWER_AS_B = {"A": "gold", "B": "answer", "SAME": "same"}


@dataclass(frozen=True)
class JudgeMetric:
    """A metric that asks a judge model: 1 if it finds the answer at least as good as the right one.

    0 if the right answer wins in both orders, .5 if the orders disagree. The right answer itself
    needs no judge. `store` keeps replies (`Ledger.unit`), `salt` distinguishes studies that were
    started anew. A judge that can no longer be called (its alias moved) gives no verdict, with the
    reason, and is not called again; `fatal_errors` holds that error.
    """

    task: Task
    model: Model
    store: _JudgementStore
    salt: str = ""
    fatal_errors: list[ModelError] = field(default_factory=list, compare=False)
    by_set = True  # scored in batches; the placebos of a rescore would cost 20 requests an answer

    def __call__(self, case: Case, answer: Answer) -> Score | Unscored:
        """Return the score of one answer; sends two requests."""
        return self.all([case], [answer])[0]

    def all(self, cases: Sequence[Case], answers: Sequence[Answer]) -> list[Score | Unscored]:
        """Return one score per case, in order; no score depends on the other answers."""
        trivial = {i: score for i, pair in enumerate(zip(cases, answers, strict=True))
                 if (score := _score_without_judge(*pair)) is not None}  # fmt: skip
        to_judge = [i for i in range(len(cases)) if i not in trivial]
        verdicts = self._verdicts([cases[i] for i in to_judge], [answers[i].text for i in to_judge])
        judged = dict(zip(to_judge, starmap(score_verdicts, verdicts), strict=True))
        return [trivial.get(i) or judged[i] for i in range(len(cases))]

    def verdicts(self, cases: Sequence[Case], texts: Sequence[str]) -> list[Verdicts]:
        """Return per text who wins against the right answer, in each of both orders of the two."""
        return [both for both, _ in self._verdicts(cases, texts)]

    def _verdicts(
        self, cases: Sequence[Case], texts: Sequence[str]
    ) -> list[tuple[Verdicts, Reply | None]]:
        """Return, for each text, the winner in each order and the reply of a failed request."""
        prompts: list[Prompt] = []
        for case, text in zip(cases, texts, strict=True):
            prompts.append(comparison_messages(self.task, case, text, case.output, self.salt))
            prompts.append(comparison_messages(self.task, case, case.output, text, self.salt))
        replies, result = self._replies(prompts), list[tuple[Verdicts, Reply | None]]()
        for first, second in zip(replies[::2], replies[1::2], strict=True):
            winner, winner_swapped = (
                None if r.error else read_verdict(r.text) for r in (first, second)
            )
            both = (
                _ANSWER_AS_A[winner] if winner else None,
                _ANSWER_AS_B[winner_swapped] if winner_swapped else None,
            )
            result.append((both, next((one for one in (first, second) if one.error), None)))
        return result

    def _replies(self, prompts: Sequence[Prompt]) -> list[Reply]:
        limits, replies = limits_for(self.task, REPLY_TOKENS, seed=self.task.seed), list[Reply]()
        source = {"what": "judged", "model": dict(self.model.fingerprint), "salt": self.salt,
                  "made_by": code_version(), "limits": limits.plain()}  # fmt: skip
        size = getattr(self.model, "shard", _ANSWERS_PER_SHARD)
        for start in range(0, len(prompts), size):
            shard = prompts[start : start + size]
            key = digest({**source, "prompts": [[m.plain() for m in p] for p in shard]})
            try:
                stored = self.store(key, lambda s=shard: {"replies": self._reply(s, limits)})  # type: ignore[misc]
            except ModelError as error:  # not stored; earlier shards are still read
                self.fatal_errors[:] = self.fatal_errors or [error]
                failed = Reply(text="", finish="error", error=self.why_lost)
                replies += [failed] * len(shard)
                continue
            replies += [Reply.model_validate(reply) for reply in stored["replies"]]
        return replies

    @property
    def why_lost(self) -> str:
        """Return why the judge can no longer be called; "" if it can."""
        return (
            f"{self.fatal_errors[0].what} ({self.fatal_errors[0].got})" if self.fatal_errors else ""
        )

    def _reply(self, prompts: Sequence[Prompt], limits: Limits) -> list[dict[str, Any]]:
        if self.fatal_errors:
            raise self.fatal_errors[0]
        return [reply.plain() for reply in self.model.reply(prompts, limits)]


def score_verdicts(both: Verdicts, failed: Reply | None = None) -> Score | Unscored:
    """Return the score that the winners of both orders give; contradicting ones are a tie.

    `failed` is the reply of a request that failed, if one did.
    """
    if None in both:
        reason = "the judge gave no verdict"
        if failed is None:
            return Unscored(reason=reason)
        return Unscored(reason=f"{reason}: {quoted(failed.error or '')}", lost=failed.lost)
    if "gold" not in both:
        return Score(value=1, why="the judge finds it as good as the right answer or better")
    if both == ("gold", "gold"):
        return Score(value=0, why="the judge prefers the right answer in both orders")
    return Score(value=0.5, why="the judge's verdict changes with the order of the two answers")


def judge_metric(task: Task, model: Model, store: _JudgementStore, salt: str = "") -> Scorer:
    """Return the metric of a task with `metric: judge`, including validity."""
    return Scorer((JudgeMetric(task, model, store, salt),), validity(task))


def _score_without_judge(case: Case, answer: Answer) -> Score | None:
    """Return the score of an empty or right answer; None for an answer that needs the judge."""
    text = answer.text.strip()
    if not text:
        return Score(value=0, why="the answer is empty")
    if (case.id, text) in right_answers([case]):
        return Score(value=1, why="it is the right answer")
    return None
