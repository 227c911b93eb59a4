"""llama.cpp's name of a pre-tokenizer is written only where every step is the one it means."""

import json

import pytest

tokenizers = pytest.importorskip("tokenizers")
gguf_file = pytest.importorskip("tuneworthy.training.gguf_file")

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
