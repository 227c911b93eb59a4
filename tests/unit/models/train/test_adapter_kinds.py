"""rsLoRA and DoRA: training and inference compute the same as PEFT itself."""

import json

import pytest

from tuneworthy.models.local import cpu_engine
from tuneworthy.records.errors import ModelError
from tuneworthy.records.model import Limits

pytestmark = pytest.mark.full
KINDS = {"lora": {}, "rslora": {"rslora": True}, "dora": {"dora": True},
         "both": {"dora": True, "rslora": True}}  # fmt: skip
IDS = [5, 9, 33, 70, 8, 120, 44]


def moved(engine, folder, std=0.2, **kind):
    """Save an adapter of a kind with random weights and magnitudes; return PEFT's own model."""
    import torch

    from tuneworthy.models.train.twin import LoraShape, lora_twin, save_adapter

    peft = lora_twin(engine.module, LoraShape(rank=4, alpha=8, **kind), 0)
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, weight in peft.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=std, generator=draw)
            if "magnitude" in name:
                weight.mul_(1 + std * torch.rand(weight.shape, generator=draw))
    save_adapter(peft, folder, {"base": {"spec": engine.spec, **engine.fingerprint}})
    return peft


def logits(module, ids=IDS):
    import torch

    with torch.no_grad():
        return module(input_ids=torch.tensor([ids])).logits[0].double()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_the_engine_s_logits_are_peft_s_own(tiny, tmp_path, monkeypatch, kind, family):
    """qwen2 has biases, which a magnitude must not scale."""
    import torch

    from tuneworthy.models.hf import load

    monkeypatch.setenv("TUNEWORTHY_CACHE", str(tmp_path / "cache"))
    module = tiny.model(family, 1, eos_token_id=0, vocab_size=408)
    with torch.no_grad():
        for name, weight in module.named_parameters():
            if name.endswith("bias"):
                weight.normal_(std=0.5)
    module.save_pretrained(tmp_path / "model")
    tiny.tokenizer().save_pretrained(tmp_path / "model")
    engine = load(tmp_path / "model", "hf:./model", "float32")
    truth = logits(moved(engine, tmp_path / "a", **KINDS[kind]))
    tuned = engine.with_adapter(tmp_path / "a")
    with tuned.adapter.applied(engine.module):
        ours = logits(engine.module)
    assert torch.allclose(ours, truth, atol=2e-5, rtol=1e-5)
    others = [k for k in KINDS if k != kind]
    for other in others:  # the control: every kind gives other logits
        assert not torch.allclose(truth, logits(moved(engine, tmp_path / other, **KINDS[other])),
                                  atol=1e-3)  # fmt: skip
    assert torch.equal(logits(engine.module), logits(module)), "the base is as it was"


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_answered_follows_peft_token_by_token(tiny, engine, tmp_path, kind):
    import torch

    peft = moved(engine, tmp_path / "a", **KINDS[kind])
    tuned = engine.with_adapter(tmp_path / "a")
    general = "dora" in KINDS[kind] or not cpu_engine.enabled()
    assert (tuned.net.decoder is None) == general, "DoRA: the general path"
    prompts = [e.messages for e in tiny.examples(4, seed=4)]
    replies = tuned.reply(prompts, Limits(max_tokens=6))
    sums = tuned.logprobs(prompts, [["router"]] * 4)
    base = engine.reply(prompts, Limits(max_tokens=6))
    assert [r.text for r in replies] != [r.text for r in base]
    for prompt, reply, row in zip(prompts, replies, sums, strict=True):
        ids = tuned._prompt_ids(prompt)
        made = list(ids)
        for _ in range(6):
            made.append(int(logits(peft, made)[-1].argmax()))
            if made[-1] in tuned.ends:
                break
        ours = [i for i in made[len(ids) :] if i not in tuned.ends]
        assert reply.text == tuned._text(ours)
        coded = tuned._continuation_ids(["router"])[0]
        table = torch.log_softmax(logits(peft, [*ids, *coded]), -1)
        truth = sum(float(table[len(ids) + k - 1, token]) for k, token in enumerate(coded))
        assert row[0] == pytest.approx(truth, abs=1e-3)


def fitted(tiny, model, folder, **kind):
    from tuneworthy.models.train.loop import TrainingSchedule
    from tuneworthy.models.train.lora import LoraSettings, fit_lora
    from tuneworthy.models.train.training_data import TrainingData

    pace = TrainingSchedule(epochs=2, batch=4, rate=5e-3)
    lessons = TrainingData(tiny.examples(12), tiny.examples(4, seed=9), lambda path: 0.5)
    settings = LoraSettings(rank=4, alpha=8, pace=pace, **kind)
    return fit_lora(model, lessons, settings, 0, folder)


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_trained_as_peft_trains_it(tiny, engine, tmp_path, kind):
    """The loop by autograd over PEFT's own layers gives the adapter, magnitudes included."""
    from safetensors.torch import load_file

    done = fitted(tiny, engine, tmp_path / kind, **KINDS[kind])
    dora = "dora" in KINDS[kind]
    general = dora or not cpu_engine.enabled()
    assert done.trace["gradient"] == ("autograd" if general else "written out")
    assert done.trace["steps"][-1]["loss"] < done.trace["steps"][0]["loss"]
    config = json.loads((done.adapter / "adapter_config.json").read_text())
    assert (config["use_dora"], config["use_rslora"]) == (dora, "rslora" in KINDS[kind])
    tensors = load_file(done.adapter / "adapter_model.safetensors")
    norms = [n for n in tensors if n.endswith("lora_magnitude_vector")]
    assert len(norms) == (21 if dora else 0)
    weights = dict(engine.module.named_parameters())
    for name in norms:
        layer = name.removeprefix("base_model.model.").removesuffix(".lora_magnitude_vector")
        start = weights[f"{layer}.weight"].norm(dim=1)
        assert not (tensors[name] == start).all(), f"{layer}: its magnitude was never trained"
    engine.with_adapter(done.adapter)


def test_the_gradient_of_magnitudes_is_autograd_s(tiny):
    """The control: a path that forgot them would leave them without a gradient."""
    import torch

    from tuneworthy.models.train.loss import backward, open_net
    from tuneworthy.models.train.twin import LoraShape, lora_twin

    rows = tiny.rows(tiny.tokenizer(), 4)
    peft = lora_twin(tiny.model("llama", 1), LoraShape(rank=4, dora=True), 0)
    named = {n: w for n, w in peft.named_parameters() if w.requires_grad}
    net = open_net(peft.base_model.model, rows[0].ids, by_hand=False)
    assert net.trainer is None
    backward(net, rows, 120, list(named.values()))
    total = sum(
        torch.nn.functional.cross_entropy(
            peft(input_ids=torch.tensor([row.ids])).logits[0, row.first - 1 : -1],
            torch.tensor(row.ids[row.first :]),
            reduction="sum",
        )
        for row in rows
    ) / sum(row.trained for row in rows)
    truth = torch.autograd.grad(total, list(named.values()))
    seen = 0
    for (name, weight), slope in zip(named.items(), truth, strict=True):
        assert torch.allclose(weight.grad, slope, atol=1e-5), name
        seen += "magnitude" in name and float(slope.norm()) > 1e-4
    assert seen == 21


def test_the_size_of_a_dora_change_is_that_of_the_merged_matrices(tiny, engine, tmp_path):
    from tuneworthy.models.train.changes import effective_rank, weight_changes
    from tuneworthy.models.train.figures import update_ratio

    peft = moved(engine, tmp_path / "a", dora=True)
    ratios, told = update_ratio(peft), weight_changes(engine, engine.with_adapter(tmp_path / "a"))
    whole = {name: weight.clone() for name, weight in engine.module.state_dict().items()}
    merged = peft.merge_and_unload().state_dict()
    for layer in range(3):
        change = weight = 0.0
        ranks = []
        for name, base in whole.items():
            if f"layers.{layer}." in name and "proj" in name and name.endswith("weight"):
                apart = merged[name].double() - base.double()
                change += float(apart.square().sum())
                weight += float(base.double().square().sum())
                import torch

                ranks.append(effective_rank(torch.linalg.svdvals(apart).tolist()))
        ratio = (change / weight) ** 0.5
        assert ratios[str(layer)] == pytest.approx(ratio, rel=1e-4)
        assert told[str(layer)]["ratio"] == pytest.approx(ratio, rel=1e-4)
        assert told[str(layer)]["effective_rank"] == pytest.approx(sum(ranks) / 7, rel=1e-3)
        assert told[str(layer)]["effective_rank"] > 4, "magnitudes change more than rank 4"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_fresh_dora_adapter_is_idle(tiny, tmp_path, monkeypatch, dtype):
    import torch

    from tuneworthy.models.hf import load
    from tuneworthy.models.train.twin import LoraShape, lora_twin, save_adapter

    monkeypatch.setenv("TUNEWORTHY_CACHE", str(tmp_path / "cache"))
    tiny.model("llama", 1, eos_token_id=0).save_pretrained(tmp_path / "model")
    tiny.tokenizer().save_pretrained(tmp_path / "model")
    engine = load(tmp_path / "model", "hf:./model", dtype)
    peft = lora_twin(engine.module, LoraShape(rank=4, dora=True), 0)
    save_adapter(peft, tmp_path / "a", {"base": {"spec": engine.spec, **engine.fingerprint}})
    idle = engine.with_adapter(tmp_path / "a", idle=True)
    gains = torch.cat(list(idle.adapter.gains.values()))
    assert float((gains - 1).abs().max()) < 1e-6, "PEFT alone: up to .004 in bf16"
    with idle.adapter.applied(engine.module):
        ours = logits(engine.module)
    assert torch.allclose(ours, logits(engine.module), atol=1e-5)
    with torch.no_grad():  # the control: a magnitude that is moved is seen
        next(w for n, w in peft.named_parameters() if "magnitude" in n).mul_(1.05)
    assert not torch.allclose(ours, logits(peft), atol=1e-5)


def _edit(folder, edit):
    from safetensors.torch import load_file, save_file

    file = folder / "adapter_model.safetensors"
    tensors = load_file(file)
    edit(tensors, next(n for n in tensors if n.endswith("magnitude_vector")))
    save_file(tensors, file)
    (folder / "tuneworthy.json").unlink()


@pytest.mark.parametrize(
    "edit",
    [
        lambda tensors, name: tensors.pop(name),
        lambda tensors, name: tensors.update({name: tensors[name][:-1]}),
        lambda tensors, name: [tensors.pop(n) for n in list(tensors) if "magnitude" in n],
    ],
    ids=["one missing", "cut", "all missing"],
)
def test_magnitudes_that_do_not_match_are_refused(engine, tmp_path, edit):
    moved(engine, tmp_path / "a", dora=True)
    engine.with_adapter(tmp_path / "a")
    _edit(tmp_path / "a", edit)
    with pytest.raises(ModelError, match="magnitudes"):
        engine.with_adapter(tmp_path / "a")


def test_magnitudes_that_the_config_does_not_name_are_refused(engine, tmp_path):
    moved(engine, tmp_path / "a", dora=True)
    file = tmp_path / "a" / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"use_dora": False}))
    with pytest.raises(ModelError, match="match no layer"):
        engine.with_adapter(tmp_path / "a")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_estimate_of_dora_is_what_torch_keeps(tiny, dtype):
    from tests.unit.models.train.test_training_memory import SHAPE, kept, rows

    from tuneworthy.models.train.loop import TrainingSchedule
    from tuneworthy.models.train.loss import open_net
    from tuneworthy.models.train.memory_fit import estimate
    from tuneworthy.models.train.twin import LoraShape, lora_twin

    shape = LoraShape(rank=8, dora=True)
    module = tiny.model("llama", dtype=dtype, **SHAPE).requires_grad_(False)
    peft = lora_twin(module, shape, 0)
    net = open_net(peft.base_model.model, range(7, 27), by_hand=False)
    batch = rows(4, 0, own=200)
    told = estimate(net, batch, shape, TrainingSchedule(batch=4))
    assert told["adapter"] == 4 * sum(w.numel() for w in peft.parameters() if w.requires_grad)
    assert told["activations"] == pytest.approx(kept(net, batch), rel=0.1)
    plain = estimate(net, batch, LoraShape(rank=8), TrainingSchedule(batch=4))
    assert plain["activations"] != pytest.approx(kept(net, batch), rel=0.1)  # the control
