"""Loss and gradients of the training pass (N1, N2, N4, N21), on tiny random models."""

import math

import numpy as np
import pytest

from tuneworthy.models.train.training_data import render
from tuneworthy.records.case import Message
from tuneworthy.records.tokens import parts, shared_length

pytestmark = pytest.mark.full
KINDS = ["llama", "qwen2"]
ENDLESS = 10**9


def opened(tiny, kind="llama", dtype="float64", share=True, seed=0):
    from tuneworthy.models.train.loss import open_net

    rows = tiny.rows(tiny.tokenizer(), 8)
    return open_net(tiny.model(kind, seed, dtype), rows[0].ids, share), rows


def mean_loss(net, rows):
    """Return the mean loss without a gradient, from `losses` alone."""
    import torch

    from tuneworthy.models.train.loss import losses, read_common_prefix

    with torch.no_grad():
        total = float(losses(net, rows, read_common_prefix(net, rows)).total)
    return total / sum(row.trained for row in rows)


def gradient(net, rows, budget=ENDLESS):
    """Return loss and gradient as a step of training takes them."""
    import torch

    from tuneworthy.models.train.loss import backward

    net.module.zero_grad(set_to_none=True)
    net.module.requires_grad_(True)
    loss = sum(backward(net, rows, budget, list(net.module.parameters())))
    grads = [p.grad.clone() for p in net.module.parameters() if p.grad is not None]
    net.module.zero_grad(set_to_none=True)
    net.module.requires_grad_(False)
    return loss / sum(row.trained for row in rows), torch.cat([g.flatten() for g in grads])


def apart(one, other):
    return float((one - other).norm() / other.norm())


def by_numpy(module, rows, masks):
    """Return the mean cross-entropy over the masked tokens: row by row, in float64."""
    import torch

    total, count = 0.0, 0
    for row, mask in zip(rows, masks, strict=True):
        with torch.no_grad():
            logits = module(input_ids=torch.tensor([row.ids])).logits[0].double().numpy()
        for at in range(1, len(row.ids)):
            if mask[at]:
                z = logits[at - 1]
                top = z.max()
                total += top + math.log(np.exp(z - top).sum()) - z[row.ids[at]]
                count += 1
    return total / count


@pytest.mark.parametrize("kind", KINDS)
def test_n1_loss_equals_numpy_cross_entropy_and_the_labels_of_transformers(tiny, kind):
    import torch

    net, rows = opened(tiny, kind, "float32")
    ours = mean_loss(net, rows)
    assert ours == pytest.approx(by_numpy(net.module, rows, [r.mask for r in rows]), rel=1e-6)

    length = max(len(row.ids) for row in rows)
    ids, labels, seen = (torch.full((len(rows), length), k) for k in (0, -100, 0))
    for n, row in enumerate(rows):
        ids[n, : len(row.ids)], seen[n, : len(row.ids)] = torch.tensor(row.ids), 1
        labels[n, row.first : len(row.ids)] = torch.tensor(row.ids[row.first :])
    with torch.no_grad():
        theirs = net.module(input_ids=ids, attention_mask=seen, labels=labels).loss
    assert ours == pytest.approx(float(theirs), rel=1e-6)

    unmasked = by_numpy(net.module, rows, [(True,) * len(row.ids) for row in rows])
    assert abs(ours / unmasked - 1) > 1e-3  # the control: a prompt left in the loss is seen


def exact_norm(self, x):
    """Return RMSNorm in the precision of its input; the library's is always single precision."""
    return self.weight * x * (x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon).rsqrt()


@pytest.mark.parametrize("share", [False, True])
def test_n2_gradients_equal_finite_differences(tiny, share, monkeypatch):
    import torch
    from transformers.models.llama.modeling_llama import LlamaRMSNorm

    monkeypatch.setattr(LlamaRMSNorm, "forward", exact_norm)
    net, rows = opened(tiny, "llama", "float64", share)
    assert net.shares is share
    rows = rows[:4]
    _, grad = gradient(net, rows, budget=120)
    weights = torch.nn.utils.parameters_to_vector(net.module.parameters()).detach().clone()
    picked = torch.randperm(len(weights), generator=torch.Generator().manual_seed(0))
    step, wrong = 1e-5, 0
    short = rows[:-1]
    _, detached = gradient(net, short)  # the control: a row's tokens taken out of the graph
    for at in picked[grad[picked].abs() > 1e-6][:50].tolist():
        found = []
        for sign in (1, -1):
            moved = weights.clone()
            moved[at] += sign * step
            torch.nn.utils.vector_to_parameters(moved, net.module.parameters())
            with torch.no_grad():
                found.append(mean_loss(net, rows))
        slope = (found[0] - found[1]) / (2 * step)
        assert float(grad[at]) == pytest.approx(slope, rel=1e-4, abs=1e-9)
        wrong += float(detached[at]) != pytest.approx(slope, rel=1e-4, abs=1e-9)
    torch.nn.utils.vector_to_parameters(weights, net.module.parameters())
    assert wrong > 40


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("share", [False, True])
def test_n4_parts_of_a_batch_add_up_to_the_batch(tiny, share, threads):
    import torch

    torch.set_num_threads(threads)  # two: parts side by side
    net, rows = opened(tiny, "llama", "float32", share)
    skipped = shared_length(rows) if share else 0
    wide = max(len(row.ids) for row in rows) - skipped
    whole_loss, whole = gradient(net, rows)
    assert len({row.trained for row in rows}) > 3  # ragged
    sizes = set()
    for budget in (1, 2 * wide, 4 * wide):
        sizes.add(len(parts(rows, budget, skipped)))
        loss, grad = gradient(net, rows, budget)
        assert loss == pytest.approx(whole_loss, rel=1e-6)
        assert apart(grad, whole) < 1e-5
        again, same = gradient(net, rows, budget)
        assert loss == again
        assert torch.equal(grad, same)  # whichever lane is first
    assert len(sizes) == 3
    assert max(sizes) == 8
    assert torch.get_num_threads() == threads

    each = [gradient(net, [row]) for row in rows]  # the control: the mean of the rows' means
    assert apart(sum(grad for _, grad in each) / len(rows), whole) > 1e-3
    assert abs(sum(loss for loss, _ in each) / len(rows) / whole_loss - 1) > 1e-3


@pytest.mark.parametrize("share", [False, True])
def test_n6_neither_order_nor_company_nor_the_padding_of_rows_changes_them(tiny, share):
    import torch

    from tuneworthy.models.train.loss import losses, read_common_prefix

    net, rows = opened(tiny, "llama", "float32", share)
    loss, grad = gradient(net, rows)
    backwards, same = gradient(net, rows[::-1])
    assert backwards == pytest.approx(loss, rel=1e-6)
    assert apart(same, grad) < 1e-5

    with torch.no_grad():
        alone = [losses(net, [row], None).by_row[0] for row in rows]
        for size in (2, 4, 8):
            found = []
            for start in range(0, len(rows), size):
                some = rows[start : start + size]
                found += losses(net, some, read_common_prefix(net, some)).by_row
            assert found == pytest.approx(alone, rel=1e-5)

        length = max(len(row.ids) for row in rows)  # padding on the left, as others do it

        def on_the_left(masked):
            out = []
            for row in rows:
                pad = length - len(row.ids)
                ids = torch.tensor([[0] * pad + list(row.ids)])
                seen = torch.tensor([[0] * pad + [1] * len(row.ids)])
                at = (torch.arange(length) - (pad if masked else 0)).clamp(min=0)[None]
                if not masked:
                    seen = torch.ones_like(seen)
                logits = net.module(input_ids=ids, attention_mask=seen, position_ids=at).logits
                nll = torch.log_softmax(logits[0, :-1].double(), -1)
                picked = nll.gather(1, ids[0, 1:, None])[:, 0]
                out.append(-float(picked[-row.trained :].sum()))
            return out

        assert on_the_left(True) == pytest.approx(alone, rel=1e-4)
        assert on_the_left(False) != pytest.approx(alone, rel=1e-4)  # the control: pads are read


@pytest.mark.parametrize("kind", KINDS)
def test_n21_a_shared_prompt_gives_the_loss_and_gradient_of_the_plain_batch(tiny, kind):
    net, rows = opened(tiny, kind, "float32")
    plain, _ = opened(tiny, kind, "float32", share=False)
    assert net.shares
    assert not plain.shares
    assert shared_length(rows) > 20
    loss, grad = gradient(net, rows)
    plain_loss, plain_grad = gradient(plain, rows)
    assert loss == pytest.approx(plain_loss, rel=1e-6)
    assert apart(grad, plain_grad) < 1e-5


def test_n21_a_prompt_whose_gradient_is_dropped_is_seen(tiny):
    import torch

    from tuneworthy.models.train.loss import losses, read_common_prefix

    net, rows = opened(tiny, "llama", "float32")
    _, right = gradient(net, rows)
    net.module.requires_grad_(True)
    trunk = read_common_prefix(net, rows)
    (losses(net, rows, trunk).total / sum(r.trained for r in rows)).backward()  # no trunk.backward
    wrong = torch.cat([p.grad.flatten() for p in net.module.parameters()])
    assert apart(wrong, right) > 1e-3


@pytest.mark.parametrize("share", [False, True])
def test_n21_changing_one_answer_leaves_the_logits_of_the_others(tiny, share):
    import torch

    from tuneworthy.models.train.loss import answer_logits, read_common_prefix

    net, rows = opened(tiny, "llama", "float32", share)
    other = render(
        tiny.tokenizer(),
        tiny.examples(8)[0].messages,
        "refund refund refund",
    )
    with torch.no_grad():
        before = answer_logits(net, rows, read_common_prefix(net, rows))[rows[0].trained :]
        changed = [other, *rows[1:]]
        after = answer_logits(net, changed, read_common_prefix(net, changed))[other.trained :]
        assert (before - after).abs().max() < 1e-5

        # The control: rows laid end to end without a border see each other.
        def packed(first):
            ids = torch.tensor([[*first.ids, *rows[1].ids]])
            return net.module(input_ids=ids).logits[0, len(first.ids) + rows[1].first - 1]

        assert (packed(rows[0]) - packed(other)).abs().max() > 1e-3


def test_a_model_that_caps_its_logits_is_not_taken_apart(tiny):
    """Body + head is a short cut only where it gives the model's own logits."""
    import torch

    from tuneworthy.models.train.loss import open_net

    net, rows = opened(tiny, "llama", "float32")
    assert net.head is not None

    class Capped(type(net.module)):
        def forward(self, *args, **kwargs):
            out = super().forward(*args, **kwargs)
            out.logits = torch.tanh(out.logits / 2) * 2
            return out

    module = net.module
    module.__class__ = Capped
    capped = open_net(module, rows[0].ids)
    assert capped.head is None
    capped.module.to(torch.bfloat16)
    assert open_net(module, rows[0].ids).head is None  # nor where everything is rounded
    capped.module.to(torch.float32)
    masks = [row.mask for row in rows]
    assert mean_loss(capped, rows) == pytest.approx(by_numpy(module, rows, masks), rel=1e-6)


def test_layers_with_a_window_do_not_share(tiny):
    from tuneworthy.models.train.loss import open_net

    rows = tiny.rows(tiny.tokenizer(), 8)
    windowed = tiny.model("qwen2", use_sliding_window=True, sliding_window=16, max_window_layers=1)
    net = open_net(windowed, rows[0].ids)
    assert not net.shares
    masks = [row.mask for row in rows]
    assert mean_loss(net, rows) == pytest.approx(by_numpy(windowed, rows, masks), rel=1e-6)


def test_dev_loss_and_probability_of_the_end(tiny):
    import torch

    from tuneworthy.models.train.loss import evaluate

    net, rows = opened(tiny, "llama", "float32")
    loss, end = evaluate(net, rows, 200)
    assert loss == pytest.approx(mean_loss(net, rows), rel=1e-6)
    found = []
    for row in rows:
        with torch.no_grad():
            logits = net.module(input_ids=torch.tensor([row.ids])).logits[0, -2].double()
        found.append(float(torch.softmax(logits, 0)[row.ids[-1]]))
    assert end == pytest.approx(sum(found) / len(found), rel=1e-5)
    assert evaluate(net, [], 200) is None


def test_a_turn_longer_than_any_other_keeps_its_own_system_prompt(tiny):
    tokenizer = tiny.tokenizer()
    one = render(tokenizer, [Message(role="user", content="a quick fox")], "yes")
    other = render(tokenizer, [Message(role="system", content="Other.")], "no")
    assert shared_length([one, other]) == 0
