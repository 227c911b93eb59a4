"""The memory estimate: known sizes, what makes it grow, and that it refuses before loading."""

import pytest

from tuneworthy.models.local import memory as _memory
from tuneworthy.models.local.memory import Part
from tuneworthy.records.errors import ModelError

LLAMA_8B = {
    "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336, "vocab_size": 128256,
    "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
}  # fmt: skip
LINEARS = {"self_attn.q_proj": (4096, 4096), "self_attn.k_proj": (1024, 4096),
           "self_attn.v_proj": (1024, 4096), "self_attn.o_proj": (4096, 4096),
           "mlp.gate_proj": (14336, 4096), "mlp.up_proj": (14336, 4096),
           "mlp.down_proj": (4096, 14336)}  # fmt: skip
STEP = [Part(rows=4, length=100, shared=60, scored=30), Part(8, 50, 60, 20)]


def eight_billion(layers=32):
    tensors = {"model.embed_tokens.weight": (128256, 4096), "lm_head.weight": (128256, 4096),
               "model.norm.weight": (4096,)}  # fmt: skip
    for n in range(layers):
        tensors |= {f"model.layers.{n}.{name}.weight": shape for name, shape in LINEARS.items()}
        tensors |= {f"model.layers.{n}.{name}_layernorm.weight": (4096,)
                    for name in ("input", "post_attention")}  # fmt: skip
    return _memory.shape_of({**LLAMA_8B, "num_hidden_layers": layers}, tensors)


def trained(shape, size=2, rank=16, step=STEP, **more):
    return _memory.training_memory(shape, size, (rank, "all-linear"), step, **more)


def test_a_model_of_eight_billion_has_its_known_sizes():
    shape = eight_billion()
    assert shape.values == 8_030_261_248
    parts = _memory.inference_memory(shape, 2, tokens=8192)
    assert parts["weights"] == 16_060_522_496
    assert parts["cache"] == 2**30, "8,192 tokens of Llama 3.1 8B in bf16 are 1 GiB"
    assert trained(shape)["adapter"] == 4 * 41_943_040, "as PEFT counts them at rank 16"
    few = _memory.training_memory(shape, 2, (16, ("q_proj", "v_proj")), STEP)
    assert few["adapter"] == 4 * 6_815_744


def test_more_of_anything_takes_more():
    shape, longer = eight_billion(), [Part(4, 200, 60, 30), Part(8, 50, 60, 20)]
    small = trained(shape)
    grown = {
        "adapter": trained(shape, rank=32),
        "optimizer": trained(shape, rank=32),
        "gradient": trained(shape, step=[*STEP, STEP[0]]),
        "activations": trained(shape, step=longer),
        "logits": trained(shape, step=[Part(4, 100, 60, 31)]),
    }
    for part, more in grown.items():
        assert more[part] > small[part], part
    assert trained(shape, lanes=2)["activations"] > small["activations"]
    assert sum(trained(eight_billion(8)).values()) < sum(small.values())
    shared = trained(shape, step=[Part(4, 100, 400, 30)])
    assert shared["activations"] > trained(shape, step=[Part(4, 100, 0, 30)])["activations"]
    less = trained(shape, way="checkpointing")
    assert less["activations"] < small["activations"] / 5
    assert {k: v for k, v in less.items() if k != "activations"} == {
        k: v for k, v in small.items() if k != "activations"
    }
    asked = _memory.inference_memory(shape, 2, 1024)
    assert all(_memory.inference_memory(shape, 4, 1024)[k] > asked[k] for k in asked)
    assert _memory.inference_memory(shape, 2, 2048)["cache"] == 2 * asked["cache"]


def test_a_batch_follows_the_memory_that_the_weights_leave():
    shape = eight_billion()
    each = _memory.inference_memory(shape, 2, 1)["cache"]
    sizes = [_memory.batch_tokens(shape, 2, "cuda", gb * 10**9) for gb in (12, 17, 24, 80, 1000)]
    assert sizes == sorted(sizes)
    assert sizes[:2] == [1024, 1791]
    assert sizes[2] * each <= (24e9 - 16.06e9) / 4
    assert sizes[-1] == 131_072
    assert _memory.batch_tokens(shape, 2, "cpu", 10**12) == 16_384


def test_the_refusal_says_what_is_needed_of_what():
    parts = {"weights": 2_000_000_000, "cache": 500_000_000}
    _memory.refuse("too large", parts, 2_750_000_000, where="m", fix="shrink it")
    with pytest.raises(ModelError, match="too large") as caught:
        _memory.refuse("too large", parts, 2_749_999_999, where="m", fix="shrink it")
    assert caught.value.got == "2.8 GB needed, 2.7 GB free (weights 2.00, cache 0.50)"
    assert caught.value.fix == "shrink it"


def test_a_config_without_sizes_is_refused():
    with pytest.raises(ModelError, match="no sizes of a decoder"):
        _memory.shape_of({"model_type": "mamba", "hidden_size": 64}, {})


@pytest.mark.full
def test_i101_a_model_that_does_not_fit_is_refused_before_it_is_read(folders, monkeypatch):
    import transformers

    from tuneworthy.models import hf
    from tuneworthy.models.local import cpu_engine
    from tuneworthy.models.local import memory as _sizes

    folder = folders["llama"]
    shape = _memory.shape_of(_sizes.read_config(folder), _sizes.shapes(hf.check_folder(folder)))
    tokens = _memory.batch_tokens(shape, 4, "cpu", _sizes.total_memory("cpu"))
    general = not cpu_engine.enabled()
    parts = _memory.inference_memory(shape, 4, tokens, general=general)
    need = int(1.1 * sum(parts.values())) + 1
    opened = []
    read = transformers.AutoModelForCausalLM.from_pretrained
    monkeypatch.setattr(
        transformers.AutoModelForCausalLM, "from_pretrained",
        lambda *a, **k: opened.append(a) or read(*a, **k),
    )  # fmt: skip
    monkeypatch.setattr(_sizes, "free_memory", lambda device: need - 2)
    with pytest.raises(ModelError, match="does not fit in the free memory") as caught:
        hf.load(folder, "hf:m", "float32")
    assert "weights" in caught.value.got
    assert not opened
    monkeypatch.setattr(_sizes, "free_memory", lambda device: need)
    assert hf.load(folder, "hf:m", "float32").tokens == tokens
    assert opened


@pytest.mark.full
def test_the_way_to_a_gpu_leads_through_the_memory(folders, monkeypatch):
    """A GPU with enough memory does not help if main memory can't load the weights."""
    from tuneworthy.models import hf
    from tuneworthy.models.local import memory as _sizes

    files = hf.check_folder(folders["llama"])
    monkeypatch.setattr(_sizes, "total_memory", lambda device: 80 * 10**9)
    free = {"cuda": 80 * 10**9, "cpu": 10**9}
    monkeypatch.setattr(_sizes, "free_memory", free.__getitem__)
    _sizes.check_memory(files, "bfloat16", "cuda")
    for short in free:
        monkeypatch.setattr(_sizes, "free_memory", {**free, short: 1000}.__getitem__)
        with pytest.raises(ModelError, match=f"free memory \\({short}\\)"):
            _sizes.check_memory(files, "bfloat16", "cuda")
