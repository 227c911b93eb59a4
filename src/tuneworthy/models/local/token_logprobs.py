"""Compute the log-probability of each token of given answers under a local engine."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

from tuneworthy.core.model import Prompt
from tuneworthy.models.local.chat_template import answer_ids, text_ids


def token_logprobs(
    model: Any, prompts: Sequence[Prompt], texts: Sequence[str]
) -> list[list[float]]:
    """Return for each prompt the log-probability of each token of its text, end token included.

    `model` is a local engine (`models.hf.HF`); natural logarithm.
    """
    from tuneworthy.models.local import score as _score

    ids = [answer_ids(model.tokenizer, prompt) for prompt in prompts]
    coded = [[*text_ids(model.tokenizer, text), model.ends[0]] for text in texts]
    heads = [[row[: at + 1] for at in range(len(row))] for row in coded]
    with model.adapter.applied(model.module) if model.adapter else nullcontext():
        sums = _score.logprobs(model.net, ids, heads) if ids else []
    return [[here - before for here, before in zip(row, [0.0, *row], strict=False)] for row in sums]
