"""Estimated training memory against torch's; gradient checkpointing, equal bit for bit."""

from dataclasses import replace

import pytest

from tuneworthy.models.train.training_data import EncodedExample
from tuneworthy.records.errors import ModelError

pytestmark = pytest.mark.full
SHAPE = {"hidden_size": 128, "intermediate_size": 320, "num_attention_heads": 8}
RANK = 8


def adapted(module, rank=RANK, seed=0, *, hand=False):
    """Return (net, PEFT model) with an adapter that changes outputs."""
    import torch

    from tuneworthy.models.train.loss import open_net
    from tuneworthy.models.train.twin import LoraShape, lora_twin

    wrapped = lora_twin(module.requires_grad_(False), LoraShape(rank=rank), seed)
    with torch.no_grad():
        for name, weight in wrapped.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.05, generator=torch.Generator().manual_seed(seed))
    net = open_net(wrapped.base_model.model, range(7, 27))
    net = net if hand else replace(net, trainer=None)
    return net, [weight for weight in wrapped.parameters() if weight.requires_grad]


def rows(count=6, shared=24, own=20, answer=5):
    lead = [3 + k % 50 for k in range(shared)]
    found = []
    for n in range(count):
        ids = [*lead, *((11 * k + 7 * n) % 390 + 3 for k in range(own + n + 1))]
        found.append(EncodedExample(tuple(ids), (False,) * (len(ids) - answer) + (True,) * answer))
    return found


def kept(net, batch):
    """Return the bytes that one forward pass stores for the backward pass."""
    import torch

    from tuneworthy.models.train.loss import answer_logits, read_common_prefix

    weights = {w.untyped_storage().data_ptr() for w in net.module.parameters()}
    seen = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            seen[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        trunk = read_common_prefix(net, batch)
        logits = answer_logits(net, batch, trunk)
    assert logits.requires_grad
    return sum(seen.values())


def gradients(net, weights, batch, budget=10**9):
    import torch

    from tuneworthy.models.train.loss import backward

    by_row = backward(net, batch, budget, weights)
    found = [weight.grad.clone() for weight in weights]
    for weight in weights:
        weight.grad = None
    return by_row, torch.cat([grad.flatten() for grad in found])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", ["llama", "qwen2"])
@pytest.mark.parametrize("shared", [0, 96])
def test_the_estimate_is_what_torch_keeps(tiny, kind, dtype, shared):
    from tuneworthy.models.train.loop import TrainingSchedule
    from tuneworthy.models.train.memory_fit import estimate
    from tuneworthy.models.train.twin import LoraShape

    net, weights = adapted(tiny.model(kind, dtype=dtype, **SHAPE))
    batch = rows(4, shared, own=40)
    told = estimate(net, batch, LoraShape(rank=RANK), TrainingSchedule(batch=4))
    assert told["adapter"] == 4 * sum(weight.numel() for weight in weights)
    assert told["activations"] == pytest.approx(kept(net, batch), rel=0.03)
    wrong = estimate(net, batch[:3], LoraShape(rank=RANK), TrainingSchedule(batch=4))
    assert wrong["activations"] != pytest.approx(kept(net, batch), rel=0.03)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("shared", [0, 24])
@pytest.mark.parametrize("threads", [1, 2])
def test_checkpointing_changes_no_bit_of_the_gradients(tiny, dtype, shared, threads):
    """With and without a shared prompt, whose keys the layer must not append a second time."""
    import torch

    from tuneworthy.models.train.memory_fit import checkpoint_layers

    torch.set_num_threads(threads)  # two: parts side by side
    batch = rows(6, shared)
    module = tiny.model("llama", dtype=dtype, **SHAPE)
    plain, again = adapted(module), adapted(module)
    assert plain[0].shares
    before = kept(plain[0], batch)
    checkpoint_layers(again[0])
    one, other = gradients(*plain, batch, 90), gradients(*again, batch, 90)
    assert one[0] == other[0]
    assert torch.equal(one[1], other[1])
    assert float(one[1].norm()) > 0
    assert kept(again[0], batch) < before / 3
    torch.set_num_threads(1)


def test_the_estimate_has_room_for_the_longest_rows_in_one_step(tiny):
    """They meet in one step of some epoch, whatever the order of the first epoch is."""
    from tuneworthy.models.train.loop import TrainingSchedule
    from tuneworthy.models.train.memory_fit import estimate
    from tuneworthy.models.train.schedule import order
    from tuneworthy.models.train.twin import LoraShape

    net = replace(adapted(tiny.model("llama", **SHAPE))[0], lanes=2)  # in one part they are padded
    pace, shape, at = (
        TrainingSchedule(batch=4, part_tokens=2048),
        LoraShape(rank=RANK),
        order(8, 0, 0),
    )
    short, long = rows(8, 0, own=20), rows(2, 0, own=400)

    def activations(places):
        given = list(short)
        for place, row in zip(places, long, strict=True):
            given[place] = row
        return estimate(net, given, shape, pace)["activations"]

    apart, together = activations((at[0], at[-1])), activations((at[0], at[1]))
    assert apart == pytest.approx(together, rel=0.01)
    assert together > 5 * estimate(net, short, shape, pace)["activations"]


def test_a_cache_that_is_appended_to_twice_is_seen(tiny, monkeypatch):
    """The control: without the cache put back, the second pass reads keys that it made itself."""
    from torch.utils.checkpoint import CheckpointError

    from tuneworthy.models.train import memory_fit as memory

    net, weights = adapted(tiny.model("llama", **SHAPE))
    monkeypatch.setattr(memory, "Cache", type("NoCache", (), {}))
    memory.checkpoint_layers(net)
    with pytest.raises((CheckpointError, RuntimeError)):
        gradients(net, weights, rows(6, 24))


def test_a_dropped_layer_is_seen(tiny):
    """The control of equality: another computation inside one layer gives other gradients."""
    import torch

    module = tiny.model("llama", **SHAPE)
    plain, other = adapted(module), adapted(module)
    layer = other[0].body.layers[1]
    forward = layer.forward
    layer.forward = lambda *given, **named: forward(*given, **named) * (1 + 1e-4)
    batch = rows(6, 24)
    assert not torch.equal(gradients(*plain, batch)[1], gradients(*other, batch)[1])


def room(net, free, monkeypatch, wanted=None):
    from tuneworthy.models.train import memory_fit as memory
    from tuneworthy.models.train.loop import TrainingSchedule
    from tuneworthy.models.train.twin import LoraShape

    monkeypatch.setattr(memory, "free_memory", lambda device: free)
    return memory.fit_memory(
        net, rows(6, 0), LoraShape(rank=RANK), TrainingSchedule(batch=6), wanted
    )[1]


def test_checkpointing_is_turned_on_only_where_it_must(tiny, monkeypatch):
    from tuneworthy.models.train import memory_fit as memory
    from tuneworthy.models.train.loop import TrainingSchedule
    from tuneworthy.models.train.twin import LoraShape

    monkeypatch.setattr(memory, "_uses_general_path", lambda net: False)  # parts stay as they are
    monkeypatch.setattr(memory, "total_memory", lambda device: 0)  # small batches of answers
    net, _ = adapted(tiny.model("llama", num_hidden_layers=12, **SHAPE))
    shape, pace = LoraShape(rank=RANK), TrainingSchedule(batch=6)
    need = {
        on: int(1.6 * sum(memory.estimate(net, rows(6, 0), shape, pace, on).values())) + 1
        for on in (False, True)
    }
    assert need[True] < need[False]
    turned = []
    monkeypatch.setattr(memory, "checkpoint_layers", turned.append)
    assert room(net, need[False], monkeypatch)["checkpointing"] is False
    assert not turned
    assert room(net, need[False] - 2, monkeypatch)["checkpointing"] is True
    assert turned == [net]
    assert room(net, need[False], monkeypatch, True)["checkpointing"] is True
    for free, wanted in ((need[True] - 2, None), (need[False] - 2, False)):
        with pytest.raises(ModelError, match="training does not fit") as caught:
            room(net, free, monkeypatch, wanted)
        assert "activations" in caught.value.got
        assert "lower rank" in caught.value.fix


def test_a_run_with_checkpointing_writes_the_same_adapter(tiny, tmp_path, monkeypatch):
    from tuneworthy.models.local import cpu_engine
    from tuneworthy.models.train.loop import TrainingSchedule
    from tuneworthy.models.train.lora import LoraSettings, fit_lora
    from tuneworthy.models.train.training_data import TrainingData

    monkeypatch.setattr(cpu_engine, "open_trainer", lambda module, shares: None)  # autograd twice
    model = tiny.stand(tiny.model("llama", 1), tiny.tokenizer())
    lessons = TrainingData(tiny.examples(16), tiny.examples(4, 1), lambda folder: 0.5)
    made = {}
    for on in (False, True):
        settings = LoraSettings(rank=4, pace=TrainingSchedule(epochs=2, batch=8), checkpointing=on)
        done = fit_lora(model, lessons, settings, 0, tmp_path / str(on))
        assert done.trace["memory"]["checkpointing"] is on
        assert done.trace["memory"]["activations"] > 0
        made[on] = (done.adapter / "adapter_model.safetensors").read_bytes()
    assert made[True] == made[False]


def failing(most, monkeypatch):
    """Make passes of more than some padded tokens run out of memory; return the sizes tried."""
    import torch

    from tuneworthy.models.train import loss as forward

    real, sizes = forward.losses, []

    def losses(net, batch, trunk):
        size = len(batch) * (max(len(row.ids) for row in batch) - (trunk.width if trunk else 0))
        sizes.append(size)
        if size > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return real(net, batch, trunk)

    monkeypatch.setattr(forward, "losses", losses)
    return sizes


@pytest.mark.parametrize("shared", [0, 24])
def test_a_step_that_runs_out_of_memory_is_read_in_smaller_parts(tiny, monkeypatch, shared):
    import torch

    batch = rows(8, shared)
    module = tiny.model("llama", **SHAPE)
    truth = gradients(*adapted(module), batch)
    net, weights = adapted(module)
    sizes = failing(70, monkeypatch)
    found = gradients(net, weights, batch)
    assert found[0] == pytest.approx(truth[0], rel=1e-5)
    assert float((found[1] - truth[1]).norm() / truth[1].norm()) < 1e-5
    assert max(sizes) > 70 >= sizes[-1]
    sizes.clear()
    assert torch.equal(gradients(net, weights, batch)[1], found[1])
    assert max(sizes) <= 70, "what fits is known in the next step"


def test_a_dev_loss_that_runs_out_of_memory_is_read_in_smaller_parts(tiny, monkeypatch):
    from tuneworthy.models.train.loss import evaluate

    net, _ = adapted(tiny.model("llama", **SHAPE))
    truth = evaluate(net, rows(8), 10**9)
    sizes = failing(70, monkeypatch)
    assert evaluate(net, rows(8), 10**9) == pytest.approx(truth, rel=1e-5)
    assert max(sizes) > 70


def test_a_step_of_one_row_that_does_not_fit_ends_training_with_its_reason(tiny, monkeypatch):
    net, weights = adapted(tiny.model("llama", **SHAPE))
    failing(10, monkeypatch)
    with pytest.raises(ModelError, match="one row at a time does not fit") as caught:
        gradients(net, weights, rows(6))
    assert "CUDA out of memory" in caught.value.got
    assert all(weight.grad is None for weight in weights)


def test_the_general_path_reads_as_many_tokens_at_once_as_fit(tiny, monkeypatch):
    from tuneworthy.models.train import memory_fit as memory

    monkeypatch.setattr(memory, "total_memory", lambda device: 0)
    monkeypatch.setenv("TUNEWORTHY_CPU_ENGINE", "0")
    found = {}
    for free in (10**11, 120_000_000):
        net, _ = adapted(tiny.model("llama", num_hidden_layers=12, **SHAPE))
        assert net.trainer is None
        batch = rows(64, 0, own=80)
        monkeypatch.setattr(memory, "free_memory", lambda device, free=free: free)
        told = memory.fit_memory(
            net, batch, memory.LoraShape(rank=RANK), memory.TrainingSchedule(batch=64), None
        )
        found[free] = told[1]["part_tokens"], told[1]["checkpointing"]
        assert net.fit.tokens == found[free][0]
    assert found[10**11] == (16_384, False)
    assert found[120_000_000][0] < 16_384
