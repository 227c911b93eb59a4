"""Every tensor is created on the model's device: the engine and a training step on `meta`.

There no number is computed, but a tensor left on the processor is refused, as on a GPU.
"""

import pytest
from models_kit import tiny_config

pytestmark = pytest.mark.full


@pytest.fixture
def module():
    import torch
    import transformers

    from tuneworthy.models.local import prefix_attention as _attention

    torch.set_num_threads(1)
    with torch.device("meta"):
        return transformers.AutoModelForCausalLM.from_config(
            tiny_config("llama", 400), attn_implementation=_attention.install()
        ).requires_grad_(False)


def test_the_engine_stays_on_the_device(module):
    import torch

    from tuneworthy.models.local import forward as _forward

    net = _forward.Net(module, 3, 400, None, _word(module), True)
    with torch.inference_mode():
        prefix = _forward.read_prefix(net, [3, 4, 5, 6])
        logits, state = _forward.begin(net, [[7, 8, 9], [10, 11]], prefix, 4)
        assert (logits.device.type, logits.shape) == ("meta", (2, 400))
        _forward.step(net, state, [5, 6])
        state.keep([1])
        assert _forward.step(net, state, [7]).shape == (1, 400)
        nodes = torch.ones(1, 2, dtype=torch.long, device="meta")
        seen = torch.ones(1, 2, 2, dtype=torch.bool, device="meta")
        assert _forward.tree(net, state, nodes, nodes, seen).shape == (1, 2, 400)
        with pytest.raises((RuntimeError, NotImplementedError)):  # the control
            _forward.tree(net, state, nodes, nodes, seen.new_ones(1, 2, 2, device="cpu"))


def _word(module):
    import inspect

    return "cache" if "cache" in inspect.signature(module.forward).parameters else "past_key_values"


@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_training_step_stays_on_the_device(module, checkpointing):
    import torch

    from tuneworthy.models.train import loss as forward
    from tuneworthy.models.train.memory_fit import checkpoint_layers
    from tuneworthy.models.train.training_data import EncodedExample
    from tuneworthy.models.train.twin import LoraShape, lora_twin

    wrapped = lora_twin(module, LoraShape(rank=4), 0)
    inner = wrapped.base_model.model
    net = forward.Net(inner, inner.get_decoder(), inner.get_output_embeddings(), True, _word(inner))
    if checkpointing:
        checkpoint_layers(net)
    rows = [
        EncodedExample(tuple(range(3, 30 + n)), (False,) * 22 + (True,) * (5 + n)) for n in range(3)
    ]
    trunk = forward.read_common_prefix(net, rows)
    assert trunk is not None
    logits = forward.answer_logits(net, rows, trunk)
    assert (logits.device.type, logits.shape) == ("meta", (18, 400))
    weights = [weight for weight in wrapped.parameters() if weight.requires_grad]
    assert {weight.device.type for weight in weights} == {"meta"}
    slopes = torch.autograd.grad(logits.sum(), [*weights, *trunk.leaves], allow_unused=True)
    assert {slope.device.type for slope in slopes if slope is not None} == {"meta"}
    with pytest.raises((RuntimeError, NotImplementedError)):  # the control
        forward.answer_logits(
            net,
            rows,
            forward.Trunk(
                trunk.width,
                trunk.made,
                [leaf.new_ones(leaf.shape, device="cpu") for leaf in trunk.leaves],
            ),
        )
