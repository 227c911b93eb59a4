"""The compiled loops against torch in fp64, in every precision; NaN stays NaN."""

import pytest

pytestmark = pytest.mark.full
# Most relative error: half a unit of bf16's last place (2^-9), some units of fp32's, of fp64's.
KINDS = {"bfloat16": 2**-8, "float32": 1e-6, "float64": 1e-14}


@pytest.fixture(params=sorted(KINDS))
def kind(request):
    import torch

    torch.manual_seed(0)
    return getattr(torch, request.param)


def same(found, truth, kind):
    most = KINDS[str(kind).removeprefix("torch.")]
    assert found.dtype == kind
    return bool(((found.double() - truth).abs() <= most * truth.abs() + most**2).all())


def test_norm_is_that_of_torch(kind):
    import torch

    from tuneworthy_cpu.read.layer_kernels import rms_norm

    x, weight = torch.randn(5, 48).to(kind) * 30, torch.randn(48).to(kind)
    truth = torch.nn.functional.rms_norm(x.double(), (48,), weight.double(), 1e-5)
    assert same(rms_norm(x, (weight, 1e-5))[0], truth, kind)
    assert not same(rms_norm(x, (weight, 1e3))[0], truth, kind)


def test_gate_is_silu_times_up_from_far_below_to_far_above_zero(kind):
    import torch

    from tuneworthy_cpu.read.layer_kernels import gated

    gate = torch.cat([torch.linspace(-79, 300, 200), torch.linspace(-3, 3, 201)]).to(kind)[None]
    up = torch.randn(1, 401).to(kind)
    truth = torch.nn.functional.silu(gate.double()) * up.double()
    assert same(gated(torch.cat([gate, up], 1)), truth, kind)
    assert not same(gated(torch.cat([up, gate], 1)), truth, kind)


def test_heads_turn_by_their_position(kind):
    import torch

    from tuneworthy_cpu.read.layer_kernels import rotate_heads

    whole, angle = torch.randn(2, 3, 7, 8).to(kind), torch.rand(2, 3, 4) * 6
    cos, sin = angle.cos().to(kind), angle.sin().to(kind)
    heads = whole[:, :, :6]  # two groups of two queries, then two keys, and a value behind
    one, two = heads.double().transpose(1, 2).chunk(2, -1)
    c, s = cos.double()[:, None], sin.double()[:, None]
    truth = torch.cat([one * c - two * s, two * c + one * s], -1)
    slack = KINDS[str(kind).removeprefix("torch.")] * 8

    def errors(*angles):
        queries, keys = rotate_heads(whole, 4, 2, angles)
        found = torch.cat([queries.transpose(2, 3).flatten(1, 2), keys], 1)
        return (found.double() - truth).abs() > slack

    assert not errors(cos, sin).any()
    assert errors(cos, -sin).any()


LENGTHS = [5, 40]  # own keys: less than a run of 32, and more


def scores(kind, length, width=None):
    """Return two rows of two heads with two queries for each of three tokens, and a mask.

    Scores of `length` keys, or of more of which those are real, and of a prefix of four; a score
    8 below the best is itself rounded by half of what is allowed in fp32.
    """
    import torch

    own, shared = torch.randn(2, 2, 6, width or length) * 4, torch.randn(2, 2, 6, 4) * 4
    own[..., length:] = float("nan")
    mask = torch.zeros(2, 3, length)
    mask[1, :, 0] = float("-inf")
    return own.to(kind), shared.to(kind), mask.to(kind)


def softmax(own, shared, mask, causal):
    """Return attention weights by torch in fp64; a block's last token alone sees all keys."""
    import torch

    length = mask.shape[2]
    seen = torch.arange(length) <= torch.arange(3)[:, None] + length - 3
    hidden = mask.double().masked_fill(~seen, float("-inf")) if causal else mask.double()
    near = own[..., :length].double() * 0.3 + hidden.repeat_interleave(2, 1)[:, None]
    whole = torch.cat([shared.transpose(0, 1).double() * 0.3, near], -1).softmax(-1)
    past = shared.shape[-1]
    return whole[..., past:], whole[..., :past].transpose(0, 1)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("spare", [0, 3, 40])
@pytest.mark.parametrize("how", ["mask", "pads"])
def test_scores_become_one_softmax_over_the_prefix_and_a_rows_own_keys(kind, length, spare, how):
    import torch

    from tuneworthy_cpu.read.layer_kernels import softmax_scores

    own, shared, mask = scores(kind, length, length + spare)
    near, far = softmax(own, shared, mask, how == "pads")
    hide = mask if how == "mask" else torch.tensor([0, 1])
    softmax_scores(own, shared, hide, (2, 3, length, 0, int(how == "pads")), 0.3)
    assert same(own[..., :length], near, kind)
    assert same(shared, far, kind)
    assert bool((own[1, :, :, 0] == 0).all())  # what is hidden weighs nothing at all
    assert bool((own[..., length:] == 0).all())
    assert bool((own[:, :, :2, length - 2 :] == 0).all()) == (how == "pads")


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("how", ["mask", "pads"])
def test_keys_before_those_of_the_mask_are_seen(kind, length, how):
    import torch

    from tuneworthy_cpu.read.layer_kernels import softmax_scores

    own, shared, mask = scores(kind, length)
    near, far = softmax(own, shared, mask, how == "pads")
    whole = torch.cat([shared.transpose(0, 1), own], -1)
    hide = mask if how == "mask" else torch.tensor([0, 1])
    softmax_scores(whole, None, hide, (2, 3, length + 4, 4, int(how == "pads")), 0.3)
    assert same(whole, torch.cat([far.transpose(0, 1), near], -1), kind)


@pytest.mark.parametrize("length", LENGTHS)
def test_without_a_mask_the_block_alone_says_what_is_seen(kind, length):
    import torch

    from tuneworthy_cpu.read.layer_kernels import softmax_scores

    own, _, mask = scores(kind, length)
    near, _ = softmax(own, own[..., :0], torch.zeros_like(mask), causal=True)
    softmax_scores(own, None, None, (2, 3, length, 0, 1), 0.3)
    assert same(own, near, kind)


def test_padding_sees_itself_alone(kind):
    import torch

    from tuneworthy_cpu.read.layer_kernels import softmax_scores

    own, _, _ = scores(kind, 5)
    softmax_scores(own, None, torch.tensor([0, 4]), (2, 3, 5, 0, 1), 0.3)
    assert (
        own[1, 0].tolist() == [[0, 0, 1, 0, 0]] * 2 + [[0, 0, 0, 1, 0]] * 2 + [[0, 0, 0, 0, 1]] * 2
    )
    assert not own.isnan().any()


def test_queries_may_lie_token_by_token_or_group_by_group(kind):
    import torch

    from tuneworthy_cpu.read.layer_kernels import softmax_scores

    own, _, _ = scores(kind, 5)
    apart = own.view(2, 2, 3, 2, 5).transpose(2, 3).flatten(2, 3).contiguous()
    softmax_scores(own, None, None, (2, 3, 5, 0, 1), 0.3)
    softmax_scores(apart, None, None, (1, 3, 5, 0, 1), 0.3)
    assert torch.equal(own, apart.view(2, 2, 2, 3, 5).transpose(2, 3).flatten(2, 3))


def test_what_is_no_number_stays_none(kind):
    import torch

    from tuneworthy_cpu.read.layer_kernels import gated, rms_norm, softmax_scores

    bad = torch.ones(2, 8).to(kind)
    bad[1, 3] = float("nan")
    assert rms_norm(bad, (torch.ones(8).to(kind), 1e-5))[0][1].isnan().all()
    assert gated(bad)[1].isnan().tolist() == [False, False, False, True]
    own, shared, mask = scores(kind, 5)
    own[1, 1, 2, 4] = float("nan")
    softmax_scores(own, shared, mask, (2, 3, 5, 0, 0), 0.3)
    assert own[1, 1, 2].isnan().all()
    assert not own[0].isnan().any()


def test_without_a_folder_to_keep_them_in_loops_are_compiled_all_the_same(monkeypatch):
    from tuneworthy_cpu import compiled as _compiled

    given, tried = _compiled.njit, []

    def homeless(**how):
        tried.append(how.pop("cache", False))
        if tried[-1]:
            raise RuntimeError("cannot cache function: no locator available")
        return given(**how)

    monkeypatch.setattr(_compiled, "njit", homeless)
    assert _compiled.compiled(lambda x: x + 1)(2) == 3
    assert tried == [True, False]


def test_exponentials_are_exact_to_what_is_written(kind):
    import numpy as np
    import torch

    from tuneworthy_cpu.compiled import as_array, compiled, exp, wide_of

    def powers(like, x, out):
        for n in range(len(x)):
            out[n] = exp(like, x[n])

    x = torch.cat([torch.linspace(-79, 79, 4001), torch.tensor([0.0, -81.0, -1e4, -torch.inf])])
    x = x.to(wide_of(kind)).numpy()
    found = np.empty_like(x)
    compiled(powers)(as_array(torch.empty(1, dtype=kind)), x, found)
    error = np.abs(found[:4002] / np.exp(x[:4002].astype("float64")) - 1).max()
    most = {"bfloat16": 1e-5, "float32": 4e-7, "float64": 1e-15}[str(kind).removeprefix("torch.")]
    assert error < most
    if kind != torch.float64:  # there it is the processor's own: the two may agree to the last bit
        assert error > most / 100  # and no more is spent on it
        assert not found[4002:].any()
