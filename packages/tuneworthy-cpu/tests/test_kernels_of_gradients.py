"""The compiled loops of a gradient against autograd in fp64, in every precision."""

import pytest

pytestmark = pytest.mark.full
# Most error of a whole result, relative to its norm.
KINDS = {"bfloat16": 4e-3, "float32": 1e-6, "float64": 1e-13}


@pytest.fixture(params=sorted(KINDS))
def kind(request):
    import torch

    torch.manual_seed(0)
    return getattr(torch, request.param)


def same(found, truth, kind):
    most = KINDS[str(kind).removeprefix("torch.")]
    return float((found.double() - truth).norm() / truth.norm()) < most


def leaf(*shape, kind, scale=1.0):
    """Return a tensor and its fp64 twin, which takes a gradient."""
    import torch

    given = (torch.randn(*shape) * scale).to(kind)
    return given, given.double().clone().requires_grad_()


def test_gate_and_its_gradients(kind):
    import torch

    from tuneworthy_cpu.train.gradient_kernels import gate, gate_backward

    (g, g64), (up, up64) = leaf(5, 48, kind=kind, scale=4), leaf(5, 48, kind=kind)
    slope = torch.randn(5, 48).to(kind)
    truth = torch.nn.functional.silu(g64) * up64
    truth.backward(slope.double())
    assert same(gate(g, up, torch.empty_like(g)), truth, kind)
    dg, dup = gate_backward(g, up, slope.clone(), torch.empty_like(g))
    assert same(dg, g64.grad, kind)
    assert same(dup, up64.grad, kind)
    assert not same(dg, up64.grad, kind)


@pytest.mark.parametrize("more", [True, False])
def test_gradient_of_a_norm(kind, more):
    import torch

    from tuneworthy_cpu.read.layer_kernels import rms_norm
    from tuneworthy_cpu.train.gradient_kernels import rms_norm_backward

    (x, x64), weight = leaf(5, 48, kind=kind, scale=9), torch.randn(48).to(kind)
    slope, add = torch.randn(2, 5, 48).to(kind)
    torch.nn.functional.rms_norm(x64, (48,), weight.double(), 1e-5).backward(slope.double())
    _, factors = rms_norm(x, (weight, 1e-5))
    found = rms_norm_backward(
        slope, x, (weight, factors), add if more else None, torch.empty_like(x)
    )
    assert same(found, x64.grad + add.double() if more else x64.grad, kind)
    assert not same(found, x64.grad if more else x64.grad + add.double(), kind)


def test_heads_turned_and_turned_back(kind):
    import numpy as np
    import torch

    from tuneworthy_cpu.train.gradient_kernels import gather, scatter

    rows, length, kept, group, width, past = 2, 3, 2, 3, 8, 4
    flat, flat64 = leaf(rows * length, kept * group * width, kind=kind)
    place = np.array([0, 3, 6]), 0
    angle = torch.rand(length, width // 2) * 6
    cos, sin = angle.cos().to(kind), angle.sin().to(kind)
    heads = flat64.view(rows, length, kept, group, width).permute(0, 2, 3, 1, 4)
    one, two = heads.chunk(2, -1)
    truth = torch.cat([one * cos - two * sin, two * cos + one * sin], -1)
    before = torch.randn(1, kept, past, width).to(kind)
    out = torch.full((rows, kept, group, past + length, width), 7.0).to(kind)
    gather(flat, place, before, (cos, sin), out)
    assert same(out[:, :, :, past:], truth, kind)
    assert torch.equal(out[:, :, :, :past], before[:, :, None].expand_as(out[:, :, :, :past]))
    slope = torch.randn_like(out)
    truth.backward(slope[:, :, :, past:].double())
    back = torch.empty_like(flat)
    scatter(slope, place, past, (cos, sin), back)
    assert same(back, flat64.grad, kind)
    scatter(slope, place, past, (cos, -sin), back)
    assert not same(back, flat64.grad, kind)


def test_rows_of_unlike_length_laid_out_and_back(kind):
    import numpy as np
    import torch

    from tuneworthy_cpu.train.gradient_kernels import gather, scatter

    kept, group, width, starts = 2, 3, 4, np.array([1, 4, 4, 9])
    flat = torch.randn(9, kept * group * width).to(kind)
    heads = flat.view(9, kept, group, width).permute(1, 2, 0, 3)
    rows = torch.full((3, kept, group, 6, width), 7.0).to(kind)
    gather(flat, (starts, 0), None, None, rows)
    assert torch.equal(rows[0, :, :, :3], heads[:, :, 1:4])
    assert torch.equal(rows[2, :, :, :5], heads[:, :, 4:])
    assert not rows[0, :, :, 3:].any()
    assert not rows[1].any()
    assert not rows[2, :, :, 5:].any()
    some = torch.empty(1, 1, group, 6, width).to(kind)  # the second kept head of the last row
    gather(flat, (starts[2:], 1), None, None, some)
    assert torch.equal(some, rows[2:, 1:])
    back = torch.full_like(flat, 7.0)
    scatter(rows[2:], (starts[2:], 0), 0, None, back)
    assert torch.equal(back[4:], flat[4:])
    assert bool((back[:4] == 7).all())
    scatter(some, (starts[2:], 0), 0, None, back)  # the control: of another head
    assert not torch.equal(back[4:], flat[4:])


def test_what_rows_send_to_the_prompt_is_added_up_and_rounded_once(kind):
    import torch

    from tuneworthy_cpu.train.gradient_kernels import add_row_sums

    own, more = torch.randn(1, 1, 5, 4).to(kind), torch.randn(7, 3, 9, 4).to(kind)
    truth = own.double()[0] + more.double()[:, 1:2, :5].sum(0)
    found = own.clone()
    add_row_sums(more, 1, found)
    assert same(found[0], truth, kind)
    add_row_sums(more, 2, own)
    assert not same(own[0], truth, kind)


def test_gradient_of_attention_weights(kind):
    import torch

    from tuneworthy_cpu.train.gradient_kernels import softmax_backward

    scores = (torch.randn(2, 6, 9) * 3).double().requires_grad_()
    weights = (scores * 0.3).softmax(-1)
    slope = torch.randn(2, 6, 9).to(kind)
    weights.backward(slope.double())
    assert same(softmax_backward(weights.detach().to(kind), slope.clone(), 0.3), scores.grad, kind)
    assert not same(softmax_backward(weights.detach().to(kind), slope, 0.31), scores.grad, kind)


def test_loss_and_gradient_of_an_output_layer(kind):
    import torch

    from tuneworthy_cpu.train.gradient_kernels import cross_entropy

    logits, wide = leaf(7, 400, kind=kind, scale=5)
    aims = torch.randint(0, 400, (7,))
    nll = torch.nn.functional.cross_entropy(wide, aims, reduction="none")
    (nll.sum() * 0.01).backward()
    found = cross_entropy(logits, aims, 0.01)
    assert found.dtype == (torch.float64 if kind == torch.float64 else torch.float32)
    assert float((found.double() - nll).abs().max() / nll.max()) < 1e-6
    assert same(logits, wide.grad, kind)
