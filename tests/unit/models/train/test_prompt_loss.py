"""The weight of prompt tokens equals torch's cross-entropy weight; at 0 nothing changes."""

from dataclasses import replace

import pytest

from tuneworthy.models.local import cpu_engine

pytestmark = pytest.mark.full


def opened(tiny, share=True, dtype="float64"):
    from tuneworthy.models.train.loss import open_net

    rows = tiny.rows(tiny.tokenizer(), 6)
    module = tiny.model("llama", 1, dtype).requires_grad_(True)
    return open_net(module, rows[0].ids, share, by_hand=False), rows


def by_torch(module, rows, weight):
    """Return loss and gradient of weighted cross-entropy, each token a class of its own.

    `cross_entropy(weight=…)` weighs classes; a class for each target token of the batch makes them
    weights of tokens.
    """
    import torch

    logits, weights = [], []
    for row in rows:
        out = torch.log_softmax(module(input_ids=torch.tensor([row.ids])).logits[0, :-1], -1)
        targets = torch.tensor(row.ids[1:])
        logits.append(out.gather(1, targets[:, None])[:, 0])
        weights += [1.0 if at >= row.first else weight for at in range(1, len(row.ids))]
    picked = torch.cat(logits)
    # row k has log-probability `picked[k]` for its target, class k, and the rest for one more class
    rest = torch.log1p(-picked.exp().clamp(max=1 - 1e-12))
    n = len(picked)
    table = torch.full((n, n + 1), -1e9, dtype=picked.dtype)
    table = table.index_put((torch.arange(n), torch.arange(n)), picked)
    table = table.index_put((torch.arange(n), torch.full((n,), n)), rest)
    loss = torch.nn.functional.cross_entropy(
        table, torch.arange(n), weight=torch.tensor([*weights, 1.0], dtype=picked.dtype)
    )
    grads = torch.autograd.grad(loss, list(module.parameters()))
    return float(loss.detach()), torch.cat([g.flatten() for g in grads])


def ours(net, rows, budget=120):
    import torch

    from tuneworthy.models.train.loss import backward

    weights = list(net.module.parameters())
    by_row = backward(net, rows, budget, weights)
    grad = torch.cat([w.grad.flatten() for w in weights])
    net.module.zero_grad(set_to_none=True)
    return sum(by_row) / sum(row.total_weight for row in rows), grad


@pytest.mark.parametrize("weight", [0.1, 1.0])
def test_loss_and_gradient_are_those_of_torch_s_weights(tiny, weight):
    net, rows = opened(tiny, share=False)
    weighed = [replace(row, prompt_weight=weight) for row in rows]
    loss, grad = ours(net, weighed)
    truth, slope = by_torch(net.module, rows, weight)
    assert loss == pytest.approx(truth, rel=1e-6)
    assert float((grad - slope).norm() / slope.norm()) < 1e-6
    other, wrong = by_torch(net.module, rows, weight / 2)  # the control: half the weight
    assert loss != pytest.approx(other, rel=1e-3)
    assert float((grad - wrong).norm() / wrong.norm()) > 1e-3


def test_a_weight_of_1_is_plain_language_modelling(tiny):
    import torch

    net, rows = opened(tiny, share=False)
    loss, _ = ours(net, [replace(row, prompt_weight=1.0) for row in rows])
    total = count = 0
    for row in rows:
        ids = torch.tensor([row.ids])
        with torch.no_grad():
            total += float(net.module(input_ids=ids, labels=ids).loss) * (len(row.ids) - 1)
        count += len(row.ids) - 1
    assert loss == pytest.approx(total / count, rel=1e-6)


def test_a_weight_of_0_changes_no_bit(tiny):
    import torch

    net, rows = opened(tiny)
    assert net.shares
    loss, grad = ours(net, rows)
    same, again = ours(net, [replace(row, prompt_weight=0.0) for row in rows])
    assert loss == same
    assert torch.equal(grad, again)
    assert [row.total_weight for row in rows] == [row.trained for row in rows]


def test_rows_with_and_without_a_weight_share_a_batch(tiny):
    """Replayed rows count answers alone, among rows whose prompts count too."""
    import torch

    net, rows = opened(tiny, share=False)
    mixed = [replace(row, prompt_weight=0.2 * (n % 2)) for n, row in enumerate(rows)]
    loss, grad = ours(net, mixed)
    weights = [row.total_weight for row in mixed]
    parts = [ours(net, [row]) for row in mixed]
    assert loss == pytest.approx(
        sum(w * one for w, (one, _) in zip(weights, parts, strict=True)) / sum(weights), rel=1e-6
    )
    total = sum(w * g for w, (_, g) in zip(weights, parts, strict=True)) / sum(weights)
    assert float((grad - total).norm() / total.norm()) < 1e-6
    assert not torch.allclose(grad, parts[0][1])


@pytest.mark.parametrize("how", ["adapter", "full"])
def test_a_run_with_a_weight_says_how_it_was_trained(tiny, engine, tmp_path, how):
    from tuneworthy.models.train.full import FullSettings, fit_full
    from tuneworthy.models.train.loop import TrainingSchedule
    from tuneworthy.models.train.lora import LoraSettings, fit_lora
    from tuneworthy.models.train.training_data import TrainingData

    fit, settings = (fit_lora, LoraSettings) if how == "adapter" else (fit_full, FullSettings)
    pace = TrainingSchedule(epochs=2, batch=4, rate=2e-3)
    lessons = TrainingData(tiny.examples(8), tiny.examples(4, seed=9), lambda folder: 0.5)
    told = {}
    for weight in (0.0, 0.3):
        chosen = settings(pace=pace, prompt_loss=weight)
        told[weight] = fit(engine, lessons, chosen, 0, tmp_path / str(weight)).trace
    plain, weighed = told[0.0], told[0.3]
    assert (plain["shared_prompt"], weighed["shared_prompt"]) == (True, False)
    assert weighed["gradient"] == "autograd"
    fast = how == "adapter" and cpu_engine.enabled()
    assert plain["gradient"] == ("written out" if fast else "autograd")
    assert weighed["steps"][0]["tokens"] > plain["steps"][0]["tokens"], "the sum of the weights"
    first = [t["evaluations"][0]["dev_loss"] for t in (plain, weighed)]
    assert first[0] != first[1], "other weights"
    assert weighed["mask_share"] == plain["mask_share"], "the dev loss and shares speak of answers"
