"""Write the log-probabilities of an answer's tokens in OpenAI's form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tuneworthy.models.local.token_bytes import token_bytes


def logprob_entries(model: Any, tops: Sequence[Any]) -> list[dict[str, Any]]:
    """Return an entry for each token: its text, bytes, log-probability, and the top tokens'.

    They are the model's own, at temperature 1 and without the grammar.
    """

    def entry(token: int, value: float) -> dict[str, Any]:
        text = model.tokenizer.decode([token], clean_up_tokenization_spaces=False)
        exact = token_bytes(model.tokenizer, token)
        return {"token": text, "logprob": max(value, -9999.0), "bytes": exact}

    return [
        {**entry(token, value), "top_logprobs": [entry(*one) for one in top]}
        for token, value, top in tops
    ]
