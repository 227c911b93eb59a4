"""Tiny random models and tokenizers of several template families, made here without downloads."""

from types import SimpleNamespace

import pytest

from tuneworthy.store import failpoint as planted

CHATML = (
    "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nBe useful.<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAMA3 = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m['role'] }}<|end_header_id|>\n\n"
    "{{ m['content'] | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}{% for m in messages %}"
    "<start_of_turn>{{ 'model' if m['role'] == 'assistant' else m['role'] }}\n"
    "{{ m['content'] | trim }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}"
    "[INST] {{ m['content'] }} [/INST]{% elif m['role'] == 'assistant' %}"
    " {{ m['content'] }}{{ eos_token }}{% endif %}{% endfor %}"  # a system turn is dropped
)
QWEN3 = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
    "{% if m['role'] == 'assistant' and loop.last %}<think>\n\n</think>\n\n{% endif %}"
    "{{ m['content'].split('</think>')[-1].lstrip('\n') if m['role'] == 'assistant' "
    "else m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
ZEPHYR = (
    "{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}{{ eos_token }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
BARE = (  # no end of turn of its own: the tokenizer's end of text serves
    "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
FAMILIES = {  # name: template, bos, eos, other special tokens, what ends a turn
    "chatml": (CHATML, None, "<|im_end|>", ["<|im_start|>"], "<|im_end|>"),
    "llama3": (
        LLAMA3,
        "<|begin_of_text|>",
        "<|end_of_text|>",
        ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
        "<|eot_id|>",
    ),
    "gemma": (GEMMA, "<bos>", "<eos>", ["<start_of_turn>", "<end_of_turn>"], "<end_of_turn>"),
    "mistral": (MISTRAL, "<s>", "</s>", ["[INST]", "[/INST]"], "</s>"),
    "qwen3": (QWEN3, None, "<|im_end|>", ["<|im_start|>"], "<|im_end|>"),
    "zephyr": (ZEPHYR, "<s>", "</s>", [], "</s>"),
    "bare": (BARE, None, "<eos>", [], "<eos>"),
}
WORDS = (  # how today's byte-level tokenizers cut text: line breaks stay together
    r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TEXT = [
    "The quick brown fox jumps over the lazy dog while 12 routers are broken, said Ann.",
    'Answer with a JSON object: {"customer": "Bob", "product": "router", "priority": "high"}',
    "user assistant system model Hello, how are you today? I am fine, thank you very much.\n\n",
    "first\n\nsecond\n\n\nthird\n\nfourth",
]


def make_tokenizer(family="chatml"):
    from tokenizers import (
        Regex,
        Tokenizer,
        decoders,
        models,
        pre_tokenizers,
        processors,
        trainers,
    )
    from transformers import PreTrainedTokenizerFast

    template, bos, eos, others, _ = FAMILIES[family]
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=[t for t in (bos, eos, *others) if t],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(TEXT * 20, trainer)
    if bos:  # as the stock tokenizers do: a second BOS for whoever encodes a rendered text naively
        inner.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, inner.token_to_id(bos))]
        )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token=bos, eos_token=eos, additional_special_tokens=others
    )
    tokenizer.chat_template = template
    return tokenizer


def make_model(kind="llama", seed=0, dtype="float32", **changes):
    import torch
    import transformers

    shape = {
        "vocab_size": 400,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "tie_word_embeddings": kind == "llama",
        "initializer_range": 0.15,  # large enough that what is not equal is seen
        "bos_token_id": None,
        "eos_token_id": 0,
        "pad_token_id": 0,
        **changes,
    }
    name = {"llama": "Llama", "qwen2": "Qwen2", "qwen3": "Qwen3", "gemma2": "Gemma2"}[kind]
    config = getattr(transformers, f"{name}Config")
    build = getattr(transformers, f"{name}ForCausalLM")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(config(**shape)).to(getattr(torch, dtype)).eval()


class Stand:
    """The part of the local engine that training relies on."""

    def __init__(self, module, tokenizer):
        self.module, self.tokenizer, self.spec = module, tokenizer, "hf:tiny"
        self.context, self.fingerprint = 512, {"engine": "stand-in"}

    def count_tokens(self, messages):
        turns = [{"role": m.role, "content": m.content} for m in messages]
        return len(
            self.tokenizer.apply_chat_template(turns, add_generation_prompt=True)["input_ids"]
        )


@pytest.fixture
def tiny():
    """Builders of tiny models, tokenizers and rows."""
    import torch

    torch.set_num_threads(1)
    return SimpleNamespace(
        model=make_model,
        tokenizer=make_tokenizer,
        end=lambda family: FAMILIES[family][4],
        stand=Stand,
        rows=make_rows,
        examples=examples,
    )


@pytest.fixture
def engine(tiny, tmp_path, monkeypatch):
    """The local engine on a tiny random model, opened from disk as a user's would be."""
    from tuneworthy.models.hf import load

    monkeypatch.setenv("TUNEWORTHY_CACHE", str(tmp_path / "cache"))
    tiny.model("llama", 1, eos_token_id=0).save_pretrained(tmp_path / "model")
    tiny.tokenizer().save_pretrained(tmp_path / "model")
    return load(tmp_path / "model", "hf:./model", "float32")


def examples(count=12, seed=0, system="You are a support agent. Answer with a JSON object."):
    """Rows with ragged prompts and answers and one system turn that all share."""
    import random

    from tuneworthy.models.train.training_data import Example
    from tuneworthy.records.case import Message

    draw = random.Random(seed)
    words = [*TEXT[0].split(), "refund", "Ann", "high", "normal"]
    found = []
    for number in range(count):
        user = " ".join(draw.choices(words, k=draw.randint(2, 14)))
        answer = " ".join(draw.choices(words, k=draw.randint(1, 9)))
        turns = (Message(role="system", content=system), Message(role="user", content=user))
        found.append(Example(f"r{number}", turns, answer))
    return found


def make_rows(tokenizer, count=12, seed=0, **kwargs):
    from tuneworthy.models.train.training_data import render

    return [render(tokenizer, e.messages, e.answer) for e in examples(count, seed, **kwargs)]


@pytest.fixture(autouse=True)
def passes_of_this_test(monkeypatch):
    """Count the passes through a failpoint anew: other tests plant the same ones."""
    monkeypatch.setattr(planted, "_times_passed", {})


@pytest.fixture(autouse=True)
def _own_cache():
    """Keep the cache of the tier: some tests of training need the models that it fetched."""
