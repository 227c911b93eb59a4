"""Train LoRA with our loop and with TRL's SFTTrainer, alternately, on the same rows and steps.

usage: lora.py [repetitions]   rank 16, all linear layers, 8 and 32 rows a step, 127 tokens a row of
which 55 are a prompt that all rows share; also the same rows with nothing shared, and the share of
the machine's matrix-product peak that our step reaches.
"""

from __future__ import annotations

import json
import random
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from _bench import alternate, ratios, repetitions, write
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM
from transformers.utils import logging
from trl import SFTConfig, SFTTrainer

from tuneworthy.models import open_model
from tuneworthy.models.local.wheel import locate
from tuneworthy.models.train.loop import TrainingSchedule, train
from tuneworthy.models.train.loss import open_net
from tuneworthy.models.train.training_data import EncodedExample, render
from tuneworthy.models.train.twin import LoraShape, lora_twin
from tuneworthy.records.case import Message
from tuneworthy.records.tokens import shared_length

SPEC, RATE, STEPS = "smollm2-135m", 1e-3, 2
SYSTEM = (
    "You are a support agent. Read the message and reply only with a JSON object with the keys "
    "customer, product, issue, priority. Priority is high when money is involved, else normal. "
    "Do not add any other text."
)


def texts(count: int) -> list[tuple[str, str]]:
    """Return messages and their answers, made from word lists."""
    draw = random.Random(0)
    out = []
    for _ in range(count):
        name = draw.choice(["Ann", "Bob", "Carl", "Dora", "Eve", "Finn"])
        product = draw.choice(["router", "laptop", "phone", "tablet", "printer", "camera"])
        issue = draw.choice(["does not turn on", "arrived broken", "was billed twice", "is slow"])
        user = (
            f"Hi, {name} here. The {product} I bought last week from your shop {issue}. Order "
            f"number {draw.randint(1000, 9999)}. Please help me with this as soon as you can, "
            "thanks."
        )
        fields = {"customer": name, "product": product, "issue": issue}
        out.append(
            (user, json.dumps({**fields, "priority": "high" if "bill" in issue else "normal"}))
        )
    return out


def ours(
    model: Any, rows: list[EncodedExample], batch: int, share: bool, by_hand: bool = True
) -> Any:
    """Return a call that trains STEPS steps with our loop, on a fresh adapter.

    `by_hand` False: on the general path, where the CPU engine would take its own.
    """
    wrapped = lora_twin(model.module, LoraShape(), 0)
    net = open_net(wrapped.base_model.model, rows[0].ids, share, by_hand=by_hand)
    pace = TrainingSchedule(epochs=1, batch=batch, rate=RATE)
    return lambda: train(net, rows[: STEPS * batch], pace, 0, lambda epoch: None)


def theirs(folder: Path | None, rows: list[EncodedExample], batch: int, dtype: Any) -> Any:
    """Return a call that trains the same steps with SFTTrainer (its own set-up not counted)."""
    module = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    given = [
        {"input_ids": list(r.ids), "completion_mask": [int(m) for m in r.mask]}
        for r in rows[: STEPS * batch]
    ]
    config = SFTConfig(
        output_dir=tempfile.mkdtemp(), per_device_train_batch_size=batch, num_train_epochs=1,
        learning_rate=RATE, report_to="none", use_cpu=True, bf16=False, save_strategy="no",
        gradient_checkpointing=False, completion_only_loss=True, logging_strategy="no",
        disable_tqdm=True,
    )  # fmt: skip
    lora = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
    trainer = SFTTrainer(
        model=module, args=config, train_dataset=Dataset.from_list(given), peft_config=lora,
        processing_class=tokenizer_of(folder),
    )  # fmt: skip
    return trainer.train


def tokenizer_of(folder: Path | None) -> Any:
    """Return the tokenizer of a model folder."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


def peak() -> float:
    """Return the GFLOP/s of a large matrix product in bf16 (fp32 where that is faster), now."""
    import time

    best = 0.0
    for dtype in (torch.bfloat16, torch.float32):
        a = torch.randn(2048, 2048, dtype=dtype)
        for _ in range(8):
            start = time.perf_counter()
            a @ a
            best = max(best, 2e-9 * 2048**3 / (time.perf_counter() - start))
    return best


def work(module: Any, rows: list[EncodedExample], batch: int, share: bool) -> float:
    """Return the GFLOP of STEPS steps: matrix products of what is really read, nothing else.

    Forward and the gradient of the inputs, 4 FLOP a weight and token; adapters 6; the output layer
    at answer tokens alone, 4. Attention is left out, so the share of the peak is a lower bound.
    """
    config = module.config
    inner = sum(w.numel() for name, w in module.named_parameters() if "layers." in name)
    adapters = sum(
        w.numel() for w in lora_twin(module, LoraShape(), 0).parameters() if w.requires_grad
    )
    total = 0.0
    for step in range(STEPS):
        part = rows[step * batch : (step + 1) * batch]
        skip = shared_length(part) if share else 0
        tokens = skip + sum(len(row.ids) - 1 - skip for row in part)
        answers = sum(row.trained for row in part)
        total += tokens * (4 * inner + 6 * adapters)
        total += answers * 4 * config.hidden_size * config.vocab_size
    return total / 1e9


def main() -> None:
    """Run the benchmark, print ratios and write bench/results/lora.json."""
    warnings.filterwarnings("ignore")
    logging.set_verbosity_error()
    model: Any = open_model(SPEC, folder=Path())
    rows = []
    for user, answer in texts(STEPS * 32):
        said = (Message(role="system", content=SYSTEM), Message(role="user", content=user))
        row = render(model.tokenizer, said, answer)
        assert isinstance(row, EncodedExample)
        rows.append(row)
    told: dict[str, Any] = {
        "steps": STEPS,
        "tokens_a_row": sum(len(row.ids) for row in rows) / len(rows),
        "shared": shared_length(rows),
        "precision": str(model.module.dtype),
    }
    for batch in (8, 32):
        sides = {
            "shared": ours(model, rows, batch, True),
            "plain": ours(model, rows, batch, False),
            "trl": theirs(locate(), rows, batch, model.module.dtype),
        }
        found = alternate(sides, repetitions())
        best = peak()
        median = found["median"]
        rates = {
            k: work(model.module, rows, batch, k == "shared") / median[k]
            for k in ("shared", "plain")
        }
        found |= {
            "trl_over_shared": ratios(median, "shared")["trl"],
            "trl_over_plain": ratios(median, "plain")["trl"],
            "tokens_a_second": {
                k: round(told["tokens_a_row"] * STEPS * batch / s) for k, s in median.items()
            },
            "peak_gflops": round(best),
            "share_of_peak": {k: round(rate / best, 3) for k, rate in rates.items()},
        }
        told[f"batch_{batch}"] = found
        print(
            f"lora, {batch} rows a step: TRL takes {found['trl_over_shared']} times as long, "
            f"{found['trl_over_plain']} with nothing shared; of the peak {found['share_of_peak']}"
        )
    write("lora", {**told, "summary": summary(told)})


def summary(told: Mapping[str, Any]) -> dict[str, float]:
    """Return the figures that the goals name."""
    out = {}
    for batch in (8, 32):
        found, rows = told[f"batch_{batch}"], f"{batch} rows a step"
        out |= {
            f"{rows}, times TRL (goal 5)": found["trl_over_shared"],
            f"{rows}, nothing shared, times TRL (goal 3)": found["trl_over_plain"],
            f"{rows}, share of the peak (goal .6)": found["share_of_peak"]["shared"],
            f"{rows}, nothing shared, share of the peak": found["share_of_peak"]["plain"],
        }
    return out


if __name__ == "__main__":
    main()
