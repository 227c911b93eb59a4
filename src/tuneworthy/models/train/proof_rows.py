"""Write log-probabilities of base and tuned model, to check the adapter behind a server later.

They are computed right after training on training answers, where the adapter changes most (see
models/remote/adapter_proofs.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tuneworthy.models.local.chat_template import Refused, answer_ids, prompt_ids, text_ids
from tuneworthy.models.local.score import token_logprobs
from tuneworthy.models.remote.adapter_proofs import MOST_PROOF_ROWS, ProofRow, write_proofs
from tuneworthy.models.train.training_data import Example
from tuneworthy.records.errors import ModelError


def write_proof_rows(model: Any, adapter: Path, examples: Sequence[Example]) -> None:
    """Write an adapter's proof rows beside its folder, from the first training examples.

    `model` is the local base (`models.hf.HF`). Raises ModelError if no example can be rendered.
    """
    usable = [example for example in examples if _renders(model, example)][:MOST_PROOF_ROWS]
    if not usable:
        raise ModelError(
            "no training row can prove the adapter behind the server",
            fix="look at the rows that training left out",
        )
    prompts = [example.messages for example in usable]
    texts = [example.answer for example in usable]
    base = token_logprobs(model, prompts, texts)
    tuned = token_logprobs(model.with_adapter(adapter, idle=True), prompts, texts)
    rows = []
    for example, before, after in zip(usable, base, tuned, strict=True):
        head = answer_ids(model.tokenizer, example.messages)
        ids = (*head, *text_ids(model.tokenizer, example.answer), model.ends[0])
        rows.append(
            ProofRow(
                prompt=tuple(example.messages),
                read=len(prompt_ids(model.tokenizer, example.messages)),
                ids=ids,
                first=len(head),
                base=tuple(before),
                tuned=tuple(after),
            )
        )
    write_proofs(adapter, rows)


def _renders(model: Any, example: Example) -> bool:
    """Return whether the template takes an example and the model's context has room for it."""
    try:
        ids = answer_ids(model.tokenizer, example.messages)
    except Refused:
        return False
    more = len(text_ids(model.tokenizer, example.answer)) + 2
    return model.context is None or len(ids) + more <= model.context
