"""D7: GGUF weights are unpacked whatever else is installed, and all of them are there."""

import json
import sys

import pytest
from models_kit import build

from tuneworthy.models.local import wheel as _embedded
from tuneworthy.records.errors import ModelError

pytestmark = pytest.mark.full
# As where the package `kernels` is found: weights stay packed unless they are asked for unpacked.
SITE = """
import json, sys
if "gguf" in " ".join(sys.argv):
    from transformers.quantizers.quantizer_gguf import GgufHfQuantizer as Quantizer
    def seen(self, *a, **k):
        with open({note!r}, "w") as out:
            json.dump(self.quantization_config.dequantize, out)
        self.quantization_config.dequantize = True  # there is no kernel here to go on without it
    Quantizer.validate_environment = seen
"""


@pytest.fixture
def gguf(tmp_path):
    from tuneworthy.models.hf import load
    from tuneworthy.models.train.gguf_file import write_gguf

    folder = build("llama", tmp_path / "m")
    return write_gguf(load(folder, "hf:m", "float32"), tmp_path / "x.gguf"), folder


@pytest.mark.long
def test_weights_are_asked_for_unpacked(gguf, tmp_path, monkeypatch):
    from safetensors.torch import load_file

    file, folder = gguf
    note, site = tmp_path / "note.json", tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(SITE.format(note=str(note)))
    monkeypatch.setenv("PYTHONPATH", f"{site}:{':'.join(sys.path)}")
    out = _embedded._convert(file, tmp_path / "out")
    assert json.loads(note.read_text()) is True
    before, after = (load_file(path / "model.safetensors") for path in (folder, out))
    assert before.keys() == after.keys()
    assert max(float((before[n] - after[n]).abs().max()) for n in before) < 1e-3, "half precision"


@pytest.mark.long
def test_a_gguf_that_lacks_a_tensor_is_refused(gguf, tmp_path, monkeypatch):
    file, _ = gguf
    raw = file.read_bytes()
    name = b"blk.1.ffn_down.weight"
    assert raw.count(name) == 1
    file.write_bytes(raw.replace(name, b"blk.1.ffn_odd_.weight"))
    with pytest.raises(ModelError, match="could not be converted"):
        _embedded._convert(file, tmp_path / "out")


def test_added_tokens_stay_whole_and_a_padded_vocabulary_is_written():
    """`_token_list`: llama.cpp splits a NORMAL token's text; the ids of padding have no text."""
    from models_kit import tiny_tokenizer

    from tuneworthy.models.train.gguf_file import _token_list

    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens(["<think>"])
    think = tokenizer.convert_tokens_to_ids("<think>")
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    words, types = _token_list(tokenizer, state, len(tokenizer) + 2)
    normal, control, own, unused = 1, 3, 4, 5  # of GGUF's tokenizer.ggml.token_type
    assert len(words) == len(types) == len(tokenizer) + 2
    assert (words[think], types[think]) == ("<think>", own)
    assert types[:3] == [control] * 3
    assert set(types[3:think]) == {normal}
    assert words[-2:] == [f"[PAD{len(tokenizer)}]", f"[PAD{len(tokenizer) + 1}]"]
    assert types[-2:] == [unused] * 2
