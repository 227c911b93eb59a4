"""Model folders that were damaged or that lie: configs, headers, tokenizers, templates, files."""

import json
import os
import shutil
import struct
import sys
from pathlib import Path

import pytest
from fuzz_kit import drawn, holds, indices, real, values
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "models"))

from models_kit import build

pytestmark = pytest.mark.full
COUNT = 60
CONFIG = ["model_type", "architectures", "hidden_size", "intermediate_size", "num_hidden_layers",
          "num_attention_heads", "num_key_value_heads", "head_dim", "vocab_size", "rope_theta",
          "max_position_embeddings", "rms_norm_eps", "torch_dtype", "dtype", "auto_map",
          "tie_word_embeddings", "eos_token_id", "pad_token_id", "bos_token_id", "hidden_act",
          "attn_implementation", "quantization_config", "rope_scaling", "rope_parameters",
          "sliding_window", "layer_types", "attention_bias", "initializer_range"]  # fmt: skip
NUMBERS = [0, -1, 1, 2, 7, 48, 96, 10**6, 2**31, 10**12, 0.5, "48", None, [], {}, True]
WORDS = [
    "llama",
    "qwen2",
    "bert",
    "gpt2",
    "nothing",
    "org/kernel",
    "sdpa",
    "flash_attention_2",
    "LlamaForCausalLM",
    "BertModel",
    "float32",
    "float8_e4m3fn",
    "bfloat16",
    "gelu",
    "none",
]
TEMPLATES = ["", "{{ messages }}", "{% for i in range(10**9) %}x{% endfor %}", "{{ 'x' * 10**9 }}",
             "{{ messages[0]['content'] }}", "{% for m in messages %}{{ m.content }}{% endfor %}",
             "{{ ''.__class__.__mro__ }}", "{{ raise_exception('no') }}", "{% if %}", "{{ 1 / 0 }}",
             "{% include '/etc/passwd' %}", "{{ cycler.__init__.__globals__ }}", "constant",
             "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}"]  # fmt: skip
FILES = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
         "generation_config.json", "chat_template.jinja"]  # fmt: skip


@st.composite
def inputs(draw):
    """Return what is changed in the folder: (how, file, key, value, where)."""
    value = st.one_of(st.sampled_from(NUMBERS), st.sampled_from(WORDS), values())
    how = draw(st.sampled_from(["config"] * 5 + ["header"] * 3 + ["template"] * 2 + ["cut", "flip",
               "file", "tokenizer", "tokenizer"]))  # fmt: skip
    key = draw(st.sampled_from(CONFIG))
    if how == "template":
        return how, "", "", draw(st.sampled_from(TEMPLATES)), draw(st.integers(0, 99))
    if how == "header":
        key = draw(st.sampled_from(["dtype", "shape", "data_offsets", "length", "name", "none"]))
    if how == "tokenizer":
        key = draw(
            st.sampled_from(
                [
                    "model",
                    "added_tokens",
                    "eos_token",
                    "chat_template",
                    "version",
                    "tokenizer_class",
                    "model_max_length",
                    "auto_map",
                ]
            )
        )
    if how == "file":
        value = st.sampled_from(["remove", "folder", "fifo", "link", "lfs", "text", "empty"])
    return how, draw(st.sampled_from(FILES)), key, draw(value), draw(st.integers(0, 10**6))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A tiny model that works."""
    return build("llama", tmp_path_factory.mktemp("tiny") / "model")


def spoil(folder, how, file, key, value, at):
    """Change a model folder."""
    path = folder / file
    if how == "config":
        _change(folder / "config.json", key, value)
    elif how == "tokenizer":
        in_config = (
            "eos_token",
            "chat_template",
            "tokenizer_class",
            "model_max_length",
            "auto_map",
        )
        name = "tokenizer_config.json" if key in in_config else "tokenizer.json"
        _change(folder / name, key, value)
    elif how == "template":
        (folder / "chat_template.jinja").write_text(value)
    elif how == "header":
        _header(folder / "model.safetensors", key, value, at)
    elif how == "file":
        path.unlink(missing_ok=True)
        {"folder": path.mkdir, "fifo": lambda: os.mkfifo(path), "remove": lambda: None,
         "link": lambda: path.symlink_to(path.name), "empty": path.touch,
         "lfs": lambda: path.write_text("version https://git-lfs.github.com/spec/v1\n"),
         "text": lambda: path.write_text("no json \x1b[31m")}[value]()  # fmt: skip
    elif path.exists():
        raw = path.read_bytes()
        at %= len(raw)
        path.write_bytes(
            raw[:at] if how == "cut" else raw[:at] + bytes([raw[at] ^ 255]) + raw[at + 1 :]
        )


def _change(path, key, value):
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))


def _header(path, key, value, at):
    raw = path.read_bytes()
    (size,) = struct.unpack("<Q", raw[:8])
    head = json.loads(raw[8 : 8 + size])
    names = sorted(name for name in head if name != "__metadata__")
    name = names[at % len(names)]
    if key in ("dtype", "shape", "data_offsets"):
        head[name][key] = value
    elif key == "name":
        head["other\x1b"] = head.pop(name)
    elif key == "none":
        del head[name]
    text = json.dumps(head).encode()
    length = at * 2**20 if key == "length" else len(text)
    path.write_bytes(struct.pack("<Q", length) + text + raw[8 + size :])


@indices(COUNT)
def test_model_folder(index, home, whole, monkeypatch, tmp_path):
    monkeypatch.setenv("TUNEWORTHY_CACHE", str(tmp_path / "cache"))
    shutil.copytree(whole, home / "model")
    spoil(home / "model", *drawn("models", inputs(), COUNT, index))
    rows = [{"input": f"question {n}", "output": ("yes", "no")[n % 2]} for n in range(6)]
    (home / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    keys = {"name": "fuzzed", "data": {"file": "rows.jsonl"}, "model": "hf:./model", "seeds": 1,
            "arms": ["majority", "zero_shot"], "output": {"max_tokens": 4}}  # fmt: skip
    (home / "task.yaml").write_text(json.dumps(keys))
    words = ["run", str(home / "task.yaml"), "--no-progress", "--brief"]
    holds(home, words, real=real(index))
