"""The hand-written gradient against autograd: families, prefixes, blocks, parts, faults."""

from dataclasses import replace
from itertools import zip_longest

import numpy as np
import pytest

pytestmark = pytest.mark.full
KINDS = ["llama", "qwen2", "qwen3"]
ENDLESS = 10**9


def opened(tiny, kind="llama", dtype="float64", share=True, *, whole=False):
    """Return a net with a changed adapter and a hand-written gradient, and rows.

    `whole`: sizes are those of whole blocks of products.
    """
    import torch

    from tuneworthy.models.train.loss import open_net
    from tuneworthy.models.train.twin import LoraShape, lora_twin

    rows = tiny.rows(tiny.tokenizer(), 8)
    shape = {"hidden_size": 64, "intermediate_size": 96, "initializer_range": 0.1} if whole else {}
    rank, spread = (16, 0.05) if whole else (4, 0.3)
    model = tiny.model(kind, 0, dtype, **shape)
    module = lora_twin(model, LoraShape(rank=rank, alpha=3 * rank), 0).base_model.model
    net = open_net(module, rows[0].ids, share)
    source = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, weight in module.named_parameters():
            if "lora_B" in name:
                assert not weight.any()  # the probe leaves a fresh adapter as it was
                weight.normal_(0, spread, generator=source)
    return net, rows


def gradient(net, rows, budget=ENDLESS, *, anew=True):
    """Return losses and the flat gradient; `anew`: recorded steps are dropped first."""
    import torch

    from tuneworthy.models.train.loss import backward

    if anew:
        net.free_step_memory()
    weights = [p for p in net.module.parameters() if p.requires_grad]
    for weight in weights:
        weight.grad = None
    by_row = backward(net, rows, budget, weights)
    return by_row, torch.cat([p.grad.flatten() for p in weights])


def apart(one, other):
    return float((one - other).norm() / other.norm())


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_n21_loss_and_gradient_equal_those_of_autograd(tiny, kind, share):
    net, rows = opened(tiny, kind, share=share)
    assert net.trainer is not None
    assert net.trainer.shares == share
    losses, slopes = gradient(net, rows)
    truth, slopes_of_autograd = gradient(replace(net, trainer=None, shares=False), rows)
    assert losses == pytest.approx(truth, rel=1e-6)  # its norms and turns are fp32 even in fp64
    assert apart(slopes, slopes_of_autograd) < 1e-5


@pytest.mark.parametrize(
    ("kind", "whole"), [("llama", False), ("llama", True), ("qwen2", True), ("qwen3", True)]
)
def test_narrow_precisions_are_as_near_the_truth_as_autograd_is(tiny, kind, whole):
    import torch

    from tuneworthy_cpu.gemm.products import own_gemm_available

    net, rows = opened(tiny, kind, whole=whole)
    state, (_, truth) = net.module.state_dict(), gradient(net, rows)
    for dtype, most in (("float32", 1e-5), ("bfloat16", 0.1)):
        net, _ = opened(tiny, kind, dtype, whole=whole)
        net.module.load_state_dict(state)
        assert net.trainer is not None
        assert net.trainer.plain == (own_gemm_available() and dtype == "bfloat16" and whole)
        _, slopes = gradient(net, rows)
        _, theirs = gradient(replace(net, trainer=None), rows)
        assert slopes.dtype == torch.float32  # adapters and their gradient stay wide
        assert apart(slopes.double(), truth) < max(most, 1.5 * apart(theirs.double(), truth))
        assert apart(slopes.double(), truth) < 2 * most


def test_many_tokens_are_multiplied_by_torch_and_that_changes_little(tiny, monkeypatch):
    from tuneworthy_cpu.gemm.products import own_gemm_available
    from tuneworthy_cpu.gemm.thread_pool import ThreadPool
    from tuneworthy_cpu.train import layer_stack as stack
    from tuneworthy_cpu.train import pooled_linears as plain

    if not own_gemm_available():
        pytest.skip("this processor has no AVX512 bf16, or a matrix unit")
    net, rows = opened(tiny, dtype="bfloat16", whole=True)
    entered, enter = [], ThreadPool.__enter__
    monkeypatch.setattr(ThreadPool, "__enter__", lambda team: entered.append(1) or enter(team))
    few = gradient(net, rows)[1].double()
    assert entered
    entered.clear()
    for place in (plain, stack):
        monkeypatch.setattr(place, "FEW_TOKENS", 3)
    assert apart(gradient(net, rows)[1].double(), few) < 0.03
    assert not entered


@pytest.mark.parametrize("kept", [1, 512])
def test_blocks_of_queries_and_weights_computed_again_change_nothing(tiny, monkeypatch, kept):
    from tuneworthy_cpu.train import attention_gradient as attention

    net, rows = opened(tiny)
    losses, slopes = gradient(net, rows)
    monkeypatch.setattr(attention, "_BLOCK_QUERIES", 5)
    monkeypatch.setattr(attention, "_MOST_STORED_KEYS", kept)
    again, blocked = gradient(net, rows)
    assert again == pytest.approx(losses, rel=1e-12)
    assert apart(blocked, slopes) < 1e-12


@pytest.mark.parametrize("kind", ["llama", "qwen3"])
@pytest.mark.parametrize("share", [True, False])
def test_padding_read_or_left_out_changes_nothing(tiny, monkeypatch, kind, share):
    from tuneworthy_cpu.train import gradient_kernels as kernels
    from tuneworthy_cpu.train import layer_stack as stack

    laid = kernels._gather

    def longer(flat, starts, before, *given):
        laid(flat, starts, before, *given)
        for row, count in zip(given[-1], np.diff(starts) + before.shape[2], strict=True):
            row[:, :, count:] = row[:, :, count - 1 : count]  # the last token again as padding

    net, rows = opened(tiny, kind, share=share)
    found = {}
    for most in (0.0, 1.0):  # leave all padding out; read all of it
        monkeypatch.setattr(stack, "_MOST_PADDING_SHARE", most)
        found[most] = gradient(net, rows)
    assert found[0.0][0] == pytest.approx(found[1.0][0], rel=1e-12)
    assert apart(found[0.0][1], found[1.0][1]) < 1e-12
    monkeypatch.setattr(kernels, "_gather", longer)  # the control: a gradient from padding
    monkeypatch.setattr(stack, "_MOST_PADDING_SHARE", 0.0)
    assert apart(gradient(net, rows)[1], found[0.0][1]) > 1e-3


@pytest.mark.parametrize("most", [0.0, 1.0])
def test_lengths_are_rounded_and_that_changes_nothing(tiny, monkeypatch, most):
    from tuneworthy_cpu.train import layer_stack as stack

    net, rows = opened(tiny)
    monkeypatch.setattr(stack, "_MOST_PADDING_SHARE", most)
    found, read, forward = {}, {}, stack.Stack.forward

    def counted(self, ids, tape):
        out = forward(self, ids, tape)
        read[stack.ROUND] = tape.tokens, tape.spans[-1].length
        return out

    monkeypatch.setattr(stack.Stack, "forward", counted)
    for size in (1, 8):
        monkeypatch.setattr(stack, "ROUND", size)
        found[size] = gradient(net, rows)
    assert found[8][0] == pytest.approx(found[1][0], rel=1e-12)
    assert apart(found[8][1], found[1][1]) < 1e-12
    assert read[1] != read[8]
    assert read[8][1] % 8 == 0
    assert most or read[8][0] % 16 == 0


@pytest.mark.parametrize("threads", [1, 2])
def test_n4_parts_and_used_memory_change_nothing(tiny, threads):
    import torch

    torch.set_num_threads(threads)
    net, rows = opened(tiny)
    losses, slopes = gradient(net, rows)
    for budget in (1, 60, ENDLESS, 60):
        again, parted = gradient(net, rows, budget, anew=False)
        assert again == pytest.approx(losses, rel=1e-12)
        assert apart(parted, slopes) < 1e-12
    assert torch.equal(gradient(net, rows, 60, anew=False)[1], parted)
    torch.set_num_threads(1)


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("padded", [0.0, 1.0])
@pytest.mark.parametrize(("block", "kept"), [(128, 512), (5, 1)])
def test_lists_of_calls_made_at_once_change_nothing(tiny, monkeypatch, share, padded, block, kept):
    """Calls of the lists alternate, as threads may make them: no list may use another's memory."""
    from tuneworthy_cpu.train import attention_gradient as attention
    from tuneworthy_cpu.train import layer_stack as stack

    monkeypatch.setattr(stack, "_MOST_PADDING_SHARE", padded)
    net, rows = opened(tiny, share=share)
    losses, slopes = gradient(net, rows)
    monkeypatch.setattr(attention, "_BLOCK_QUERIES", block)
    monkeypatch.setattr(attention, "_MOST_STORED_KEYS", kept)
    hand, products = net.trainer.stack, [0, 0, 0]
    monkeypatch.setattr(hand, "parallel_lists", lambda tokens: 3)
    for turn in (1, -1):
        monkeypatch.setattr(
            hand.pool, "share", lambda lists, turn=turn: in_turn(lists[::turn], products)
        )
        again, shared = gradient(net, rows)
        assert again == pytest.approx(losses, rel=1e-12)
        assert apart(shared, slopes) < 1e-12
    assert min(products) > 0  # each has its part of attention
    monkeypatch.setattr(
        stack.RecordedStep, "split", crowded(stack.RecordedStep.split)
    )  # the control
    assert apart(gradient(net, rows)[1], slopes) > 1e-3


def in_turn(lists, products):
    """Make one call of each list, then the next of each; count matrix products by list."""
    import torch

    for turn in zip_longest(*lists):
        for n, call in enumerate(turn):
            if call is not None:
                products[n] += call.func is torch.bmm
                call()


def crowded(right):
    """Return a `split` whose recorders all use the same brief memory."""

    def split(step, count):
        start = step.brief.at
        for n, (recorder, part) in enumerate(right(step, count)):
            recorder.brief = step.brief
            if n:
                step.brief.at = start
            yield recorder, part

    return split


def test_a_team_of_two_finds_what_one_thread_finds(tiny, monkeypatch):
    import torch

    from tuneworthy_cpu.gemm.products import own_gemm_available
    from tuneworthy_cpu.gemm.thread_pool import ThreadPool

    if not own_gemm_available():
        pytest.skip("this processor has no AVX512 bf16, or a matrix unit")
    net, rows = opened(tiny, dtype="bfloat16", whole=True)
    losses, slopes = gradient(net, rows)
    asked, share = [], ThreadPool.share
    monkeypatch.setattr(
        ThreadPool,
        "share",
        lambda team, lists: asked.append(len(team.helpers)) or share(team, lists),
    )
    torch.set_num_threads(2)
    try:
        again, shared = gradient(net, rows)
    finally:
        torch.set_num_threads(1)
    assert set(asked) == {1}
    assert again == losses
    assert torch.equal(shared, slopes)


@pytest.mark.parametrize("kind", ["llama", "qwen3"])
@pytest.mark.parametrize("share", [True, False])
def test_the_last_layer_reads_on_for_tokens_that_are_asked_for(tiny, monkeypatch, kind, share):
    from tuneworthy_cpu.train import layer_stack as stack

    net, rows = opened(tiny, kind, share=share)
    made, right = [], stack._output_positions

    def counted(span, lengths, asked):
        made.append(right(span, lengths, asked))
        return made[-1]

    monkeypatch.setattr(stack, "_output_positions", counted)
    found, wanted = {}, sum(row.trained for row in rows)
    for most in (1, 7, 1 << 20):  # nobody else; to a multiple; all tokens
        monkeypatch.setattr(stack, "_OUTPUT_MULTIPLE", most)
        found[most] = gradient(net, rows)
        (places,) = made
        assert len(set(places.tolist())) == len(places) >= wanted
        made.clear()
        if most == 1:
            assert len(places) == wanted
        elif most == 7:
            assert len(places) % 7 == 0
        assert found[most][0] == pytest.approx(found[1][0], rel=1e-12)
        assert apart(found[most][1], found[1][1]) < 1e-12
    assert len(places) > 2 * wanted
    monkeypatch.setattr(stack, "_OUTPUT_MULTIPLE", 1)
    monkeypatch.setattr(stack, "_output_positions", lambda *given: right(*given) - 1)  # the control
    assert apart(gradient(net, rows)[1], found[1][1]) > 1e-3


def test_calls_written_down_once_serve_every_step_of_their_shape(tiny, monkeypatch):
    import torch

    from tuneworthy_cpu.train import layer_stack as stack
    from tuneworthy_cpu.train import recorded_step as tape

    monkeypatch.setattr(stack, "_MOST_PADDING_SHARE", 0.0)
    net, rows = opened(tiny)
    longest = max(rows, key=lambda row: len(row.ids))
    one = [shorter(longest, n) for n in (0, 3, 6, 9)]
    # As many tokens, divided otherwise; and others in the prompt and behind it.
    other = [shorter(longest, n) for n in (0, 4, 5, 9)]
    other = [replace(row, ids=tuple(id_ ^ 1 for id_ in row.ids)) for row in other]
    _, slopes = gradient(net, one)
    (kept,) = net.trainer.stack.steps.values()
    calls = len(kept.forward_calls), len(kept.backward_calls)
    losses, again = gradient(net, other, anew=False)
    assert [*net.trainer.stack.steps.values()] == [kept]
    assert (len(kept.forward_calls), len(kept.backward_calls)) == calls
    assert torch.equal(gradient(net, one, anew=False)[1], slopes)
    truth, fresh = gradient(net, other)
    assert losses == truth
    assert torch.equal(again, fresh)
    gradient(net, one)
    monkeypatch.setattr(
        tape.RecordedStep, "copy_positions", lambda self, other: None
    )  # the control
    assert apart(gradient(net, other, anew=False)[1], fresh) > 1e-3


def shorter(row, n):
    """Return a row without the last n tokens of its prompt."""
    first = row.first
    return replace(
        row,
        ids=row.ids[: first - n] + row.ids[first:],
        mask=row.mask[: first - n] + row.mask[first:],
    )


def test_a_backward_pass_written_later_spares_what_the_forward_pass_left(tiny, monkeypatch):
    """Dev rows need the forward pass only; the backward pass may be recorded after other steps."""
    import torch

    from tuneworthy.models.train.loss import evaluate

    net, rows = opened(tiny)
    _, slopes = gradient(net, rows)
    net.free_step_memory()
    evaluate(net, rows, ENDLESS)
    gradient(net, rows[:1], anew=False)  # takes less memory
    (tape, _) = net.trainer.stack.steps.values()
    assert tape.dx is None
    assert torch.equal(gradient(net, rows, anew=False)[1], slopes)
    net.free_step_memory()
    evaluate(net, rows, ENDLESS)
    gradient(net, rows[:1], anew=False)
    (tape, other) = net.trainer.stack.steps.values()
    monkeypatch.setattr(tape, "end", other.end)  # the control
    assert apart(gradient(net, rows, anew=False)[1], slopes) > 1e-3


def test_calls_of_a_few_shapes_are_kept(tiny, monkeypatch):
    from tuneworthy_cpu.train import layer_stack as stack

    monkeypatch.setattr(stack, "_MOST_STEPS", 2)
    net, rows = opened(tiny)
    for count in (2, 3, 4, 2):
        gradient(net, rows[:count], anew=False)
    assert [key[-1][0] for key in net.trainer.stack.steps] == [4, 2]
    net.free_step_memory()
    assert not net.trainer.stack.steps
    assert not net.trainer.stack.memory.chunks


def test_n2_gradients_equal_finite_differences(tiny):
    import torch

    net, rows = opened(tiny)
    _, slopes = gradient(net, rows)
    weights = [p for p in net.module.parameters() if p.requires_grad]
    way = torch.randn(slopes.shape, dtype=slopes.dtype, generator=torch.Generator().manual_seed(2))
    parts = way.split([w.numel() for w in weights])
    tokens, found = sum(row.trained for row in rows), []
    for step in (1e-6, -2e-6):
        with torch.no_grad():
            for weight, part in zip(weights, parts, strict=True):
                weight.add_(part.view(weight.shape), alpha=step)
        found.append(sum(gradient(net, rows)[0]) / tokens)
    slope = (found[0] - found[1]) / 2e-6
    assert slope == pytest.approx(float(slopes @ way), rel=1e-6)


def test_dev_loss_and_probability_of_the_end_equal_those_of_autograd(tiny):
    from tuneworthy.models.train.loss import evaluate

    net, rows = opened(tiny)
    assert evaluate(net, rows, 60) == pytest.approx(evaluate(replace(net, trainer=None), rows, 60))


@pytest.mark.parametrize("fault", ["mask", "turn", "norm", "adapter"])
def test_a_wrong_gradient_is_seen_and_not_taken(tiny, monkeypatch, fault):
    from tuneworthy_cpu.train import adapted_linears as pieces
    from tuneworthy_cpu.train import attention_gradient as attention
    from tuneworthy_cpu.train import gradient_kernels as kernels

    if fault == "mask":
        weigh = attention.softmax_scores
        monkeypatch.setattr(
            attention,
            "softmax_scores",
            lambda *given: weigh(*given[:3], (*given[3][:4], 0), *given[4:]),
        )
    if fault == "turn":
        monkeypatch.setattr(
            kernels,
            "scatter",
            lambda heads, place, past, angles, *given, taken=kernels.scatter: taken(
                heads, place, past, angles and (angles[0], -angles[1]), *given
            ),
        )
    if fault == "norm":
        monkeypatch.setattr(
            pieces.Norm,
            "backward",
            plain,
        )
    if fault == "adapter":
        monkeypatch.setattr(pieces.Adapters, "refresh", stale)
    rows = tiny.rows(tiny.tokenizer(), 8)
    from tuneworthy.models.train.loss import open_net
    from tuneworthy.models.train.twin import LoraShape, lora_twin

    for dtype in ("float32", "bfloat16"):
        module = lora_twin(tiny.model("llama", 0, dtype), LoraShape(rank=4, alpha=12), 0)
        assert open_net(module.base_model.model, rows[0].ids, True).trainer is None


def plain(norm, dy, kept, add, out, tape):
    """Write a wrong gradient of RMSNorm, without the term of the mean."""

    def wrong():
        out.copy_(dy * norm.weight * kept[1] + (0 if add is None else add))

    tape.do(wrong)
    return out


def stale(adapters):
    """Load the adapters' weights without their scale, a fault."""
    import torch

    if adapters.flat is None:
        adapters._allocate_buffers()
    torch._foreach_copy_(adapters.places, [weight.detach() for weight in adapters.weights])


def test_other_families_and_whole_models_take_the_general_way(tiny):
    from tuneworthy.models.train.loss import open_net
    from tuneworthy.models.train.twin import LoraShape, lora_twin
    from tuneworthy_cpu.train.hand_gradient import open_hand_gradient

    rows = tiny.rows(tiny.tokenizer(), 8)
    other = lora_twin(tiny.model("gemma2", 0), LoraShape(rank=4), 0).base_model.model
    assert open_net(other, rows[0].ids, True).trainer is None
    assert gradient(open_net(other, rows[0].ids, True), rows)[1].any()
    assert open_hand_gradient(tiny.model("llama", 0).requires_grad_(True), True) is None
    windowed = tiny.model(
        "qwen2", 0, use_sliding_window=True, sliding_window=8, max_window_layers=1
    )
    assert (
        open_hand_gradient(lora_twin(windowed, LoraShape(rank=4), 0).base_model.model, True) is None
    )


def test_only_some_layers_adapted(tiny):
    from tuneworthy.models.train.loss import open_net
    from tuneworthy.models.train.twin import LoraShape, lora_twin

    rows = tiny.rows(tiny.tokenizer(), 8)
    shape = LoraShape(rank=4, targets=("q_proj", "down_proj"))
    net = open_net(
        lora_twin(tiny.model("llama", 0, "float64"), shape, 0).base_model.model, rows[0].ids
    )
    assert net.trainer is not None
    _, slopes = gradient(net, rows)
    assert apart(slopes, gradient(replace(net, trainer=None), rows)[1]) < 1e-6


@pytest.mark.parametrize("name", ["_forward_layer", "_backward_layer"])
def test_an_error_reaches_the_caller_and_leaves_nothing_behind(tiny, monkeypatch, name):
    import torch

    from tuneworthy_cpu.train import layer_stack as stack

    net, rows = opened(tiny)
    _, slopes = gradient(net, rows)
    right = getattr(stack.Stack, name)

    def wrong(self, *given):
        if monkeypatch.counted == 1:
            raise ArithmeticError(name)
        monkeypatch.counted += 1
        return right(self, *given)

    monkeypatch.counted = 0
    monkeypatch.setattr(stack.Stack, name, wrong)
    with pytest.raises(ArithmeticError, match=name):
        gradient(net, rows)
    monkeypatch.setattr(stack.Stack, name, right)
    assert torch.equal(gradient(net, rows)[1], slopes)


def test_the_gradient_through_a_shared_prompt_is_part_of_the_sum(tiny, monkeypatch):
    """The control of N21: without what the rows send to the prompt's keys, it is another one."""
    from tuneworthy_cpu.train.attention_gradient import Attention

    net, rows = opened(tiny)
    _, slopes = gradient(net, rows)
    right = Attention.backward

    def deaf(self, scale, span, held, places, tape, sent):
        return right(self, scale, span, held, places, tape, None)

    monkeypatch.setattr(Attention, "backward", deaf)
    assert apart(gradient(net, rows)[1], slopes) > 1e-3


@pytest.mark.parametrize(("nats", "length", "taken"), [
    (0.0, 1.0, True), (0.04, 1.0, True), (0.5, 1.0, False), (0.0, 1.2, False),
])  # fmt: skip
def test_the_proof_allows_what_half_precision_scatters_and_no_more(tiny, nats, length, taken):
    """In bf16 the loss of a token was .05 off while the gradient was right."""
    from tuneworthy.models.train import loss as forward
    from tuneworthy_cpu.train import hand_gradient as by_hand

    net, rows = opened(tiny, dtype="bfloat16")
    some = [row for row in rows if row.trained < 30][:2]
    tokens, general = sum(row.trained for row in some), replace(net, trainer=None, shares=False)

    def truth(given, weights):
        losses, slopes = forward._autograd_gradients(general, given, weights)
        moved = [loss + nats * tokens / len(losses) for loss in losses]
        return moved, [slope * length for slope in slopes]

    assert by_hand.matches_autograd(net.trainer, some, truth) is taken
