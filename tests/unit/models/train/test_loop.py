"""Optimizer, schedule, clipping and a whole trajectory against independent loops (N3, N20, P11)."""

import math

import numpy as np
import pytest

pytestmark = pytest.mark.full


def wrapped(tiny, seed=0, dtype="float64", kind="llama"):
    from tuneworthy.models.train.twin import LoraShape, lora_twin

    return lora_twin(tiny.model(kind, 1, dtype), LoraShape(rank=4, alpha=8), seed)


def run(module, rows, pace, seed=0, share=True):
    from tuneworthy.models.train.loop import train
    from tuneworthy.models.train.loss import open_net

    return train(open_net(module, rows[0].ids, share), rows, pace, seed, lambda epoch: None)


def plain_loop(module, rows, pace, seed, steps, late=0):
    """A loop as the libraries' own documentation writes it: padded batch, labels, scheduler."""
    import torch
    from transformers import get_cosine_schedule_with_warmup

    weights = [p for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=pace.rate, weight_decay=0.0)
    total = pace.epochs * math.ceil(len(rows) / pace.batch)
    warm = math.ceil(pace.warmup * total)
    schedule = get_cosine_schedule_with_warmup(optimizer, warm, total + 1)
    for _ in range(1 + late):
        optimizer.step()  # nothing has a gradient yet: this only moves the schedule
        schedule.step()
    losses = []
    while len(losses) < steps:
        epoch = len(losses) * pace.batch // len(rows)
        order = np.random.default_rng([seed, epoch]).permutation(len(rows))
        for start in range(0, len(rows), pace.batch):
            batch = [rows[i] for i in order[start : start + pace.batch]]
            length = max(len(row.ids) for row in batch)
            ids, labels, seen = (torch.full((len(batch), length), k) for k in (0, -100, 0))
            for n, row in enumerate(batch):
                ids[n, : len(row.ids)], seen[n, : len(row.ids)] = torch.tensor(row.ids), 1
                labels[n, row.first : len(row.ids)] = torch.tensor(row.ids[row.first :])
            logits = module(input_ids=ids, attention_mask=seen).logits[:, :-1]
            loss = torch.nn.functional.cross_entropy(
                logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100
            )
            loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            losses.append(loss.item())
    return losses[:steps]


def pace_of(**changes):
    from tuneworthy.models.train.loop import TrainingSchedule

    return TrainingSchedule(
        **{"epochs": 5, "batch": 4, "rate": 5e-3, "part_tokens": 120, **changes}
    )


@pytest.mark.parametrize("what", ["lora", "full"])
def test_n3_twenty_steps_equal_a_plain_loop(tiny, what):
    rows, pace = tiny.rows(tiny.tokenizer(), 16), pace_of()

    def fresh():
        module = wrapped(tiny).base_model.model
        return module.requires_grad_(True) if what == "full" else module

    ours = [step["loss"] for step in run(fresh(), rows, pace, seed=3)["steps"]]
    theirs = plain_loop(fresh(), rows, pace, 3, 20)
    late = plain_loop(fresh(), rows, pace, 3, 20, late=1)
    assert len(ours) == 20
    assert ours[-1] < ours[0]
    assert ours == pytest.approx(theirs, rel=1e-5)
    assert ours != pytest.approx(late, rel=1e-5)  # the control: a rate off by one step


def test_n20_rates_equal_the_schedule_of_transformers(tiny):
    import torch
    from transformers import get_cosine_schedule_with_warmup

    from tuneworthy.models.train.loop import rate_at

    for total, warmup in ((1, 0.1), (2, 0.1), (20, 0.1), (57, 0.05), (200, 0.0), (9, 0.5)):
        pace = pace_of(warmup=warmup, rate=1e-3)
        optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=pace.rate)
        schedule = get_cosine_schedule_with_warmup(optimizer, math.ceil(warmup * total), total + 1)
        for step in range(total):
            optimizer.step()
            schedule.step()
            assert rate_at(step, total, pace) == pytest.approx(schedule.get_last_lr()[0], abs=1e-10)
            assert rate_at(step, total, pace) > 0


def adamw(weight, grads, rates, decay=0.0):
    """The optimizer's formula (Loshchilov and Hutter, 2019), in numpy, float64."""
    weight, first, second = weight.copy(), 0.0, 0.0
    for step, (grad, rate) in enumerate(zip(grads, rates, strict=True), 1):
        weight = weight * (1 - rate * decay)
        first = 0.9 * first + 0.1 * grad
        second = 0.999 * second + 0.001 * grad**2
        weight -= rate * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
    return weight


def test_n20_optimizer_and_clipping_equal_numpy(tiny, monkeypatch):
    import torch

    rows, seen, raw = tiny.rows(tiny.tokenizer(), 12), [], []
    module = wrapped(tiny).base_model.model
    pace = pace_of(epochs=2, clip=0.05)
    before = torch.nn.utils.parameters_to_vector(
        [p for p in module.parameters() if p.requires_grad]
    ).detach()
    clip = torch.nn.utils.clip_grad_norm_

    def watched(weights, limit):
        raw.append(torch.cat([w.grad.flatten() for w in weights]).numpy().copy())
        norm = clip(weights, limit)
        seen.append(torch.cat([w.grad.flatten() for w in weights]).numpy().copy())
        return norm

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", watched)
    steps = run(module, rows, pace)["steps"]
    after = torch.nn.utils.parameters_to_vector(
        [p for p in module.parameters() if p.requires_grad]
    ).detach()
    for step, grad, clipped in zip(steps, raw, seen, strict=True):
        norm = float(np.sqrt((grad**2).sum()))
        assert step["norm"] == pytest.approx(norm, rel=1e-7)
        assert step["clipped"] is (norm > 0.05)
        assert clipped == pytest.approx(grad * min(1.0, 0.05 / (norm + 1e-6)), rel=1e-7)
    assert any(step["clipped"] for step in steps)
    rates = [step["rate"] for step in steps]
    assert after.numpy() == pytest.approx(adamw(before.numpy(), seen, rates), rel=1e-7, abs=1e-9)
    decayed = adamw(before.numpy(), seen, rates, decay=0.01)  # the control: a decay we don't apply
    assert after.numpy() != pytest.approx(decayed, rel=1e-7, abs=1e-9)


def test_the_trace_counts_tokens_rows_and_epochs(tiny):
    rows, pace = tiny.rows(tiny.tokenizer(), 10), pace_of(epochs=2)
    told = run(wrapped(tiny).base_model.model, rows, pace)
    steps = told["steps"]
    assert len(steps) == 6
    assert sum(s["tokens"] for s in steps) == 2 * sum(r.trained for r in rows)
    assert sum(s["read"] for s in steps) == 2 * sum(len(r.ids) for r in rows)
    for epoch, losses in enumerate(told["by_row"], 1):
        weighed = sum(loss * row.trained for loss, row in zip(losses, rows, strict=True))
        whole = sum(s["loss"] * s["tokens"] for s in steps if s["epoch"] == epoch)
        assert weighed == pytest.approx(whole, rel=1e-6)


def test_p11_a_loss_that_is_not_finite_stops_before_it_reaches_a_weight(tiny):
    import torch

    from tuneworthy.records.errors import NumericError

    rows = tiny.rows(tiny.tokenizer(), 8)
    module = wrapped(tiny, dtype="float32").base_model.model
    with torch.no_grad():
        module.get_decoder().layers[1].mlp.down_proj.base_layer.weight[0, 0] = float("nan")
    before = {n: p.clone() for n, p in module.named_parameters() if p.requires_grad}
    with pytest.raises(NumericError, match="not finite") as caught:
        run(module, rows, pace_of())
    assert "epoch 1, step 1" in str(caught.value)
    assert all(torch.equal(before[n], p) for n, p in module.named_parameters() if n in before)


def test_p11_a_gradient_that_is_not_finite_stops_before_it_reaches_a_weight(tiny, monkeypatch):
    from tuneworthy.models.train import loop
    from tuneworthy.records.errors import NumericError

    backward = loop.backward

    def spoilt(net, batch, budget, weights):
        losses = backward(net, batch, budget, weights)
        weights[0].grad[0, 0] = float("nan")
        return losses

    monkeypatch.setattr(loop, "backward", spoilt)
    module = wrapped(tiny, dtype="float32").base_model.model
    with pytest.raises(NumericError, match="gradient norm nan"):
        run(module, tiny.rows(tiny.tokenizer(), 8), pace_of())
    assert all(p.isfinite().all() for p in module.parameters() if p.requires_grad)


def test_p11_weights_that_are_not_finite_are_no_result():
    from tuneworthy.models.train.figures import check_learned
    from tuneworthy.records.errors import NumericError

    sound = {"steps": [{"norm": 1.0, "loss": 0.5}], "by_row": [[0.5]], "first": [0]}
    check_learned(sound, {"layer 0": 0.1}, 400)
    with pytest.raises(NumericError, match="weights are not finite"):
        check_learned(sound, {"layer 0": 0.1, "layer 1": float("nan")}, 400)


@pytest.mark.parametrize("fault", ["rate", "frozen", "unlike"])
def test_p11_training_that_does_not_learn_cannot_succeed(tiny, fault):
    from tuneworthy.models.train.figures import check_learned, update_ratio
    from tuneworthy.records.errors import NumericError

    rows = tiny.rows(tiny.tokenizer(), 16)
    peft = wrapped(tiny, dtype="float32")
    if fault == "frozen":
        for name, weight in peft.named_parameters():
            weight.requires_grad_("lora_A" in name)  # B stays 0, so nothing can change
    pace = pace_of(rate={"rate": 1e6}.get(fault, 5e-3))
    if fault == "rate":
        with pytest.raises(NumericError):
            check_learned(run(peft.base_model.model, rows, pace), update_ratio(peft), 400)
        return
    told = run(peft.base_model.model, rows, pace)
    if fault == "unlike":
        check_learned(told, update_ratio(peft), 400)  # the control: a sound run passes
        told["by_row"][-1] = [loss + 5 for loss in told["by_row"][0]]
    found = {"frozen": "changed nothing", "unlike": "its own rows less likely"}[fault]
    with pytest.raises(NumericError, match=found):
        check_learned(told, update_ratio(peft), 400 if fault == "frozen" else 10**9)


def test_p16_a_stop_is_heard_between_two_steps(tiny, monkeypatch):
    from tuneworthy.models.train.loop import TrainingSchedule
    from tuneworthy.store import signals

    rows = tiny.rows(tiny.tokenizer(), 8)
    monkeypatch.setattr(signals, "_stop_signal", 130)
    with pytest.raises(signals.StopRequested):
        run(wrapped(tiny), rows, TrainingSchedule(epochs=1, batch=4))


@pytest.mark.parametrize("leak", [False, True])
def test_memory_does_not_grow_with_the_steps(tiny, monkeypatch, leak):
    """Live tensors and resident memory after 100 and after 400 steps.

    The control keeps graphs and ends after 200: a third of the growth is enough to tell.
    """
    import gc

    import psutil
    import torch

    from tuneworthy.models.train import loop
    from tuneworthy.models.train.checkpoint import TrainingCallbacks
    from tuneworthy.models.train.loss import open_net

    rows = tiny.rows(tiny.tokenizer(), 8)
    module = wrapped(tiny, dtype="float32").base_model.model
    backward, kept, seen, last = loop.backward, [], {}, 200 if leak else 400

    def leaking(net, batch, *rest):
        kept.append(net.module(input_ids=torch.tensor([batch[0].ids])).logits.sum())
        return backward(net, batch, *rest)

    if leak:
        monkeypatch.setattr(loop, "backward", leaking)

    class Look(TrainingCallbacks):
        steps = 0

        def say(self, text):
            self.steps += 1
            if self.steps in (100, last):
                gc.collect()
                tensors = sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())
                resident = psutil.Process().memory_info().rss
                seen[self.steps] = (tensors, resident / 2**20)

    net, pace = open_net(module, rows[0].ids), pace_of(epochs=last // 2, batch=4)
    loop.train(net, rows, pace, 0, lambda epoch: None, Look())
    (tensors, before), (later, after) = seen[100], seen[last]
    assert (later == tensors) is not leak
    assert (after - before < 30) is not leak  # MB; the graphs of 100 steps take more
