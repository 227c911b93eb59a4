"""Score 77 labels for one prompt: our tree of labels against transformers' forward passes.

usage: score.py [repetitions]   a prompt of about 40 tokens and one of about 600; the peers are 77
passes, one pass of 77 rows, and one pass of 77 label rows on a prompt that was read once
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from _bench import alternate, ratios, repetitions, write
from transformers import AutoModelForCausalLM, DynamicCache
from transformers.utils import logging

from tuneworthy.models import open_model
from tuneworthy.models.local.chat_template import prompt_ids, text_ids
from tuneworthy.models.local.wheel import locate
from tuneworthy.records.case import Message

THINGS = ("card", "account", "transfer", "top up", "cash withdrawal", "exchange rate", "refund",
          "direct debit", "statement", "PIN", "address")  # fmt: skip
WHAT = (
    "not working",
    "arrival date",
    "fee charged",
    "limit",
    "cancelled",
    "pending",
    "wrong amount",
)
LABELS = [f"{thing} {what}" for thing in THINGS for what in WHAT]


def prompts(long: bool) -> list[list[Message]]:
    """Return eight prompts, each with another message; a long one lists all labels first."""
    system = "Which intent does the message have?"
    if long:
        system += " Answer with exactly one of:\n" + "\n".join(f'- "{label}"' for label in LABELS)
    asked = [
        f"Hello, I looked at my {thing} today and I do not understand what happened to it."
        for thing in THINGS[:8]
    ]
    return [
        [Message(role="system", content=system), Message(role="user", content=a)] for a in asked
    ]


def passes(module: Any, prompt: Sequence[int], labels: Sequence[Sequence[int]]) -> list[float]:
    """Return each label's log-probability, one forward pass a label."""
    sums = []
    with torch.inference_mode():
        for label in labels:
            ids = torch.tensor([[*prompt, *label[:-1]]])
            logits = module(input_ids=ids, use_cache=False, logits_to_keep=len(label)).logits[0]
            sums.append(_sum(logits, label))
    return sums


def batch(module: Any, prompt: Sequence[int], labels: Sequence[Sequence[int]]) -> list[float]:
    """Return the same from one pass of all rows, padded on the right."""
    ids, mask = _padded([[*prompt, *label[:-1]] for label in labels])
    longest = max(map(len, labels))
    with torch.inference_mode():
        out = module(input_ids=ids, attention_mask=mask, use_cache=False, logits_to_keep=longest)
    return [_sum(row, label) for row, label in zip(out.logits, labels, strict=True)]


def cached(module: Any, prompt: Sequence[int], labels: Sequence[Sequence[int]]) -> list[float]:
    """Return the same with the prompt read once and its cache repeated for every label."""
    with torch.inference_mode():
        cache = DynamicCache(config=module.config)
        ids = torch.tensor([list(prompt)])
        first = module(input_ids=ids, past_key_values=cache, logits_to_keep=1).logits[0]
        cache.batch_repeat_interleave(len(labels))
        rest, mask = _padded([label[:-1] for label in labels])
        seen = torch.cat([torch.ones(len(labels), len(prompt), dtype=torch.long), mask], 1)
        later = module(input_ids=rest, attention_mask=seen, past_key_values=cache).logits
        rows = [torch.cat([first, row]) for row in later]
    return [_sum(row, label) for row, label in zip(rows, labels, strict=True)]


def _padded(rows: Sequence[Sequence[int]]) -> tuple[Any, Any]:
    width = max(map(len, rows))
    ids = torch.tensor([[*row, *([0] * (width - len(row)))] for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    return ids, mask


def _sum(logits: Any, label: Sequence[int]) -> float:
    table = torch.log_softmax(logits[: len(label)].float(), -1)
    return float(table[range(len(label)), list(label)].sum())


def compared(model: Any, module: Any, long: bool) -> dict[str, Any]:
    """Return seconds, ratios and how far the sides' log-probabilities lie apart."""
    asked = prompts(long)
    coded = [prompt_ids(model.tokenizer, prompt) for prompt in asked]
    labels = [[*text_ids(model.tokenizer, label), model.ends[0]] for label in LABELS]
    truth = passes(module, coded[0], labels)
    found = {
        "ours": model.logprobs([asked[0]], [LABELS])[0],
        "batch": batch(module, coded[0], labels),
        "cached": cached(module, coded[0], labels),
    }
    turn = {name: itertools.cycle(range(len(asked))) for name in ("ours", *PEERS)}
    sides: dict[str, Any] = {
        "ours": lambda: model.logprobs([asked[next(turn["ours"])]], [LABELS]),
        **{
            name: (lambda name=name, work=work: work(module, coded[next(turn[name])], labels))
            for name, work in PEERS.items()
        },
    }
    told = alternate(sides, repetitions())
    return {
        **told,
        "prompt_tokens": len(coded[0]),
        "label_tokens": sum(map(len, labels)),
        "ratio": ratios(told["median"], "ours"),
        "most_apart": {
            name: round(max(abs(a - b) for a, b in zip(row, truth, strict=True)), 3)
            for name, row in found.items()
        },
        "same_choice": {
            name: max(range(77), key=row.__getitem__) == max(range(77), key=truth.__getitem__)
            for name, row in found.items()
        },
    }


PEERS = {"passes": passes, "batch": batch, "cached": cached}


def main() -> None:
    """Run the benchmark, print ratios and write bench/results/score.json."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    model: Any = open_model("smollm2-135m", folder=Path())
    module = AutoModelForCausalLM.from_pretrained(locate(), dtype=model.module.dtype).eval()
    told = {name: compared(model, module, name == "long") for name in ("short", "long")}
    summary = {}
    for found in told.values():
        for peer, ratio in found["ratio"].items():
            goal = " (goal 20)" if peer == "passes" else ""
            what = f"77 labels, {found['prompt_tokens']} tokens of prompt, times {peer}{goal}"
            summary[what] = ratio
            print(f"score: {what}: {ratio}")
        print(f"score: log-probabilities apart from 77 passes: {found['most_apart']}")
    write("score", {**told, "precision": str(module.dtype), "summary": summary})


if __name__ == "__main__":
    main()
