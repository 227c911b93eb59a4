"""Compare an exported form with the evaluated model on the same cases.

Three things can differ, and each has its own check: the prompt (token counts), the weights
(log-probabilities of the same answers, against the noise of asking the evaluated model twice), and
the answers with their scores.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tuneworthy.matrix.design import Design
from tuneworthy.metrics import score_all
from tuneworthy.records.answer import Answer, Score, Unscored, value_or_zero
from tuneworthy.records.build_report import ChangedAnswer, FormParity, LogProbDistance
from tuneworthy.records.case import Case
from tuneworthy.records.model import Prompt, Reply
from tuneworthy.records.tokens import (
    MOST_GAP_SHARE,
    TOLERANCE,
    TokenLogProbs,
    mean_distance,
)

_COMPARED_ANSWERS = 24  # answers whose log-probabilities are compared
_SHOWN_CASES = 5  # the most changed cases in a report


class Engine(Protocol):
    """The engine that will serve an exported form, in this process."""

    name: str

    def prompt_tokens(self, prompts: Sequence[Prompt]) -> list[int]:
        """Return the token count of each prompt as this engine renders it."""
        ...

    def reply(
        self, prompts: Sequence[Prompt], max_tokens: int, expected: Sequence[str]
    ) -> list[Reply]:
        """Return one greedy reply per prompt.

        `expected` are the evaluated model's replies: if one forward pass shows that such a text is
        this engine's greedy reply too, the engine need not generate it.
        """
        ...

    def token_logprobs(
        self, prompts: Sequence[Prompt], texts: Sequence[str]
    ) -> list[list[float] | None]:
        """Return the log-probability of each token of each text; None for one it can't score."""
        ...


@dataclass(frozen=True)
class ReferenceAnswers:
    """The evaluated model's answers to the cases, and the functions that score them.

    `tuned(prompts, texts)` and `base(prompts, texts)` return token log-probabilities of the
    evaluated model and of its base; None for a model that can't score given answers. `counts` are
    the token counts of its prompts; `score` is the task's metric.
    """

    cases: Sequence[Case]
    answers: Sequence[Answer]
    score: Callable[[Case, Answer], Score | Unscored]
    margin: float
    max_tokens: int = 0
    counts: Sequence[int] = ()
    tuned: Callable[[Sequence[Prompt], Sequence[str]], TokenLogProbs] | None = None
    base: Callable[[Sequence[Prompt], Sequence[str]], TokenLogProbs] | None = None


def compare_answers(
    form: str, engine: str, reference: ReferenceAnswers, new: Sequence[Answer]
) -> FormParity:
    """Return the parity of new answers with the evaluated ones: agreement and score difference.

    Bounds are 95 %. The form fails if the mean score drops by more than the margin, if a request
    failed, or if the metric gives an answer no score.
    """
    old = reference.answers
    (before, lost), (after, lost_now) = (_score_values(reference, own) for own in (old, new))
    equal = sum(a.text == b.text for a, b in zip(old, new, strict=True))
    ids, design = [answer.case for answer in old], Design.of_cases(reference.cases)
    bound = design.difference({i: b - a for i, a, b in zip(ids, before, after, strict=True)})
    share = design.share({a.case: a.text == b.text for a, b in zip(old, new, strict=True)})
    failed = []
    if bound.mean < -reference.margin:
        failed.append(
            f"its score drops by {-bound.mean:.3f}, more than the margin {reference.margin:g}"
        )
    if unscored := [*lost, *lost_now]:
        failed.append(f"the metric gives no score to {len(unscored)} answers: {unscored[0]}")
    if broken := [a for a in new if a.error]:
        failed.append(f"{len(broken)} requests failed: {broken[0].error}")
    changes = [
        ChangedAnswer(case=a.case, evaluated=a.text, exported=b.text, before=x, after=y)
        for a, b, x, y in zip(old, new, before, after, strict=True)
        if a.text != b.text
    ]
    changes.sort(key=lambda change: (change.after - change.before, change.case))
    return FormParity(
        form=form,
        engine=engine,
        asked=len(old),
        equal=equal,
        agreement=share.interval,
        difference=bound.interval,
        margin=reference.margin,
        excluded=bound.low > -reference.margin,
        changes=tuple(changes[:_SHOWN_CASES]),
        failed=tuple(failed),
    )


def compare_form(
    form: str, engine: Engine, reference: ReferenceAnswers, *, exact: bool
) -> FormParity:
    """Return the parity of an exported form with the evaluated model, both asked the same prompts.

    `exact`: the form's weights are not rounded. Besides the answers, the token count of each prompt
    and the log-probabilities of the evaluated answers are compared, which also shows whether the
    adapter is applied.
    """
    prompts = [answer.prompt for answer in reference.answers]
    expected = [answer.text for answer in reference.answers]
    replies = engine.reply(prompts, reference.max_tokens, expected)
    new = [
        Answer(case=case.id, text=reply.text, error=reply.error,
               finish="error" if reply.error else reply.finish)
        for case, reply in zip(reference.cases, replies, strict=True)
    ]  # fmt: skip
    parity = compare_answers(form, engine.name, reference, new)
    failed = list(parity.failed)
    counts = engine.prompt_tokens(prompts)
    odd = [at for at, (a, b) in enumerate(zip(reference.counts, counts, strict=True)) if a != b]
    if odd:
        failed.append(
            f"{len(odd)} prompts have other tokens, first {reference.cases[odd[0]].id}: "
            f"{reference.counts[odd[0]]} in the study, {counts[odd[0]]} here"
        )
    distance = _logprob_distance(engine, reference, exact)
    failed += _weight_failures(distance)
    return parity.model_copy(update={"failed": tuple(failed), "distance": distance})


def _score_values(
    reference: ReferenceAnswers, answers: Sequence[Answer]
) -> tuple[list[float], list[str]]:
    """Return (scores, 0.0 where there is none; why each answer that came back has no score)."""
    scores = score_all(reference.score, reference.cases, answers)
    pairs = zip(answers, scores, strict=True)
    lost = [s.reason for a, s in pairs if isinstance(s, Unscored) and a.error is None]
    return [value_or_zero(score) for score in scores], lost


def _logprob_distance(
    engine: Any, reference: ReferenceAnswers, exact: bool
) -> LogProbDistance | None:
    """Return log-probability distances on the first answers; None if none can be compared."""
    if reference.tuned is None:
        return None
    sound = [answer for answer in reference.answers if not answer.error and answer.finish == "stop"]
    prompts = [answer.prompt for answer in sound[:_COMPARED_ANSWERS]]
    texts = [answer.text for answer in sound[:_COMPARED_ANSWERS]]
    there = engine.token_logprobs(prompts, texts)
    usable = [at for at, row in enumerate(there) if row]
    if not usable:
        return None
    prompts, texts = [prompts[at] for at in usable], [texts[at] for at in usable]
    there = [there[at] for at in usable]
    together = reference.tuned(prompts, texts)
    alone = [reference.tuned([p], [t])[0] for p, t in zip(prompts, texts, strict=True)]
    floor = mean_distance(together, alone)
    base = reference.base(prompts, texts) if reference.base else None
    bare = None
    if base is not None and getattr(engine, "peft", None) is not None:
        with engine.without_adapter():
            bare = mean_distance(base, engine.token_logprobs(prompts, texts))
    return LogProbDistance(
        exported=mean_distance(together, there),
        base=None if base is None else mean_distance(base, there),
        floor=floor,
        limit=max(2 * floor, TOLERANCE) if exact else None,
        bare=bare,
        answers=len(usable),
    )


def _weight_failures(distance: LogProbDistance | None) -> list[str]:
    if distance is None:
        return []
    failed, limit = [], distance.limit
    if limit is not None and distance.exported > limit:
        failed.append(
            f"its log-probabilities are {distance.exported:.2g} nats a token from the evaluated "
            f"model's; asked twice, that differs by {distance.floor:.2g} (allowed {limit:.2g})"
        )
    if distance.base is not None and distance.base <= distance.exported:
        failed.append(
            "the adapter is not applied: its log-probabilities are those of the base "
            f"({distance.base:.2g} nats a token from it, {distance.exported:.2g} from the tuned)"
        )
    effect = MOST_GAP_SHARE * (distance.base or 0.0)
    if distance.bare is not None and limit is not None and distance.bare > max(limit, effect):
        failed.append(
            f"without its adapter it is not the base: {distance.bare:.2g} nats a token apart"
        )
    return failed
