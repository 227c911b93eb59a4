"""What a GGUF file states of tokenizer and sizes is what llama.cpp takes it for."""

import json

import pytest

tokenizers = pytest.importorskip("tokenizers")
gguf_file = pytest.importorskip("tuneworthy.models.train.gguf_file")

from tokenizers import Regex, Tokenizer, models  # noqa: E402
from tokenizers import pre_tokenizers as steps  # noqa: E402

LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
O200K = LLAMA_3.replace(r"\p{L}+", r"[\p{Lu}\p{Lt}]*[\p{Ll}]+", 1)
BYTES, CUT_BYTES = steps.ByteLevel(False, use_regex=False), steps.ByteLevel(False)


def split(pattern):
    return steps.Split(Regex(pattern), "isolated")


KNOWN = {
    "smollm": steps.Sequence([steps.Digits(True), CUT_BYTES]),
    "llama-bpe": steps.Sequence([split(LLAMA_3), BYTES]),
    "gpt-2": CUT_BYTES,
}
OTHERS = {
    "falcon3": steps.Sequence([steps.Punctuation("contiguous"), CUT_BYTES, steps.Digits(False),
                               split("[0-9][0-9][0-9]")]),
    "deepseek-llm": steps.Sequence([split("[\r\n]"), split(r"\s?\p{L}+"), split(r"\s?\p{P}+"),
                                    split("[一-龥]+"), steps.Digits(True), BYTES]),
    "gpt-4o": steps.Sequence([split(O200K), BYTES]),
    "spaced": steps.ByteLevel(True),
    "words": steps.WhitespaceSplit(),
    "none": None,
}  # fmt: skip


def name_of(step):
    made = Tokenizer(models.BPE())
    if step is not None:
        made.pre_tokenizer = step
    return gguf_file._pre_tokenizer(json.loads(made.to_str()))


@pytest.mark.parametrize("name", KNOWN)
def test_known_ones_have_their_name(name):
    assert name_of(KNOWN[name]) == name


@pytest.mark.parametrize("name", OTHERS)
def test_others_have_none(name):
    """Falcon 3 and DeepSeek (model_type llama) were written as `smollm`, which splits otherwise."""
    assert name_of(OTHERS[name]) == ""


def test_heads_wider_than_their_share_of_the_hidden_size_are_stated(tmp_path):
    """llama.cpp did not open such a file: it took 48 / 6 where the heads have 16 numbers."""
    import gguf
    from transformers import LlamaConfig

    config = LlamaConfig(hidden_size=48, num_attention_heads=6, num_key_value_heads=2, head_dim=16)
    writer = gguf.GGUFWriter(str(tmp_path / "x.gguf"), "llama")
    gguf_file._add_config(writer, config, "f16")
    told = {name: field.value for name, field in writer.kv_data[0].items()}
    for name in ("attention.key_length", "attention.value_length", "rope.dimension_count"):
        assert told[f"llama.{name}"] == 16
