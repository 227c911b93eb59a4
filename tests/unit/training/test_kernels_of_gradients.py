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

    from tuneworthy.training.kernels import gate, gate_back

    (g, g64), (up, up64) = leaf(5, 48, kind=kind, scale=4), leaf(5, 48, kind=kind)
    slope = torch.randn(5, 48).to(kind)
    truth = torch.nn.functional.silu(g64) * up64
    truth.backward(slope.double())
    assert same(gate(g, up, torch.empty_like(g)), truth, kind)
    dg, dup = gate_back(g, up, slope.clone(), torch.empty_like(g))
    assert same(dg, g64.grad, kind)
    assert same(dup, up64.grad, kind)
    assert not same(dg, up64.grad, kind)


@pytest.mark.parametrize("more", [True, False])
def test_gradient_of_a_norm(kind, more):
    import torch

    from tuneworthy.models._kernels import rms_norm
    from tuneworthy.training.kernels import rms_norm_back

    (x, x64), weight = leaf(5, 48, kind=kind, scale=9), torch.randn(48).to(kind)
    slope, add = torch.randn(2, 5, 48).to(kind)
    torch.nn.functional.rms_norm(x64, (48,), weight.double(), 1e-5).backward(slope.double())
    _, factors = rms_norm(x, (weight, 1e-5))
    found = rms_norm_back(slope, x, (weight, factors), add if more else None, torch.empty_like(x))
    assert same(found, x64.grad + add.double() if more else x64.grad, kind)
    assert not same(found, x64.grad if more else x64.grad + add.double(), kind)


def test_turning_and_turning_back(kind):
    import torch

    from tuneworthy.training.kernels import turn, turn_back

    rows, length, kept, group, width, skip = 2, 3, 2, 3, 8, 4
    flat, flat64 = leaf(rows * length, kept * group * width, kind=kind)
    angle = torch.rand(length, width // 2) * 6
    cos, sin = angle.cos().to(kind), angle.sin().to(kind)
    heads = flat64.view(rows, length, kept, group, width).permute(0, 2, 3, 1, 4)
    one, two = heads.chunk(2, -1)
    truth = torch.cat([one * cos - two * sin, two * cos + one * sin], -1)
    out = torch.full((rows, kept, group, skip + length, width), 7.0).to(kind)
    turn(flat, (cos, sin), skip, out)
    assert same(out[:, :, :, skip:], truth, kind)
    assert bool((out[:, :, :, :skip] == 7).all())
    slope = torch.randn_like(out)
    truth.backward(slope[:, :, :, skip:].double())
    back = torch.empty_like(flat)
    turn_back(slope, (cos, sin), skip, back)
    assert same(back, flat64.grad, kind)
    turn_back(slope, (cos, -sin), skip, back)
    assert not same(back, flat64.grad, kind)


def test_rows_of_unlike_length_laid_out_and_back(kind):
    import numpy as np
    import torch

    from tuneworthy.training.kernels import packed, padded

    flat, starts = torch.randn(9, 5).to(kind), np.array([1, 4, 4, 9])
    wide = torch.full((18, 5), 7.0).to(kind)
    padded(flat, starts, wide)
    rows = wide.view(3, 6, 5)
    assert torch.equal(torch.cat([rows[0, :3], rows[2, :5]]), flat[1:])
    assert not rows[0, 3:].any()
    assert not rows[1].any()
    assert not rows[2, 5:].any()
    back = torch.full_like(flat, 7.0)
    packed(wide[6:], starts[1:], back)  # of some rows alone
    assert torch.equal(back[4:], flat[4:])
    assert bool((back[:4] == 7).all())


def test_gradient_of_attention_weights(kind):
    import torch

    from tuneworthy.training.kernels import score_slopes

    scores = (torch.randn(2, 6, 9) * 3).double().requires_grad_()
    weights = (scores * 0.3).softmax(-1)
    slope = torch.randn(2, 6, 9).to(kind)
    weights.backward(slope.double())
    assert same(score_slopes(weights.detach().to(kind), slope.clone(), 0.3), scores.grad, kind)
    assert not same(score_slopes(weights.detach().to(kind), slope, 0.31), scores.grad, kind)


def test_loss_and_gradient_of_an_output_layer(kind):
    import torch

    from tuneworthy.training.kernels import cross_entropy

    logits, wide = leaf(7, 400, kind=kind, scale=5)
    aims = torch.randint(0, 400, (7,))
    nll = torch.nn.functional.cross_entropy(wide, aims, reduction="none")
    (nll.sum() * 0.01).backward()
    found = cross_entropy(logits, aims, 0.01)
    assert found.dtype == (torch.float64 if kind == torch.float64 else torch.float32)
    assert float((found.double() - nll).abs().max() / nll.max()) < 1e-6
    assert same(logits, wide.grad, kind)
