"""The judge as a metric: each answer set beside the right one, in both orders, without names.

Knows the judge by the model protocol only. Replies are stored shard by shard, so a killed study
goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tuneworthy.core.answer import Answer, Score, Unscored
from tuneworthy.core.case import Case
from tuneworthy.core.code import made_by
from tuneworthy.core.errors import ModelError
from tuneworthy.core.escape import quoted
from tuneworthy.core.model import Limits, Model, Prompt, Reply
from tuneworthy.core.record import digest
from tuneworthy.core.request_limits import limits_for
from tuneworthy.core.task import Task
from tuneworthy.metrics import Scorer
from tuneworthy.metrics._validity import validity
from tuneworthy.prompting.judging import comparison, verdict

ROOM = 120  # tokens of a judge's reply: a sentence and its verdict
SHARD = 64
Store = Callable[[str, Callable[[], Any]], Mapping[str, Any]]
Both = tuple[str | None, str | None]
"""Who won with the answer first and with the answer second: answer, gold, same; None: no verdict"""
_FIRST = {"A": "answer", "B": "gold", "SAME": "same"}
_SECOND = {"A": "gold", "B": "answer", "SAME": "same"}


@dataclass(frozen=True)
class Judging:
    """A metric that asks a model: 1 where the answer is as good as the right one or better.

    0 where the right answer wins in both orders, .5 where the orders disagree. An answer that is
    the right one needs no judge. `store` keeps replies (`Ledger.unit`), `salt` tells studies
    started anew apart. A judge that can't be asked any more (its alias moved) gives no verdict and
    says why; it is not asked again.
    """

    task: Task
    model: Model
    store: Store
    salt: str = ""
    gone: list[ModelError] = field(default_factory=list, compare=False)
    by_set = True  # asked in batches: a re-scoring one by one would cost twenty requests an answer

    def __call__(self, case: Case, answer: Answer) -> Score | Unscored:
        """Return what one answer is worth; two requests."""
        return self.all([case], [answer])[0]

    def all(self, cases: Sequence[Case], answers: Sequence[Answer]) -> list[Score | Unscored]:
        """Return one score a case, in order; no score depends on the other answers."""
        known = {i: score for i, pair in enumerate(zip(cases, answers, strict=True))
                 if (score := _known(*pair)) is not None}  # fmt: skip
        open_ = [i for i in range(len(cases)) if i not in known]
        found = self._told([cases[i] for i in open_], [answers[i].text for i in open_])
        judged = {i: grade(both, why) for i, (both, why) in zip(open_, found, strict=True)}
        return [known.get(i) or judged[i] for i in range(len(cases))]

    def verdicts(self, cases: Sequence[Case], texts: Sequence[str]) -> list[Both]:
        """Return who won against the right answer in each order, for each text."""
        return [both for both, _ in self._told(cases, texts)]

    def _told(self, cases: Sequence[Case], texts: Sequence[str]) -> list[tuple[Both, str]]:
        """Return the verdicts on each text, and why there is none where a request failed."""
        prompts: list[Prompt] = []
        for case, text in zip(cases, texts, strict=True):
            prompts.append(comparison(self.task, case, text, case.output, self.salt))
            prompts.append(comparison(self.task, case, case.output, text, self.salt))
        replies, out = self._replies(prompts), list[tuple[Both, str]]()
        for first, second in zip(replies[::2], replies[1::2], strict=True):
            one, other = (None if r.error else verdict(r.text) for r in (first, second))
            both = (_FIRST[one] if one else None, _SECOND[other] if other else None)
            out.append((both, first.error or second.error or ""))
        return out

    def _replies(self, prompts: Sequence[Prompt]) -> list[Reply]:
        limits, out = limits_for(self.task, ROOM, seed=self.task.seed), list[Reply]()
        source = {"what": "judged", "model": dict(self.model.fingerprint), "salt": self.salt,
                  "made_by": made_by(), "limits": limits.plain()}  # fmt: skip
        size = getattr(self.model, "shard", SHARD)
        for start in range(0, len(prompts), size):
            shard = prompts[start : start + size]
            key = digest({**source, "prompts": [[m.plain() for m in p] for p in shard]})
            try:
                stored = self.store(key, lambda s=shard: {"replies": self._asked(s, limits)})  # type: ignore[misc]
            except ModelError as error:  # never stored: what was stored before is still read
                self.gone[:] = self.gone or [error]
                lost = Reply(text="", finish="error", error=self.lost)
                out += [lost] * len(shard)
                continue
            out += [Reply.model_validate(reply) for reply in stored["replies"]]
        return out

    @property
    def lost(self) -> str:
        """Return why the judge can't be asked any more, or ""."""
        return f"{self.gone[0].what} ({self.gone[0].got})" if self.gone else ""

    def _asked(self, prompts: Sequence[Prompt], limits: Limits) -> list[dict[str, Any]]:
        if self.gone:
            raise self.gone[0]
        return [reply.plain() for reply in self.model.reply(prompts, limits)]


def grade(both: Both, why: str = "") -> Score | Unscored:
    """Return the score that two verdicts are worth: a flipped one is a tie.

    `why` says why there is no verdict, where that is known.
    """
    if None in both:
        reason = "the judge gave no verdict"
        return Unscored(reason=f"{reason}: {quoted(why)}" if why else reason)
    if "gold" not in both:
        return Score(value=1, why="the judge finds it as good as the right answer or better")
    if both == ("gold", "gold"):
        return Score(value=0, why="the judge prefers the right answer in both orders")
    return Score(value=0.5, why="the judge's verdict changes with the order of the two answers")


def judge_metric(task: Task, model: Model, store: Store, salt: str = "") -> Scorer:
    """Return the metric of a task with `metric: judge`, validity filled in."""
    return Scorer((Judging(task, model, store, salt),), validity(task))


def _known(case: Case, answer: Answer) -> Score | None:
    """Return the score of an answer that needs no judge, or None."""
    said = answer.text.strip()
    if not said:
        return Score(value=0, why="the answer is empty")
    if said in {right.strip() for right in (case.output, *case.accepted)}:
        return Score(value=1, why="it is the right answer")
    return None
