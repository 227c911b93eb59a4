"""Compute loss and gradient of encoded rows: logits only at answer tokens, shared prompt read once.

Exact by construction: padding is on the right, where no real token attends; the gradient of the
shared prompt is the sum over all rows that attend to it. Knows no optimizer, no adapter and no
task.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from transformers import DynamicCache

from tuneworthy.models.local import cpu_engine
from tuneworthy.models.local.batch_fit import (
    BatchLimits,
    parallel_batches,
    run_halving,
    run_parallel,
)
from tuneworthy.models.local.forward import PROBE_TOKENS, same_logits
from tuneworthy.models.train.objective import likelihood_loss
from tuneworthy.models.train.training_data import EncodedExample, TokenLoss
from tuneworthy.records.tokens import parts, shared_length


@dataclass(frozen=True)
class Net:
    """A causal language model, split into body and head where that is exact.

    `head` is None if the logits are more than head(body): then the whole model is called. `shares`:
    whether many rows can use the keys and values of one prompt. `cache_argument` is the name of
    the cache's argument in this version of transformers. `trainer` is the CPU engine's hand-written
    gradient, if it supports this model's layers. `fit.tokens` are the most padded tokens read at
    once, if memory limits them. `lanes` is the number of parts of a batch read at once; None: as
    many as torch has threads. `objective` replaces the answer tokens' likelihood in training.
    """

    module: Any
    body: Any
    head: Any | None
    shares: bool
    cache_argument: str
    trainer: Any = None
    fit: BatchLimits = field(default_factory=BatchLimits)
    lanes: int | None = None
    objective: TokenLoss | None = None

    def parallel(self, rows: int) -> int:
        """Return the number of parts of a batch of `rows` rows that are read in parallel."""
        return self.lanes or parallel_batches(self.module.device, rows)

    @property
    def proof(self) -> tuple[bool, bool, bool]:
        """Return whether head, shared prompt and hand-written gradient passed their checks."""
        return self.head is not None, self.shares, self.trainer is not None

    def free_step_memory(self) -> None:
        """Free the buffers that training steps reuse; the next step allocates them again."""
        if self.trainer:
            self.trainer.free_step_memory()


@dataclass(frozen=True)
class Trunk:
    """Keys and values of a prompt that rows share.

    `made` are the tensors in autograd's graph. Rows read `leaves`, detached copies of them, so that
    the rows' gradients are summed before one backward pass through the prompt.
    """

    width: int
    made: list[Any]
    leaves: list[Any]

    def slopes(self, left: Sequence[Any], weights: Sequence[Any]) -> Sequence[Any]:
        """Return the weights' gradients, backpropagated from those of `leaves` through the prompt.

        A gradient is None where a leaf or a weight has no part in it.
        """
        used = [(made, slope) for made, slope in zip(self.made, left, strict=True)]
        used = [(made, slope) for made, slope in used if slope is not None and made.requires_grad]
        if not used:
            return [None] * len(weights)
        gradients: Sequence[Any] = torch.autograd.grad(
            [made for made, _ in used], weights, [slope for _, slope in used], allow_unused=True
        )
        return gradients


@dataclass
class Losses:
    """Weighted losses (nats): `total`, the sum of each row, each row's end-of-turn loss."""

    total: Any
    by_row: list[float] = field(default_factory=list)
    end: list[float] = field(default_factory=list)


def open_net(
    module: Any,
    probe: Sequence[int],
    share: bool = True,
    known: tuple[bool, bool, bool] | None = None,
    by_hand: bool = True,
) -> Net:
    """Return a model split into body and head, as far as checks on `probe` (ids, 2 or more) pass.

    If body + head, or a split prompt, gives other logits than the model itself, that shortcut is
    not used. `known` is the `proof` of a net with the same weights and adapter shape, which skips
    the checks. `by_hand` False: autograd computes the gradient.
    """
    body, head = module.get_decoder(), module.get_output_embeddings()
    word = "cache" if "cache" in inspect.signature(body.forward).parameters else "past_key_values"
    net = Net(module, body, head, _has_plain_cache(module), word)
    whole, shares = known[:2] if known else _passed_checks(net, probe, share)
    net = replace(net, head=head if whole else None, shares=shares)
    trainer = cpu_engine.open_trainer(module, shares) if by_hand else None
    if trainer is None:
        return net
    right = (
        known[2] if known else trainer.proved(_probe_rows(probe), partial(_autograd_gradients, net))
    )
    return replace(net, trainer=trainer) if right else net


def open_plain(module: Any) -> Net:
    """Return a model for inference, split into body and head if that gives the same logits."""
    body, head = module.get_decoder(), module.get_output_embeddings()
    ids = torch.tensor([[(7 * k + 3) % head.weight.shape[0] for k in range(PROBE_TOKENS)]])
    ids = ids.to(module.device)
    with torch.inference_mode():
        truth = module(input_ids=ids, use_cache=False).logits[0]
        ours = head(body(input_ids=ids, use_cache=False).last_hidden_state)[0]
    whole = same_logits(ours, truth, reordered=False)
    return Net(module, body, head if whole else None, False, "")


def _passed_checks(net: Net, probe: Sequence[int], share: bool) -> tuple[bool, bool]:
    """Return whether body + head gives the model's logits, and whether a split prompt does."""
    with torch.no_grad():
        ids = torch.tensor([list(probe)[:PROBE_TOKENS]], device=net.module.device)
        truth = net.module(input_ids=ids, use_cache=False).logits[0]
        ours = net.head(_hidden_states(net, ids, None))[0] if net.head is not None else None
        whole = ours is not None and same_logits(ours, truth, reordered=False)
        net = net if whole else replace(net, head=None)
        cut = ids.shape[1] // 2
        if share and net.shares and cut:
            trunk = _read_trunk(net, ids[0, :cut].tolist())
            share = same_logits(_logits(net, ids[:, cut:], trunk)[0], truth[cut:])
    return whole, net.shares and share


def _probe_rows(probe: Sequence[int]) -> list[EncodedExample]:
    """Return two rows of different length with the same prefix, to check gradients on."""
    ids = (list(probe) * 16)[:16]
    return [EncodedExample(tuple(ids[:n]), (False,) * 11 + (True,) * (n - 11)) for n in (16, 14)]


def _autograd_gradients(
    net: Net, rows: Sequence[EncodedExample], weights: Sequence[Any]
) -> tuple[list[float], list[Any]]:
    """Return each row's loss and the gradient of the weights from autograd."""
    by_row = backward(net, rows, 1 << 20, weights)
    slopes = [weight.grad for weight in weights]
    for weight in weights:
        weight.grad = None
    return by_row, slopes


def _read_trunk(net: Net, ids: Sequence[int]) -> Trunk:
    """Return keys and values of a prompt that rows share, as part of autograd's graph."""
    cache = DynamicCache(config=net.module.config)
    tokens = torch.tensor([list(ids)], device=net.module.device)
    net.body(input_ids=tokens, use_cache=True, **{net.cache_argument: cache})
    made = [tensor for layer in cache.layers for tensor in (layer.keys, layer.values)]
    leaves = [m.detach().requires_grad_(m.requires_grad) for m in made]
    return Trunk(len(ids), made, leaves)


def read_common_prefix(net: Net, rows: Sequence[EncodedExample]) -> Trunk | None:
    """Return keys and values of the rows' common prefix, None if it is too short."""
    width = shared_length(rows) if net.shares else 0
    return _read_trunk(net, rows[0].ids[:width]) if width else None


def answer_logits(net: Net, rows: Sequence[EncodedExample], trunk: Trunk | None) -> Any:
    """Return logits of the rows' tokens that have a loss, row after row: [tokens, vocabulary].

    These are the answer tokens; if prompt tokens have a weight, all but the first, and no prompt is
    shared. The last token of a row predicts nothing, so it is never read.
    """
    skip = trunk.width if trunk else 0
    length = max(len(row.ids) for row in rows) - 1 - skip
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    places: list[int] = []
    for number, row in enumerate(rows):
        inputs = row.ids[skip:-1]
        ids[number, : len(inputs)] = torch.tensor(inputs)
        places += [number * length + at - 1 - skip for at in range(row.loss_start, len(row.ids))]
    ids, where = ids.to(net.module.device), torch.tensor(places, device=net.module.device)
    if net.head is None:
        return _logits(net, ids, trunk).flatten(0, 1).index_select(0, where)
    return net.head(_hidden_states(net, ids, trunk).flatten(0, 1).index_select(0, where))


def losses(net: Net, rows: Sequence[EncodedExample], trunk: Trunk | None) -> Losses:
    """Return the rows' weighted losses; their sum is a tensor in autograd's graph."""
    logits = answer_logits(net, rows, trunk)
    logits = logits if logits.dtype == torch.float64 else logits.float()
    nll = (net.objective or likelihood_loss)(logits, rows)
    ends = nll.detach()
    if any(row.prompt_weight for row in rows):
        nll = nll * torch.tensor(_token_weights(rows), dtype=nll.dtype, device=nll.device)
    result, sizes = Losses(total=nll.sum()), [len(row.ids) - row.loss_start for row in rows]
    for share, own in zip(nll.detach().split(sizes), ends.split(sizes), strict=True):
        result.by_row.append(float(share.sum()))
        result.end.append(float(own[-1]))
    return result


def _token_weights(rows: Sequence[EncodedExample]) -> list[float]:
    """Return the weight of each token with a loss: 1 in an answer, `prompt_weight` before it."""
    return [
        1.0 if at >= row.first else row.prompt_weight
        for row in rows
        for at in range(row.loss_start, len(row.ids))
    ]


def backward(
    net: Net, batch: Sequence[EncodedExample], budget: int, weights: Sequence[Any]
) -> list[float]:
    """Add the gradient of the batch's mean loss to the weights; return each row's summed loss.

    The mean is over all answer tokens, however the batch is split; with weights on prompt tokens it
    is sum(w × loss) / sum(w), as torch's `cross_entropy` defines it for class weights. At most
    `budget` padded tokens are read at once; the parts run in parallel and their gradients are
    summed in fixed order. If memory runs out, parts are halved for this and later steps.
    """
    if net.trainer:
        by_row, slopes = net.trainer.backward(batch, budget)
        for weight, slope in slopes:
            weight.grad = slope
        return list(by_row)
    least = min(len(row.ids) for row in batch)  # at this size every row is a part of its own
    size, device = net.fit.tokens or budget, net.module.device.type
    done, fitted = run_halving(
        lambda most: _batch_gradient(net, batch, most, weights), size, least, device
    )
    if fitted != size:
        net.fit.tokens = fitted
    by_row, sums = done
    for weight, slope in zip(weights, sums, strict=True):
        if slope is not None:
            weight.grad = slope if weight.grad is None else weight.grad.add_(slope)
    return by_row


def _batch_gradient(
    net: Net, batch: Sequence[EncodedExample], budget: int, weights: Sequence[Any]
) -> tuple[list[float], list[Any]]:
    """Return each row's summed loss and the weights' gradients of the mean loss; change nothing."""
    tokens = sum(row.total_weight for row in batch)
    trunk = read_common_prefix(net, batch)
    count = net.parallel(len(batch))
    groups = parts(batch, max(1, budget // count), trunk.width if trunk else 0, count)
    leaves = trunk.leaves if trunk else []
    towards = [*weights, *(leaf for leaf in leaves if leaf.requires_grad)]

    def work(group: list[int]) -> tuple[Losses, Any]:
        result = losses(net, [batch[i] for i in group], trunk)
        return result, torch.autograd.grad(result.total / tokens, towards, allow_unused=True)

    by_row, sums = [0.0] * len(batch), [None] * len(towards)
    # without parallel parts, at most one gradient is in memory besides the sum
    done = map(work, groups) if count == 1 else run_parallel(work, groups, count)
    for group, (result, slopes) in zip(groups, done, strict=True):
        for i, value in zip(group, result.by_row, strict=True):
            by_row[i] = value
        sums = [_sum_gradients(old, new) for old, new in zip(sums, slopes, strict=True)]
    if trunk:
        left = iter(sums[len(weights) :])
        given = [next(left) if leaf.requires_grad else None for leaf in leaves]
        more = trunk.slopes(given, weights)
        sums = [
            _sum_gradients(old, new) for old, new in zip(sums[: len(weights)], more, strict=True)
        ]
    return by_row, sums


def _sum_gradients(old: Any, new: Any) -> Any:
    """Return the sum of two gradients, either of which may be None."""
    if old is None or new is None:
        return new if old is None else old
    return old.add_(new)


def evaluate(net: Net, rows: Sequence[EncodedExample], budget: int) -> tuple[float, float] | None:
    """Return (nats per answer token, mean P(end of turn) at the gold end); None for no rows."""
    if not rows:
        return None
    net = replace(net, objective=None)
    if net.trainer:
        summed = Losses(None, *net.trainer.evaluate(rows, budget))
        return _mean_loss_and_end(summed, rows)
    with torch.no_grad():
        trunk = read_common_prefix(net, rows)
    count, skipped = net.parallel(len(rows)), trunk.width if trunk else 0
    groups = parts(rows, max(1, (net.fit.tokens or budget) // count), skipped, count)

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def read(group: list[int]) -> list[tuple[float, float]]:
        summed = losses(net, [rows[i] for i in group], trunk)
        return list(zip(summed.by_row, summed.end, strict=True))

    def cost(group: Sequence[int]) -> int:
        return len(group) * max(len(rows[i].ids) - skipped for i in group)

    def work(group: list[int]) -> list[tuple[float, float]]:
        return net.fit.run(read, group, cost, net.module.device.type)

    summed = Losses(total=None)
    for part in run_parallel(work, groups, count):
        summed.by_row += [loss for loss, _ in part]
        summed.end += [end for _, end in part]
    return _mean_loss_and_end(summed, rows)


def _mean_loss_and_end(summed: Losses, rows: Sequence[EncodedExample]) -> tuple[float, float]:
    ends = torch.tensor(summed.end, dtype=torch.float64).neg().exp()
    return sum(summed.by_row) / sum(row.trained for row in rows), float(ends.mean())


def _has_plain_cache(module: Any) -> bool:
    layers = DynamicCache(config=module.config).layers
    return bool(layers) and all(type(layer).__name__ == "DynamicLayer" for layer in layers)


def _forward_arguments(net: Net, count: int, trunk: Trunk | None) -> dict[str, Any]:
    if trunk is None:
        return {"use_cache": False}
    wide = [leaf.expand(count, *leaf.shape[1:]) for leaf in trunk.leaves]
    cache = DynamicCache(zip(wide[::2], wide[1::2], strict=True), config=net.module.config)
    return {"use_cache": True, net.cache_argument: cache}


def _hidden_states(net: Net, ids: Any, trunk: Trunk | None) -> Any:
    return net.body(input_ids=ids, **_forward_arguments(net, len(ids), trunk)).last_hidden_state


def _logits(net: Net, ids: Any, trunk: Trunk | None) -> Any:
    if net.head is not None:
        return net.head(_hidden_states(net, ids, trunk))
    return net.module(input_ids=ids, **_forward_arguments(net, len(ids), trunk)).logits
