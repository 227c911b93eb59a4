"""Answer and train with the CPU engine and on the general path, alternately, in one run.

usage: engine.py [repetitions]   16 prompts that share an instruction, 40 new tokens each, greedy;
LoRA of rank 16, two steps of 8 rows

The weights, prompts and rows are the same for both sides. With one thread (OMP_NUM_THREADS=1) the
processor's seconds are counted, which other jobs on the machine hardly change.
"""

from __future__ import annotations

import time
import warnings
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import generate
import lora
import torch
from _bench import alternate, ratios, repetitions, write

from tuneworthy.models import open_model
from tuneworthy.models.local.forward import open_net
from tuneworthy.models.train.training_data import EncodedExample, render
from tuneworthy.records.case import Message

PROMPTS, BATCH = 16, 8


def main() -> None:
    """Run both cases, print the ratios and write bench/results/engine.json."""
    warnings.filterwarnings("ignore")
    model: Any = open_model(generate.MODEL, folder=Path())
    one_thread = torch.get_num_threads() == 1
    measured = partial(
        alternate, n=repetitions(3), clock=time.process_time if one_thread else time.perf_counter
    )
    told = {"answers": measured(answers(model)), "lora": measured(training(model))}
    summary = {}
    for name, found in told.items():
        found["ratios"] = ratios(found["median"], "engine")
        summary[f"{name}: the general path takes ... times as long"] = found["ratios"]["general"]
        print(f"engine, {name}: the general path takes {found['ratios']['general']} times as long")
    clock = "processor seconds" if one_thread else "seconds"
    write("engine", {**told, "counted": clock, "threads": torch.get_num_threads(),
                     "precision": str(model.module.dtype), "summary": summary})  # fmt: skip


def answers(model: Any) -> dict[str, Any]:
    """Return a call for each side that answers the same prompts."""
    head = Message(role="system", content=generate.SYSTEM)
    rows = [Message(role="user", content=row[0][1]) for row in generate.messages(PROMPTS)]
    prompts = [model._prompt_ids([head, row]) for row in rows]
    assert model.net.decoder is not None, "the engine does not read this model here"
    sides = {"engine": model.net, "general": open_net(model.module, direct=False)}
    return {
        side: partial(generate.ours, SimpleNamespace(net=net), prompts, None)
        for side, net in sides.items()
    }


def training(model: Any) -> dict[str, Any]:
    """Return a call for each side that trains the same steps, each on an adapter of its own."""
    rows = []
    for user, answer in lora.texts(lora.STEPS * BATCH):
        asked = (Message(role="system", content=lora.SYSTEM), Message(role="user", content=user))
        row = render(model.tokenizer, asked, answer)
        assert isinstance(row, EncodedExample)
        rows.append(row)
    return {
        side: lora.ours(model, rows, BATCH, True, by_hand=side == "engine")
        for side in ("engine", "general")
    }


if __name__ == "__main__":
    main()
