"""The CPU engine's decoder: it gives the logits of the model, or is not used."""

from dataclasses import replace

import pytest
from models_kit import EMBEDDED, build

pytestmark = pytest.mark.full
PROMPT = [3 + (7 * k) % 60 for k in range(90)]  # more than are read at once


@pytest.fixture(scope="module", params=["llama", "qwen2", "qwen3"])
def opened(request, tmp_path_factory):
    from tuneworthy.models.hf import load

    return load(build(request.param, tmp_path_factory.mktemp("m")), "hf:tiny", "float32").net


@pytest.fixture(params=[False, True], ids=["calls", "steps"])
def net(request, opened):
    """Steps of many rows as calls of torch, and as one loop: as they are in bf16 where it pays."""
    return replace(opened, decoder=replace(opened.decoder, steps=request.param))


def far(one, other):
    return float((one - other).abs().max() / other.abs().max())


def all_logits(net, room=6):
    """Return the logits after ragged rows behind a prefix, of steps, of a tree, of a row alone."""
    import torch

    from tuneworthy.models.local.forward import begin, read_prefix, step, tree

    rows = [PROMPT[12:], PROMPT[15:], PROMPT[14:20]]
    found = []
    with torch.inference_mode():
        for prefix in (read_prefix(net, PROMPT[:12]), None):
            first, state = begin(net, rows, prefix, room)
            found += [first, step(net, state, [5, 6, 7])]
            state.keep([0, 2])
            found.append(step(net, state, [8, 9]))
            tokens, depth = torch.tensor([[4, 5, 6]] * 2), torch.tensor([[0, 1, 1]] * 2)
            seen = torch.tensor([[[1, 0, 0], [1, 1, 0], [1, 0, 1]]] * 2).bool()
            found.append(tree(net, state, tokens, depth, seen).flatten(0, 1))
            state.keep([1])  # a padded row
            found += [step(net, state, [token]) for token in range(10, 8 + room)]
    return found


def test_logits_equal_those_of_transformers_layers(net):
    assert net.decoder is not None
    for ours, theirs in zip(all_logits(net), all_logits(replace(net, decoder=None)), strict=True):
        assert far(ours, theirs) < 1e-5


@pytest.mark.parametrize("adapted", [False, True])
def test_rows_and_columns_shared_out_over_threads_change_no_bit(opened, adapted, monkeypatch):
    import torch

    from tuneworthy.models.local.forward import begin, read_prefix, step
    from tuneworthy_cpu.read import decode_step as _steps

    net = replace(opened, decoder=replace(opened.decoder, steps=True))
    if adapted:
        draw = torch.Generator().manual_seed(0)
        names = [n for n, _ in net.module.named_modules() if n.endswith(("k_proj", "down_proj"))]
        sizes = [net.module.get_submodule(name).weight.shape for name in names]
        pairs = [
            (torch.randn(4, size[1], generator=draw), torch.randn(size[0], 4, generator=draw), 0.1)
            for size in sizes
        ]
        net = replace(net, decoder=net.decoder.adapted(dict(zip(names, pairs, strict=True))))
    found, right = {}, _steps.decode_step

    def watched(x, *given):
        logits = right(x, *given)
        found[torch.get_num_threads()].append(x.clone())
        return logits

    monkeypatch.setattr(_steps, "decode_step", watched)
    before = torch.get_num_threads()
    with torch.inference_mode():
        for threads in (1, 2, 3):
            found[threads] = []
            torch.set_num_threads(1)
            prefix = read_prefix(net, PROMPT[:12])
            for rows in (
                [PROMPT[k : k + 20] for k in range(7)],
                [PROMPT[9:30], PROMPT[:7]],
                [PROMPT],
            ):
                _, state = begin(net, rows, prefix, 6)
                torch.set_num_threads(threads)
                for token in (5, 6):
                    step(net, state, [token] * len(rows))
                torch.set_num_threads(1)
    torch.set_num_threads(before)
    assert len(found[1]) == 6
    for shared in (found[2], found[3]):
        assert all(torch.equal(a, b) for a, b in zip(shared, found[1], strict=True))


def test_a_few_rows_at_a_time_change_nothing(net, monkeypatch):
    from tuneworthy_cpu.read import decoder as _decoder

    whole = all_logits(net)
    monkeypatch.setattr(_decoder, "_MOST_SCORE_BYTES", 1)
    assert all(far(a, b) < 1e-5 for a, b in zip(all_logits(net), whole, strict=True))


def test_long_rows_are_read_with_a_copy_of_the_prefix_before_their_own_keys(opened, monkeypatch):
    from tuneworthy_cpu.read import decoder as _decoder
    from tuneworthy_cpu.read import layer_kernels as _kernels

    def hiding(own, shared, hide, place, scale):
        own[..., : place[3]] = -1e9
        weigh(own, shared, hide, place, scale)

    whole, weigh = all_logits(opened), _kernels.softmax_scores
    monkeypatch.setattr(_decoder, "_MOST_SCORE_BYTES", 1)
    monkeypatch.setattr(_kernels, "softmax_scores", hiding)
    hidden = all_logits(opened)  # the control: the copy is what these rows see of the prefix
    assert far(hidden[0], whole[0]) > 1e-3
    half = len(whole) // 2
    assert far(hidden[half], whole[half]) < 1e-5  # no prefix, nothing to copy


@pytest.mark.parametrize("fault", ["padding", "prefix", "position"])
def test_a_row_alone_sees_what_it_saw_among_others(net, monkeypatch, fault):
    """The control: a change in any argument of a single row's step changes the logits."""
    from tuneworthy_cpu.read import decode_step as _steps

    whole, right = all_logits(net), _steps.decode_step

    def wrong(x, layers, angles, cache, place):
        prefix, hidden = place
        if fault == "padding":
            hidden = 0 * hidden
        if fault == "position":
            angles = angles[0], -angles[1]
        return right(x, layers, angles, cache, (None if fault == "prefix" else prefix, hidden))

    monkeypatch.setattr(_steps, "decode_step", wrong)
    found, half = all_logits(net), len(whole) // 2
    stepped = {1, 2, 3} if net.decoder.steps else set()  # the tree looks at what steps wrote
    for number, (a, b) in enumerate(zip(found[:4], whole[:4], strict=True)):
        assert (far(a, b) > 1e-3) == (number in stepped)
    assert far(found[4], whole[4]) > 1e-3
    assert (far(found[half + 4], whole[half + 4]) > 1e-3) == (fault != "prefix")


@pytest.mark.parametrize("fault", ["padding", "prefix", "filled"])
def test_rows_read_as_one_loop_see_what_they_may(opened, monkeypatch, fault):
    """The control: a change in any argument of prefill attention changes the logits."""
    from tuneworthy_cpu.read import prefill_attention as _reading

    net = replace(opened, decoder=replace(opened.decoder, steps=True))
    whole, right = all_logits(net), _reading.attention_output

    def wrong(q, own, before, hide, how):
        if fault == "padding":
            hide = 0 * hide
        if fault == "prefix":
            before = before[0] * 0, before[1] * 0
        if fault == "filled":
            how = how[0] - 1, how[1]
        return right(q, own, before, hide, how)

    monkeypatch.setattr(_reading, "attention_output", wrong)
    assert far(all_logits(net)[0], whole[0]) > 1e-3


@pytest.fixture
def runs(monkeypatch):
    """Every row of `all_logits` is read by itself, the longest first and not."""
    from tuneworthy.models.local import forward as _forward
    from tuneworthy.records import tokens as _runs

    monkeypatch.setattr(
        _forward,
        "similar_length_groups",
        lambda lengths, *how: _runs.similar_length_groups(lengths, 1, 0.0),
    )


def test_rows_read_in_runs_of_like_length_give_the_same_logits(net, monkeypatch, runs):
    from tuneworthy.models.local import forward as _forward

    apart = all_logits(net)
    monkeypatch.setattr(
        _forward, "similar_length_groups", lambda lengths, *how: [range(len(lengths))]
    )
    assert all(far(a, b) < 1e-5 for a, b in zip(apart, all_logits(net), strict=True))


@pytest.mark.parametrize("zeroed", [True, False])
def test_memory_that_was_never_written_reaches_no_logit(net, monkeypatch, runs, zeroed):
    import torch

    from tuneworthy.models.local import prefix_attention as _attention

    if not zeroed:  # the control: without it what lay there before does
        monkeypatch.setattr(torch.Tensor, "zero_", lambda self: self)
    spaces = _attention.LayerCache._empty_buffers
    monkeypatch.setattr(_attention.LayerCache, "_empty_buffers", lambda self, like, length: tuple(
        memory.fill_(float("nan")) for memory in spaces(self, like, length)))  # fmt: skip
    assert all(found.isfinite().all() for found in all_logits(net)) is zeroed


@pytest.mark.parametrize("only", ["", "layers.2."])  # the first layer has none of the second
def test_an_adapter_on_some_layers_is_added_as_the_hooks_add_it(net, only):
    import torch

    from tuneworthy.models.local.adapter_hooks import Adapter
    from tuneworthy_cpu.read.decode_step import _scratch_arrays

    layers = dict(net.module.named_modules())
    draw = torch.Generator().manual_seed(0)
    changes = {}
    for name, rank in (("q_proj", 3), ("v_proj", 4), ("down_proj", 2), ("up_proj", 5)):
        for full in [n for n in layers if n.endswith(name) and only in n]:
            out, into = layers[full].weight.shape
            a, b = (torch.randn(*s, generator=draw) * 0.1 for s in ((rank, into), (out, rank)))
            changes[full] = (a, b, 1.5)
    assert changes
    tuned = replace(net, decoder=net.decoder.adapted(changes))
    x = torch.zeros(2, net.module.config.hidden_size, dtype=net.module.dtype)
    shared, _ = _scratch_arrays(tuned.decoder.addresses, x, (1, 8, 4, 4), 1)
    assert shared[3].shape[1] >= 7, "room for the changes of queries and values in any layer"
    plain = all_logits(net)
    with Adapter(changes, "x").applied(net.module):
        theirs = all_logits(replace(net, decoder=None))
    for ours, hooked, base in zip(all_logits(tuned), theirs, plain, strict=True):
        assert far(ours, hooked) < 1e-5
        assert far(ours, base) > 1e-3  # the control: the adapter changes something
    assert all(far(a, b) == 0 for a, b in zip(all_logits(net), plain, strict=True))


@pytest.mark.parametrize("fault", ["mask", "turn", "norm", "step"])
def test_a_wrong_layer_is_seen_and_not_taken(net, monkeypatch, fault):
    from tuneworthy.models.local.forward import open_net
    from tuneworthy_cpu.read import decode_step as _steps
    from tuneworthy_cpu.read import decoder as _decoder
    from tuneworthy_cpu.read import layer_kernels as _kernels

    assert open_net(net.module).decoder is not None
    if fault == "mask":
        right = _kernels.softmax_scores
        monkeypatch.setattr(
            _kernels,
            "softmax_scores",
            lambda own, shared, hide, place, scale: right(
                own, shared, None, (*place[:4], 0), scale
            ),
        )
    if fault == "turn":
        turned = _decoder.Decoder._rotated_heads
        monkeypatch.setattr(
            _decoder.Decoder,
            "_rotated_heads",
            lambda self, heads, layer, turn: turned(self, heads, layer, (turn[0], -turn[1])),
        )
    if fault == "norm":
        monkeypatch.setattr(_decoder, "_apply_norm", lambda x, norm: x * norm[0])
    if fault == "step":
        monkeypatch.setattr(_steps, "decode_step", lambda *given: None)
    found = open_net(net.module)
    assert found.decoder is None
    assert found.shares  # transformers' own way goes on


@pytest.mark.long
@pytest.mark.skipif(EMBEDDED is None, reason="the embedded model is not here")
def test_in_bf16_it_is_as_near_fp32_as_transformers_layers_are():
    import torch

    from tuneworthy.models.hf import load
    from tuneworthy_cpu.gemm.products import own_gemm_available

    truth = all_logits(load(EMBEDDED, "hf:embedded", "float32").net)
    net = load(EMBEDDED, "hf:embedded", "bfloat16").net
    assert net.decoder is not None
    packs = torch.ops.mkldnn._is_mkldnn_bf16_supported() and not own_gemm_available()
    assert (net.decoder.head.packed is not None) == packs
    assert net.decoder.steps == own_gemm_available()

    def error(found):
        pairs = [(f.double(), t.double()) for f, t in zip(found, truth, strict=True)]
        return float(torch.cat([(f - t).std(-1) / t.std(-1) for f, t in pairs]).median())

    ours, theirs = error(all_logits(net)), error(all_logits(replace(net, decoder=None)))
    assert ours < 1.25 * theirs
    assert ours < 0.06
