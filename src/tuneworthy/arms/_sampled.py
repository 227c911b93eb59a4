"""Several samples of each prompt, and the answer that most of them give."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tuneworthy.core.model import Limits, Model, Prompt, Reply
from tuneworthy.core.task import OutputType
from tuneworthy.prompting.same_answer import normal_form


def draw_samples(
    model: Model, prompts: Sequence[Prompt], limits: Limits, m: int
) -> list[list[Reply]]:
    """Return m lists with one sample of every prompt each; a local engine reads a prompt once."""
    if hasattr(model, "draws"):
        samples: list[list[Reply]] = model.draws(prompts, limits, m)
        return samples
    numbered = (limits.model_copy(update={"sample": n}) for n in range(m))
    return [model.reply(prompts, limited) for limited in numbered]


def majority(replies: Sequence[Reply], kind: OutputType | None) -> Reply:
    """Return the first reply that gives the most frequent answer; of ties, the one given first.

    Only replies that ended by themselves vote; if none did, all replies without an error.
    """
    back = [reply for reply in replies if reply.error is None]
    voters = [reply for reply in back if reply.finish == "stop"] or back or list(replies)
    votes = [normal_form(reply.text, kind) for reply in voters]
    counts = Counter(votes)  # keeps the order of first occurrence, which breaks ties
    return voters[votes.index(max(counts, key=counts.__getitem__))]
