"""Training step with a hand-written gradient: loss of answer tokens, gradient of the adapters.

Its results are those of autograd (`models/train/loss.py`), checked on a probe before use. A shared
prompt is read with the rows that attend to it, as additional tokens of the same matrix; its
gradient is summed over all rows. Knows no optimizer and no task.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import cosine_similarity

from tuneworthy.records.tokens import TokenRow, parts, shared_length
from tuneworthy_cpu.compiled import call_now
from tuneworthy_cpu.gemm.products import gemm_supports
from tuneworthy_cpu.read.layer_kernels import rms_norm
from tuneworthy_cpu.train.adapted_linears import Norm, open_norm
from tuneworthy_cpu.train.gradient_kernels import cross_entropy, rms_norm_backward
from tuneworthy_cpu.train.layer_stack import Stack, open_stack
from tuneworthy_cpu.train.recorded_step import RecordedStep

Gradient = tuple[list[float], list[tuple[Any, Any]]]


@dataclass(frozen=True)
class HandGradient:
    """A model's layers (`stack`), final norm and output layer [vocabulary, hidden], for training.

    `shares`: whether a prompt that all rows start with is read once.
    """

    stack: Stack
    norm: Norm
    head: Any
    shares: bool

    @property
    def plain(self) -> bool:
        """Return whether the thread pool's GEMM takes all products, the output layer's too."""
        return self.stack.plain and gemm_supports(self.head)

    def backward(self, batch: Sequence[TokenRow], budget: int) -> Gradient:
        """Return each row's summed loss (nats), and (weight, gradient) of the batch's mean loss."""
        found: Gradient = backward(self, batch, budget)
        return found

    def evaluate(self, rows: Sequence[TokenRow], budget: int) -> tuple[list[float], list[float]]:
        """Return the rows' summed and last tokens' losses (nats), in the order of parts."""
        found: tuple[list[float], list[float]] = evaluate(self, rows, budget)
        return found

    def free_step_memory(self) -> None:
        """Free the recorded steps and their memory."""
        self.stack.free_step_memory()

    def proved(self, rows: Sequence[TokenRow], truth: Any) -> bool:
        """Return whether loss and gradient equal those of `truth(rows, weights)`, from autograd."""
        return matches_autograd(self, rows, truth)


def open_hand_gradient(module: Any, shares: bool) -> HandGradient | None:
    """Return the hand-written gradient of a model, None if its layers are not supported."""
    stack = open_stack(module)
    if stack is None:
        return None
    norm, head = open_norm(module.get_decoder().norm), module.get_output_embeddings()
    return (
        HandGradient(stack, norm, head.weight.detach(), shares)
        if norm and head is not None
        else None
    )


@torch.no_grad()
def backward(
    hand: HandGradient, batch: Sequence[TokenRow], budget: int
) -> tuple[list[float], list[tuple[Any, Any]]]:
    """Return each row's summed loss (nats), and (weight, gradient) of the batch's mean loss.

    The gradients are valid until the next call.
    """
    stack, adapters = hand.stack, hand.stack.adapters
    tokens = sum(row.trained for row in batch)
    by_row, read = [0.0] * len(batch), 0

    def use_output(group: list[int], rows: list[TokenRow], x: Any, step: RecordedStep) -> None:
        row_losses, dx = _loss_and_gradient(hand, rows, x, step, 1 / tokens)
        nonlocal read
        stack.backward(dx, step)
        adapters.add_gradients(first=read == 0)
        read += len(group)
        for i, value in zip(group, row_losses, strict=True):
            by_row[i] = value

    _run_parts(hand, batch, budget, use_output)
    return by_row, adapters.pairs


@torch.no_grad()
def evaluate(
    hand: HandGradient, rows: Sequence[TokenRow], budget: int
) -> tuple[list[float], list[float]]:
    """Return the rows' summed and last tokens' losses (nats), in the order of parts."""
    sums: list[float] = []
    ends: list[float] = []

    def use_output(group: list[int], part_rows: list[TokenRow], x: Any, step: RecordedStep) -> None:  # noqa: ARG001
        shares = _token_losses(hand, part_rows, x, step).split([row.trained for row in part_rows])
        sums.extend(float(share.sum()) for share in shares)
        ends.extend(float(share[-1]) for share in shares)

    _run_parts(hand, rows, budget, use_output)
    return sums, ends


def _run_parts(
    hand: HandGradient,
    batch: Sequence[TokenRow],
    budget: int,
    use_output: Callable[[list[int], list[TokenRow], Any, RecordedStep], None],
) -> None:
    """Run the batch forward in parts of at most `budget` padded tokens, each after the prompt.

    Calls `use_output(indices, rows, output, step)` for each part.
    """
    stack = hand.stack
    stack.adapters.refresh()
    width = shared_length(batch) if hand.shares else 0
    prompt = [torch.tensor([batch[0].ids[:width]])] if width else []
    for group in parts(batch, budget, width):
        rows = [batch[i] for i in group]
        lengths = [len(row.ids) - 1 - width for row in rows]  # no target follows the last token
        step = stack.step_of(lengths, [row.trained for row in rows], width)
        own = _inputs(rows, width, step.spans[-1].length)
        with stack.pool if stack.uses_pool(step.tokens) else nullcontext():
            use_output(group, rows, stack.forward([*prompt, own], step), step)
        stack.release(step)


def matches_autograd(hand: HandGradient, rows: Sequence[TokenRow], truth: Any) -> bool:
    """Return whether loss and gradient equal those of `truth(rows, weights)`, from autograd.

    A fresh adapter's B is zero, and then A's gradient is too: the probe uses random values of B.
    """
    weights = hand.stack.adapters.weights
    before = [weight.detach().clone() for weight in weights]
    source = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in hand.stack.adapters.seconds:
            weight.normal_(0, 0.02, generator=source)
    try:
        by_row, pairs = backward(hand, rows, 1 << 20)
        losses, slopes = truth(rows, weights)
    finally:
        with torch.no_grad():
            for weight, old in zip(weights, before, strict=True):
                weight.copy_(old)
    rough = hand.head.dtype in (torch.bfloat16, torch.float16)
    ours = torch.cat([slope.flatten() for _, slope in pairs]).double()
    theirs = torch.cat([slope.flatten() for slope in slopes]).double()
    size = float(ours.norm() / theirs.norm())
    # In half precision a token's loss varies by hundredths of a nat on both paths, and more where
    # it is large; the gradient reveals a fault.
    slack = (0.02 if rough else 1e-4) * abs(sum(losses))
    slack += 0.05 * sum(row.trained for row in rows) if rough else 0
    near = abs(sum(by_row) - sum(losses)) <= slack and abs(size - 1) <= (0.1 if rough else 1e-4)
    return near and float(cosine_similarity(ours, theirs, 0)) >= (0.97 if rough else 1 - 1e-6)


def _inputs(rows: Sequence[TokenRow], skipped: int, length: int) -> Any:
    """Return the rows' input ids after `skipped` prompt ids, zero-padded: [rows, length]."""
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    for number, row in enumerate(rows):
        inputs = row.ids[skipped:-1]
        ids[number, : len(inputs)] = torch.tensor(inputs)
    return ids


def _targets(rows: Sequence[TokenRow]) -> Any:
    """Return the ids of the answer tokens, row after row."""
    return torch.tensor([token for row in rows for token in row.ids[row.first :]])


def _token_losses(hand: HandGradient, rows: Sequence[TokenRow], x: Any, step: RecordedStep) -> Any:
    """Return the loss (nats) of every answer token, row after row."""
    targets = _targets(rows)
    inner, _ = rms_norm(x[: len(targets)], (hand.norm.weight, hand.norm.eps))
    return cross_entropy(_logits(hand, inner, None, step), targets, 1.0)


def _logits(hand: HandGradient, inner: Any, out: Any, step: RecordedStep) -> Any:
    if hand.plain and hand.stack.uses_pool(step.tokens):
        return hand.stack.pool.product(inner, hand.head, into=(out, call_now))
    return torch.mm(inner, hand.head.t(), out=out)


def _loss_and_gradient(
    hand: HandGradient, rows: Sequence[TokenRow], x: Any, step: RecordedStep, scale: float
) -> tuple[list[float], Any]:
    """Return each row's summed loss, and the gradient of `scale` times their sum: [M, hidden].

    The first rows of x [M, hidden] predict the answer tokens. The gradient of a token's loss at its
    logits is softmax - one-hot; it overwrites the logits.
    """
    targets = _targets(rows)
    outer = x[: len(targets)]
    inner, factor = rms_norm(outer, (hand.norm.weight, hand.norm.eps))
    step.brief.at = (0, 0)
    room = step.take_brief((len(targets), len(hand.head)), hand.head.dtype)
    logits = _logits(hand, inner, room, step)
    nll = cross_entropy(logits, targets, scale)
    uses_pool = hand.plain and hand.stack.uses_pool(step.tokens)
    dinner = (
        hand.stack.pool.untransposed_product(logits, hand.head)
        if uses_pool
        else torch.mm(logits, hand.head)
    )
    dx = torch.zeros_like(x)
    rms_norm_backward(dinner, outer, (hand.norm.weight, factor), None, dx[: len(targets)])
    shares = nll.split([row.trained for row in rows])
    return [float(share.sum()) for share in shares], dx
