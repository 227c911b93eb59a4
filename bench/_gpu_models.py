"""Random-weight models of known shapes, a small tokenizer and rows, all made here: no internet."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SYSTEM = (
    "You are a support agent. Read the message and reply only with a JSON object with the keys"
    " product, issue and priority. Priority is high where money is involved, else normal."
)
LABELS = ("refund", "delivery", "warranty")
# From the config.json of each model, as published; `reference`: small enough to be run on a CPU.
SHAPES: dict[str, dict[str, Any]] = {
    "Qwen3-0.6B": {
        "family": "qwen3", "hidden_size": 1024, "intermediate_size": 3072,
        "num_hidden_layers": 28, "num_attention_heads": 16, "num_key_value_heads": 8,
        "head_dim": 128, "vocab_size": 151_936, "tie_word_embeddings": True,
    },
    "Llama-3.2-1B": {
        "family": "llama", "hidden_size": 2048, "intermediate_size": 8192,
        "num_hidden_layers": 16, "num_attention_heads": 32, "num_key_value_heads": 8,
        "head_dim": 64, "vocab_size": 128_256, "tie_word_embeddings": True,
    },
    "Llama-3.1-8B": {
        "family": "llama", "hidden_size": 4096, "intermediate_size": 14_336,
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
        "head_dim": 128, "vocab_size": 128_256, "tie_word_embeddings": False,
    },
}  # fmt: skip
TINY = {"hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 2, "vocab_size": 640,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16}  # fmt: skip


@dataclass(frozen=True)
class Sizes:
    """How much is measured: rows, new tokens an answer, steps of training, repetitions.

    `parity` steps are trained on the device and on the CPU, with `few` rows a step.
    """

    rows: int
    new: int
    steps: int
    batch: int
    parity: int
    few: int
    repeats: int


WHOLE = Sizes(rows=128, new=128, steps=4, batch=16, parity=100, few=4, repeats=5)
SMALL = Sizes(rows=12, new=6, steps=2, batch=4, parity=6, few=4, repeats=1)


def tokenizer() -> Any:
    """Return a byte-level BPE tokenizer of some 600 tokens, with a chat template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    texts = [SYSTEM, *(f"{user} {answer}" for user, answer in messages(40))]
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=["<|pad|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(texts, trainer)
    made = PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token="<|im_end|>", pad_token="<|pad|>"
    )
    made.chat_template = TEMPLATE
    return made


def config(name: str, tiny: bool) -> Any:
    """Return the config of a model of this shape, or of the tiny stand-in of its family."""
    import transformers

    sizes = {**SHAPES[name], **(TINY if tiny else {})}
    kind = {"qwen3": transformers.Qwen3Config, "llama": transformers.LlamaConfig}
    return kind[sizes.pop("family")](
        max_position_embeddings=8192, bos_token_id=1, eos_token_id=2, pad_token_id=0, **sizes
    )


def build(name: str, folder: Path, device: str, tiny: bool) -> int:
    """Write a model of this shape with random weights (bf16; tiny: fp32); return its parameters."""
    import transformers

    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32 if tiny else torch.bfloat16)
    try:
        with torch.device(device):
            model = transformers.AutoModelForCausalLM.from_config(config(name, tiny))
    finally:
        torch.set_default_dtype(before)
    if tiny:  # large enough that what is not equal is seen
        with torch.no_grad():
            for weight in model.parameters():
                if weight.ndim == 2:
                    weight.mul_(8)
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return sum(weight.numel() for weight in model.parameters())


def messages(count: int) -> Iterator[tuple[str, str]]:
    """Yield invented messages to a shop, and the answers to them."""
    draw = random.Random(0)
    for _ in range(count):
        product = draw.choice(("router", "laptop", "phone", "tablet", "printer", "camera"))
        issue = draw.choice(("does not turn on", "arrived broken", "was billed twice", "is slow"))
        more = " ".join(draw.choices(("please", "since", "monday", "again", "help"), k=8))
        text = (
            f"Hello, the {product} that I bought {issue}, order {draw.randint(1000, 9999)} {more}"
        )
        money = "high" if "bill" in issue else "normal"
        yield text, json.dumps({"product": product, "issue": issue, "priority": money})


def labelled(folder: Path, model: Path, device: str, count: int) -> Path:
    """Write a study of rows with labels into a folder; return its task file."""
    folder.mkdir(parents=True)
    draw, lines = random.Random(1), []
    for k in range(count):
        label = LABELS[k % 3]
        words = " ".join(draw.choices(("the", "my", "order", "since", "shop"), k=4))
        text = f"a {label} for {words}, number {draw.randint(1000, 9999)}"
        lines.append(json.dumps({"id": f"r{k}", "input": text, "output": label}))
    (folder / "rows.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    task = {
        "name": "gpu",
        "data": {"file": "rows.jsonl"},
        "model": f"hf:{model}",
        "device": device,
        "seeds": 1,
        "budget": {"minutes": 600},
        "arms": ["majority", "tfidf", "zero_shot", {"lora": {"epochs": 2, "rate": 5e-3}}],
        "output": {"max_tokens": 6},
    }
    (folder / "task.yaml").write_text(json.dumps(task), "utf-8")
    return folder / "task.yaml"
