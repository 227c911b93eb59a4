"""Measure how many answers depend on the batch in which a server computes them.

The same prompts are sent again one by one. A server that sums in another order for another batch
gives other answers where two tokens are nearly equally likely; scores are no more exact than that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tuneworthy.core.model import Prompt, Reply
from tuneworthy.models.remote.endpoint_facts import NOISE, EndpointFacts

MOST_REPEATED = 8  # prompts that are sent again


def measure_noise(
    facts: EndpointFacts,
    prompts: Sequence[Prompt],
    replies: Sequence[Reply],
    alone: Callable[[Prompt], Reply],
    who: str,
) -> None:
    """Send the first prompts again one by one; store the number of changed answers in `facts`.

    Done once a study, on the first call with at least two answered prompts.
    """
    pairs = [
        (prompt, reply) for prompt, reply in zip(prompts, replies, strict=True) if not reply.error
    ][:MOST_REPEATED]
    if len(pairs) < 2 or facts.get(NOISE) is not None:
        return
    again = [alone(prompt) for prompt, _ in pairs]
    differ = sum(now.text != reply.text for now, (_, reply) in zip(again, pairs, strict=True))
    note = ""
    if differ:
        note = (
            f"{differ} of {len(pairs)} answers of {who} were others when they were asked for one by"
            " one: its answers depend on their batch (no batch-invariant mode), so a difference of"
            " that share between two arms may be noise"
        )
    facts.learn(NOISE, {"differ": differ, "of": len(pairs)}, note)
