"""Full tuning: the same steps as torch's, an unchanged base, weights in the base's precision."""

import json
import shutil
from types import SimpleNamespace

import pytest

from tuneworthy.records.errors import DoesNotFit, ModelError, NumericError
from tuneworthy.records.model import Limits
from tuneworthy.store import signals

pytestmark = pytest.mark.full
NAME = "model.safetensors"


def settings(**changes):
    from tuneworthy.models.train.full import FullSettings
    from tuneworthy.models.train.loop import TrainingSchedule

    return FullSettings(**{"pace": TrainingSchedule(epochs=3, batch=4, rate=2e-3), **changes})


def fitted(tiny, model, folder, scores=(0.2, 0.9, 0.5), seed=0, how=None, **changes):
    from tuneworthy.models.train.full import fit_full
    from tuneworthy.models.train.training_data import TrainingData

    given = iter(scores)
    parts = {
        "train": tiny.examples(16),
        "dev": tiny.examples(6, seed=9),
        "dev_score": lambda folder: next(given),
        **changes,
    }
    return fit_full(model, TrainingData(**parts), how or settings(), seed, folder)


def plain_steps(module, rows, pace, count, decay=0.0, lone=False):
    """Return a copy of the model after `count` steps of transformers' loss and torch's AdamW.

    `lone`: the mean of the rows' means, another loss.
    """
    import copy

    import torch

    from tuneworthy.models.train.loop import rate_at
    from tuneworthy.models.train.schedule import order

    module = copy.deepcopy(module).requires_grad_(True)
    optimizer = torch.optim.AdamW(module.parameters(), lr=pace.rate, weight_decay=decay)
    sequence, total = order(len(rows), 3, 0), pace.epochs * len(rows) // pace.batch
    for step in range(count):
        batch = [rows[i] for i in sequence[step * pace.batch : (step + 1) * pace.batch]]
        length = max(len(row.ids) for row in batch)
        ids, labels, seen = (torch.full((len(batch), length), k) for k in (0, -100, 0))
        for n, row in enumerate(batch):
            ids[n, : len(row.ids)], seen[n, : len(row.ids)] = torch.tensor(row.ids), 1
            labels[n, row.first : len(row.ids)] = torch.tensor(row.ids[row.first :])
        if lone:
            each = [module(input_ids=ids[[n]], attention_mask=seen[[n]], labels=labels[[n]]).loss
                    for n in range(len(batch))]  # fmt: skip
            loss = sum(each) / len(each)
        else:
            loss = module(input_ids=ids, attention_mask=seen, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), pace.clip)
        for group in optimizer.param_groups:
            group["lr"] = rate_at(step, total, pace)
        optimizer.step()
        optimizer.zero_grad()
    return module


def test_the_gradient_of_all_weights_is_that_of_autograd(tiny):
    import torch

    from tuneworthy.models.train.full import trainable_copy
    from tuneworthy.models.train.loss import backward, open_net

    base, rows = tiny.model("llama", 1, dtype="float64"), tiny.rows(tiny.tokenizer(), 6)
    one, two = trainable_copy(base), trainable_copy(base)
    weights = list(one.parameters())
    backward(open_net(one, rows[0].ids, by_hand=False), rows, 120, weights)
    ours = torch.cat([w.grad.flatten() for w in weights])

    def plain(first):
        total = sum(
            torch.nn.functional.cross_entropy(
                two(input_ids=torch.tensor([row.ids])).logits[0, first(row) - 1 : -1],
                torch.tensor(row.ids[first(row) :]),
                reduction="sum",
            )
            for row in rows
        ) / sum(len(row.ids) - first(row) for row in rows)
        return torch.cat([g.flatten() for g in torch.autograd.grad(total, list(two.parameters()))])

    truth = plain(lambda row: row.first)
    assert float((ours - truth).norm() / truth.norm()) < 1e-6
    wrong = plain(lambda row: 1)  # the control: the prompt counted too
    assert float((ours - wrong).norm() / wrong.norm()) > 1e-2


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
@pytest.mark.parametrize("share", [True, False])
def test_two_steps_are_those_of_transformers_and_torch(tiny, kind, share):
    """In double precision: Adam's first steps have the gradient's sign, however small it is."""
    import torch

    from tuneworthy.models.train.full import trainable_copy
    from tuneworthy.models.train.loop import TrainingSchedule, train
    from tuneworthy.models.train.loss import open_net

    base = tiny.model(kind, 1, dtype="float64", num_hidden_layers=2).requires_grad_(False)
    rows = tiny.rows(tiny.tokenizer(), 8)
    pace = TrainingSchedule(epochs=1, batch=4, rate=1e-3, part_tokens=120)
    copy = trainable_copy(base)
    net = open_net(copy, rows[0].ids, share, by_hand=False)
    assert net.shares is share
    assert net.trainer is None
    train(net, rows, pace, 3, lambda epoch: None)

    def apart(other):
        one, two = (torch.nn.utils.parameters_to_vector(m.parameters()).detach()
                    for m in (copy, other))  # fmt: skip
        return float((one - two).norm() / two.norm())

    assert apart(base) > 1e-3
    assert apart(plain_steps(base, rows, pace, 2)) < 1e-6
    # the controls: a step less, decay, a mean of means
    assert apart(plain_steps(base, rows, pace, 1)) > 1e-4
    assert apart(plain_steps(base, rows, pace, 2, decay=0.1)) > 1e-6
    assert apart(plain_steps(base, rows, pace, 2, lone=True)) > 1e-6


def saved(engine, folder, change=None):
    """Write the engine's own weights as full tuning would; `change` edits the copy first."""
    import torch

    from tuneworthy.models.train.full import WholeMethod, trainable_copy

    copy = trainable_copy(engine.module)
    if change:
        with torch.no_grad():
            change(copy)
    about = {"base": {"spec": engine.spec, "weights": engine.fingerprint["weights"]}}
    shutil.rmtree(folder, ignore_errors=True)
    WholeMethod(engine, folder).save(copy, folder, about)
    return folder


def asked(model):
    prompts = [e.messages for e in PROMPTS]
    texts = [r.text for r in model.reply(prompts, Limits(max_tokens=12))]
    return texts, model.logprobs(prompts, [["router", "high"]] * len(prompts))


PROMPTS = []


@pytest.fixture(autouse=True)
def prompts(tiny):
    PROMPTS[:] = tiny.examples(5, seed=4)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_weights_that_tuning_left_alone_answer_exactly_as_the_base(
    engine, tmp_path, precision, monkeypatch
):
    from tuneworthy.models.hf import load

    engine = load(tmp_path / "model", "hf:./model", precision)
    folder = saved(engine, tmp_path / "same")
    tuned = engine.with_adapter(folder, idle=True)
    assert asked(tuned) == asked(engine)
    assert (tuned.net.decoder is None) == (engine.net.decoder is None), "the same engine"
    assert tuned.module.dtype == engine.module.dtype
    assert not {p.data_ptr() for p in tuned.module.parameters()} & {
        p.data_ptr() for p in engine.module.parameters()
    }
    assert tuned.module.get_input_embeddings().weight is tuned.module.lm_head.weight, "tied"
    with pytest.raises(ModelError, match="tuning changed nothing"):
        engine.with_adapter(folder)

    def change(copy):
        copy.model.layers[1].mlp.down_proj.weight.mul_(-1)

    moved = engine.with_adapter(saved(engine, tmp_path / "moved", change))
    assert asked(moved) != asked(engine)  # the control
    assert asked(tuned) == asked(engine), "the base did not move with it"
    own = {k: v for k, v in moved.fingerprint.items() if v != engine.fingerprint.get(k)}
    assert set(own) == {"weights", "tuned_from"}
    assert own["tuned_from"] == engine.fingerprint["weights"] != own["weights"]


def test_the_tuned_model_s_logits_are_those_of_plain_transformers(engine, tmp_path):
    import torch
    import transformers

    def change(copy):
        for weight in copy.parameters():
            weight.add_(
                0.05 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(2))
            )

    folder = saved(engine, tmp_path / "moved", change)
    plain = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    ids = torch.tensor([[5, 9, 33, 70, 8]])
    with torch.no_grad():
        tuned = engine.with_adapter(folder).module(input_ids=ids).logits
        assert torch.allclose(tuned, plain(input_ids=ids).logits, atol=1e-5)
        assert not torch.allclose(tuned, engine.module(input_ids=ids).logits, atol=1e-2)


def test_the_arm_s_run_leaves_the_base_alone_and_one_folder(tiny, engine, tmp_path):
    import torch

    before = {name: weight.clone() for name, weight in engine.module.state_dict().items()}
    told, seen = asked(engine), []

    def score(folder):
        seen.append(sorted(p.parent.name for p in (tmp_path / "u").glob(f"epochs/*/{NAME}")))
        return asked(engine.with_adapter(folder)) != told

    done = fitted(tiny, engine, tmp_path / "u", dev_score=score)
    assert all(torch.equal(w, before[n]) for n, w in engine.module.state_dict().items())
    assert not any(w.requires_grad for w in engine.module.parameters())
    assert asked(engine) == told
    assert done.adapter == tmp_path / "u" / "weights"
    assert sorted(p.name for p in (tmp_path / "u").iterdir()) == ["weights"]
    assert max(map(len, seen)) == 2, "the epoch being scored, and the best so far"
    trace = json.loads(json.dumps(done.trace, allow_nan=False))
    assert trace["gradient"] == "autograd"
    assert trace["weights"]["bytes"] == (done.adapter / NAME).stat().st_size
    assert trace["weights"]["trained_in"] == trace["weights"]["saved_in"] == "float32"
    assert trace["parameters"] == sum(p.numel() for p in engine.module.parameters())
    assert trace["steps"][-1]["loss"] < trace["steps"][0]["loss"]
    assert set(trace["evaluations"][0]["update_ratio"]) >= {"0", "1", "2"}
    again = fitted(tiny, engine, tmp_path / "u", dev_score=lambda folder: 1 / 0)
    assert again == done


def test_half_precision_is_trained_in_single_and_saved_in_half(tiny, engine, tmp_path):
    import torch
    from safetensors.torch import load_file

    from tuneworthy.models.hf import load

    half = load(tmp_path / "model", "hf:./model", "bfloat16")
    done = fitted(tiny, half, tmp_path / "u", scores=(0.5,) * 3)
    assert done.trace["weights"]["trained_in"] == "float32"
    assert done.trace["weights"]["saved_in"] == "bfloat16"
    tensors = load_file(done.adapter / NAME)
    assert {t.dtype for t in tensors.values()} == {torch.bfloat16}
    assert half.with_adapter(done.adapter).module.dtype == torch.bfloat16


def test_only_the_best_epoch_s_weights_stay_and_they_are_the_ones_kept(tiny, engine, tmp_path):
    kept = {}

    def score(folder):
        kept[len(kept) + 1] = (folder / NAME).read_bytes()
        return (0.2, 0.9, 0.5)[len(kept) - 1]

    done = fitted(tiny, engine, tmp_path, dev_score=score)
    assert done.trace["chosen"] == 2
    assert (done.adapter / NAME).read_bytes() == kept[2]
    assert kept[2] not in (kept[1], kept[3])


@pytest.fixture
def kit(tiny, engine, monkeypatch):
    """A fit of 15 rows, three of them replayed, in 12 steps, which can be stopped or killed."""
    from tuneworthy.models.train import loop

    real, done = loop.backward, SimpleNamespace(steps=0)

    def counted(*given):
        done.steps += 1
        return real(*given)

    monkeypatch.setattr(loop, "backward", counted)

    def fit(folder, stop=0, die=0, scores=(0.9, 0.2, 0.5)):
        done.steps = 0

        def say(text):
            if done.steps == stop > 0:
                signals._stop_signal = 143
            if done.steps == die > 0:
                raise KeyboardInterrupt

        def score(epoch):
            number = json.loads((epoch / "tuneworthy.json").read_text())["epoch"]
            return scores[number - 1]

        try:
            given = {"train": tiny.examples(12), "replay": tiny.examples(3, seed=5)}
            return fitted(tiny, engine, folder, dev_score=score, say=say, **given)
        finally:
            signals._stop_signal = None

    return SimpleNamespace(fit=fit, done=done)


@pytest.mark.parametrize("how", ["stop", "die"])
def test_an_interrupted_run_goes_on_to_the_same_bits(kit, tmp_path, how):
    whole = kit.fit(tmp_path / "whole")
    assert kit.done.steps == 12
    assert whole.trace["chosen"] == 1, "beaten epochs lie after the best one"
    for k in (2, 6, 11):
        folder = tmp_path / str(k)
        with pytest.raises((signals.StopRequested, KeyboardInterrupt)):
            kit.fit(folder, **{how: k})
        left = list(folder.glob(f"epochs/*/{NAME}"))
        assert len(left) <= 1
        again = kit.fit(folder)
        assert kit.done.steps == (12 - k if how == "stop" else 12 - k // 4 * 4)
        assert (again.adapter / NAME).read_bytes() == (whole.adapter / NAME).read_bytes()
        assert [e["dev_score"] for e in again.trace["evaluations"]] == [0.9, 0.2, 0.5]
    other = kit.fit(tmp_path / "other", scores=(0.1, 0.2, 0.5))  # the control: another epoch
    assert (other.adapter / NAME).read_bytes() != (whole.adapter / NAME).read_bytes()


POINTS = ["epoch.before:1", "epoch.after:2", "scored.before:1", "scored.before:3", "scored.after:3",
          "checkpoint.before:2", "adapter.sync:1", "adapter.before:1"]  # fmt: skip


@pytest.mark.parametrize("point", POINTS)
def test_a_run_that_broke_off_while_it_wrote_ends_the_same(kit, tmp_path, monkeypatch, point):
    """The third write named `scored` is the first to replace a beaten epoch's folder."""
    from tuneworthy.records.errors import TuneworthyError

    whole = kit.fit(tmp_path / "whole")
    monkeypatch.setenv("TW_FAILPOINT", f"{point}:raise")
    with pytest.raises(TuneworthyError):
        kit.fit(tmp_path / "cut")
    monkeypatch.delenv("TW_FAILPOINT")
    assert not (tmp_path / "cut" / "weights").exists()
    again = kit.fit(tmp_path / "cut")
    assert (again.adapter / NAME).read_bytes() == (whole.adapter / NAME).read_bytes()
    told = [{k: v for k, v in e.items() if k != "update_ratio"} for e in again.trace["evaluations"]]
    assert [e["dev_score"] for e in told] == [0.9, 0.2, 0.5]
    assert sorted(p.name for p in (tmp_path / "cut").iterdir()) == ["weights"]


def test_a_run_that_does_not_fit_is_refused_with_numbers_before_anything_is_copied(
    tiny, engine, tmp_path, monkeypatch
):
    from tuneworthy.models.train import full, memory_fit

    monkeypatch.setattr(full, "trainable_copy", lambda module: 1 / 0)
    monkeypatch.setattr(memory_fit, "free_memory", lambda device: 100_000)
    with pytest.raises(DoesNotFit, match="training does not fit") as caught:
        fitted(tiny, engine, tmp_path / "a")
    assert "optimizer" in caught.value.got
    assert "GB free" in caught.value.got
    assert "the arm lora" in caught.value.fix
    monkeypatch.undo()
    monkeypatch.setattr(full, "trainable_copy", lambda module: 1 / 0)
    monkeypatch.setattr(full.shutil, "disk_usage", lambda path: SimpleNamespace(free=100_000))
    with pytest.raises(DoesNotFit, match="does not fit on this disk") as caught:
        fitted(tiny, engine, tmp_path / "b")
    assert "checkpoints" in caught.value.got


@pytest.mark.parametrize("shared", [0, 24])
def test_the_estimate_is_what_torch_keeps(tiny, shared):
    """Weights, gradient and optimizer by count; activations by what autograd holds."""
    from dataclasses import replace

    from tests.unit.models.train.test_training_memory import SHAPE, kept, rows

    from tuneworthy.models.train.full import trainable_copy
    from tuneworthy.models.train.loop import TrainingSchedule
    from tuneworthy.models.train.loss import open_net
    from tuneworthy.models.train.memory_fit import estimate

    base = tiny.model("llama", dtype="bfloat16", **SHAPE).requires_grad_(False)
    plan = replace(open_net(base, range(7, 27), by_hand=False), lanes=1)
    batch = rows(4, shared, own=40)
    told = estimate(plan, batch, None, TrainingSchedule(batch=4))
    copy = trainable_copy(base)
    numbers = sum(w.numel() for w in copy.parameters())
    assert (told["weights"], told["optimizer"]) == (4 * numbers, 8 * numbers)
    net = replace(open_net(copy, range(7, 27), by_hand=False), lanes=1)
    assert told["activations"] == pytest.approx(kept(net, batch), rel=0.03)
    fewer = estimate(plan, batch[:2], None, TrainingSchedule(batch=4))["activations"]
    assert fewer != pytest.approx(kept(net, batch), rel=0.03)  # the control


def test_only_activations_are_held_more_than_once(tiny, monkeypatch):
    from tests.unit.models.train.test_training_memory import SHAPE, rows

    from tuneworthy.models.train import memory_fit
    from tuneworthy.models.train.loss import open_net

    base = tiny.model("llama", **SHAPE).requires_grad_(False)
    net, pace = open_net(base, range(7, 27), by_hand=False), memory_fit.TrainingSchedule(batch=4)
    told = memory_fit.estimate(net, rows(4), None, pace)
    whole = told["weights"] + told["gradient"] + told["optimizer"]
    need = whole + 1.6 * (sum(told.values()) - whole)
    for free, fits in ((need + 1, True), (need - 1, False)):
        monkeypatch.setattr(memory_fit, "free_memory", lambda device, free=free: free)
        if fits:
            assert memory_fit.plan_memory(net, rows(4), None, pace, False)["optimizer"]
        else:
            with pytest.raises(DoesNotFit):
                memory_fit.plan_memory(net, rows(4), None, pace, False)


def _flip(folder):
    data = bytearray((folder / NAME).read_bytes())
    data[-1] ^= 1
    (folder / NAME).write_bytes(bytes(data))


def _elsewhere(folder):
    manifest = json.loads((folder / "tuneworthy.json").read_text())
    manifest["base"]["weights"] = "0" * 64
    (folder / "tuneworthy.json").write_text(json.dumps(manifest))


def _tensors(edit):
    def damage(folder):
        from safetensors.torch import load_file, save_file

        tensors = load_file(folder / NAME)
        edit(tensors)
        save_file(tensors, folder / NAME)
        _unsealed(folder)

    return damage


def _unsealed(folder):
    """Remove the file hashes from the manifest, which would find the damage first."""
    manifest = json.loads((folder / "tuneworthy.json").read_text())
    (folder / "tuneworthy.json").write_text(json.dumps({**manifest, "files": {}}))


NORM = "model.norm.weight"
BAD = {
    "flipped": (_flip, "bytes are not those that were saved"),
    "elsewhere": (_elsewhere, "trained on another base"),
    "unbound": (lambda folder: (folder / "tuneworthy.json").unlink(), "need the manifest"),
    "cut": (lambda f: (f / NAME).write_bytes((f / NAME).read_bytes()[:-9]), "bytes"),
    "missing": (_tensors(lambda t: t.pop(NORM)), "not those of this model"),
    "more": (_tensors(lambda t: t.update(x=t[NORM] + 1)), "not those of this model"),
    "shape": (_tensors(lambda t: t.update({NORM: t[NORM][:-1]})), "not those of this model"),
    "type": (_tensors(lambda t: t.update({NORM: t[NORM].half()})), "not those of this model"),
    "nan": (_tensors(lambda t: t[NORM].fill_(float("nan"))), "not finite"),
}


@pytest.mark.parametrize("fault", BAD)
def test_weights_that_are_not_whole_or_not_this_base_s_are_refused(engine, tmp_path, fault):
    damage, message = BAD[fault]
    folder = saved(engine, tmp_path / "w", lambda copy: copy.model.norm.weight.mul_(1.5))
    engine.with_adapter(folder)
    damage(folder)
    with pytest.raises(NumericError if fault == "nan" else ModelError, match=message):
        engine.with_adapter(folder)


def test_tuned_weights_that_do_not_fit_beside_their_base_are_refused(engine, tmp_path, monkeypatch):
    from tuneworthy.models.local import tuned_weights

    folder = saved(engine, tmp_path / "w", lambda copy: copy.model.norm.weight.mul_(1.5))
    monkeypatch.setattr(tuned_weights, "free_memory", lambda device: 1000)
    with pytest.raises(DoesNotFit, match="beside its base"):
        engine.with_adapter(folder)


def test_an_adapter_on_a_tuned_model_is_bound_to_the_tuned_weights(tiny, engine, tmp_path):
    from tuneworthy.models.train.twin import LoraShape, lora_twin, save_adapter

    tuned = engine.with_adapter(
        saved(engine, tmp_path / "w", lambda copy: copy.model.norm.weight.mul_(1.5))
    )
    peft = lora_twin(tuned.module, LoraShape(rank=2), 0)
    save_adapter(peft, tmp_path / "a", {"base": {**tuned.fingerprint, "spec": tuned.spec}})
    both = tuned.with_adapter(tmp_path / "a", idle=True)
    assert asked(both) == asked(tuned)
    with pytest.raises(ModelError, match="another base"):
        engine.with_adapter(tmp_path / "a", idle=True)
