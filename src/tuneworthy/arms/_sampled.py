"""Draw several samples of each prompt and return the answer that most of them give."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tuneworthy.arms._prompted import as_answer, sum_usage
from tuneworthy.core.answer import Answer
from tuneworthy.core.case import Query
from tuneworthy.core.model import Limits, Model, Prompt, Reply
from tuneworthy.core.task import OutputType
from tuneworthy.prompting.same_answer import normal_form


def draw_samples(
    model: Model, prompts: Sequence[Prompt], limits: Limits, m: int
) -> list[list[Reply]]:
    """Return m lists, each with one sample for every prompt; a local model reads a prompt once."""
    if hasattr(model, "draws"):
        samples: list[list[Reply]] = model.draws(prompts, limits, m)
        return samples
    numbered = (limits.model_copy(update={"sample": n}) for n in range(m))
    return [model.reply(prompts, limited) for limited in numbered]


def majority_reply(replies: Sequence[Reply], kind: OutputType | None) -> Reply:
    """Return the first reply with the most frequent answer; in a tie, the one given first.

    Only replies that ended by themselves vote; if none did, all replies without an error.
    """
    back = [reply for reply in replies if reply.error is None]
    voters = [reply for reply in back if reply.finish == "stop"] or back or list(replies)
    votes = [normal_form(reply.text, kind) for reply in voters]
    counts = Counter(votes)  # keeps the order of first occurrence, which breaks ties
    return voters[votes.index(max(counts, key=counts.__getitem__))]


def majority_answers(
    queries: Sequence[Query],
    prompts: Sequence[Prompt],
    draws: Sequence[Sequence[Reply]],
    kind: OutputType | None,
) -> list[Answer]:
    """Return the majority of the draws of each prompt; tokens, seconds and cost are sums.

    `draws` are lists with one sample of every prompt each, as `draw_samples` returns them.
    """
    answers = []
    for query, prompt, replies in zip(queries, prompts, zip(*draws, strict=True), strict=True):
        best = as_answer(query, prompt, majority_reply(replies, kind))
        all_of_it = {"samples": tuple(reply.text for reply in replies), **sum_usage(replies)}
        answers.append(best.model_copy(update=all_of_it))
    return answers
