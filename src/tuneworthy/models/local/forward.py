"""Forward passes of the network: of a prefix, a new batch, a decoding step, a tree of tokens.

Rows of a batch are padded on the left; positions count real tokens only. Knows no tokenizer, no
sampling and no text.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import torch
from transformers import DynamicCache

from tuneworthy.models.local import cpu_engine
from tuneworthy.models.local.adapter_hooks import Adapter
from tuneworthy.models.local.batch_fit import BatchLimits
from tuneworthy.models.local.device import exact
from tuneworthy.models.local.prefix_attention import (
    NAME,
    AttentionContext,
    LayerCacheSlice,
    Prefix,
    additive,
    new_cache,
)
from tuneworthy.records.errors import ModelError
from tuneworthy.records.tokens import FINE_GROUPS, similar_length_groups

_KEY_VALUE_LAYERS = {"DynamicLayer", "DynamicSlidingWindowLayer"}  # no other state to carry
PROBE_TOKENS, _SALTS = 12, range(0, 5 * 911, 911)
# Largest relative error of logits computed in another order. bf16: the embedded model shows .020 to
# .039 on 12 tokens (one prompt of twelve .094), a planted fault .10 to .43.
_EXACT_ERROR, _ROUNDED_ERROR = 1e-3, 0.06


@dataclass(frozen=True)
class Net:
    """A causal language model and its properties.

    `shares`: a prefix can be read once for many rows (checked on a probe). `window`: the shortest
    attention window of a layer; longer rows share nothing. `cache_argument` is the name of the
    cache's argument in this version of transformers. `decoder` is the CPU engine's reader, if it
    supports the layers and gives the same logits. `fit` are the limits of a batch.
    """

    module: Any
    layers: int
    vocab: int
    window: int | None
    cache_argument: str
    shares: bool
    decoder: cpu_engine.Reader | None = None
    fit: BatchLimits = field(default_factory=BatchLimits)

    @property
    def device(self) -> str:
        """Return the type of the model's device."""
        return str(self.module.device.type)

    def fits(self, length: int) -> bool:
        """Return whether rows of `length` tokens may share a prefix or a tree."""
        return self.shares and (self.window is None or length <= self.window)


@dataclass
class State:
    """A batch during decoding: its cache, columns without padding, each row's next position.

    `filled` is the number of columns in use; `wide`: nothing is shared (see `Net.fits`).
    """

    cache: Any
    real: Any
    position: Any
    filled: int
    prefix: Prefix | None
    wide: bool

    def keep(self, rows: Sequence[int]) -> None:
        """Reduce the batch to `rows` (indexes), in this order."""
        index = torch.tensor(list(rows), device=self.real.device)
        self.real, self.position = self.real[index], self.position[index]
        for layer in self.cache.layers:
            layer.keep(rows)

    def rewind(self, length: int) -> None:
        """Drop all columns of the cache after the first `length`."""
        self.filled = length
        for layer in self.cache.layers:
            layer.rewind(length)


def open_net(module: Any, *, direct: bool = True) -> Net:
    """Return a model's properties, with shortcuts that pass a check of their logits on a probe.

    `direct` False: take the general path even if the CPU engine supports this model. Raises
    ModelError for an architecture with more state than an attention cache.
    """
    config = module.config.get_text_config(decoder=True)
    kinds = {type(layer).__name__ for layer in DynamicCache(config=module.config).layers}
    if kinds - _KEY_VALUE_LAYERS:
        raise ModelError(
            "this architecture keeps a state other than keys and values",
            got=f"{config.model_type}: {', '.join(sorted(kinds))}",
            fix="serve it behind an OpenAI-compatible endpoint and use openai:NAME@URL",
        )
    spans = [getattr(config, name, None) for name in ("sliding_window", "attention_chunk_size")]
    used = getattr(config, "use_sliding_window", True)
    windows = [int(span) for span in spans if span and used]
    takes = inspect.signature(module.forward).parameters
    net = Net(
        module=module,
        layers=config.num_hidden_layers,
        vocab=int(module.get_output_embeddings().weight.shape[0]),
        window=min(windows, default=None),
        cache_argument="cache" if "cache" in takes else "past_key_values",
        shares=config._attn_implementation == NAME,
    )
    if not net.shares:
        return net
    probes = [[(7 * k + 3 + salt) % net.vocab for k in range(PROBE_TOKENS)] for salt in _SALTS]
    with torch.inference_mode():
        truth = module(input_ids=torch.tensor(probes, device=module.device)).logits[:, -2:]
    read = replace(net, decoder=cpu_engine.open_reader(module) if direct else None)
    if read.decoder and _gives_same_logits(read, probes, truth):
        return read
    return replace(net, shares=_gives_same_logits(net, probes, truth))


def adapted_net(net: Net, adapter: Adapter) -> Net:
    """Return the net to run with an adapter.

    The CPU engine can only add low-rank changes; if an adapter also scales the layers' outputs
    (DoRA), the net takes the general path, where the adapter's hooks apply it.
    """
    if net.decoder is None:
        return net
    if adapter.gains:
        return replace(open_net(net.module, direct=False), fit=net.fit)
    return replace(net, decoder=net.decoder.adapted(adapter.changes))


def _gives_same_logits(net: Net, probes: Sequence[Sequence[int]], truth: Any) -> bool:
    read, stepped = [], []
    with torch.inference_mode():
        for ids in probes:
            prefix = read_prefix(net, ids[:5])
            logits, state = begin(net, [ids[5:-1], ids[8:-1]], prefix, 4)
            state.keep([0])
            read.append(logits[0])
            stepped.append(step(net, state, ids[-1:])[0])
    pairs = zip((read, stepped), truth.unbind(1), strict=True)
    return all(same_logits(torch.stack(logits_), true) for logits_, true in pairs)


def same_logits(found: Any, truth: Any, *, reordered: bool = True) -> bool:
    """Return whether the median row of logits [..., vocabulary] differs by rounding only.

    The error is relative (standard deviations); single rows may differ more, because rounding
    errors grow for rare inputs in half precision. `reordered`: sums may have another order, which
    adds rounding error at every layer in half precision; without it results should be equal.
    """
    rough = reordered and truth.dtype in (torch.bfloat16, torch.float16)
    found, truth = exact(found), exact(truth)
    error = (found - truth).std(-1) / truth.std(-1)
    return bool(error.median() <= (_ROUNDED_ERROR if rough else _EXACT_ERROR))


def read_prefix(net: Net, ids: Sequence[int]) -> Prefix:
    """Return the keys and values of a prefix, read once for all rows."""
    cache = new_cache(net.layers, len(ids), transposed=net.decoder is not None)
    tokens = torch.tensor([list(ids)], device=net.module.device)
    place = torch.arange(len(ids), device=tokens.device)[None]
    look = (
        AttentionContext(None, None, torch.ones(1, len(ids), dtype=torch.bool))
        if net.decoder
        else None
    )
    _call(net, tokens, cache, look, place, keep=1)
    keys, values = [layer.keys for layer in cache.layers], [layer.values for layer in cache.layers]
    return Prefix(keys, values, len(ids))


def begin(
    net: Net, rows: Sequence[Sequence[int]], prefix: Prefix | None, room: int
) -> tuple[Any, State]:
    """Read the rows (after the prefix); return the logits after each last token, and the state.

    `room` is the number of tokens that a row may get later.
    """
    length = max(len(row) for row in rows)
    device = net.module.device
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    real = torch.zeros(len(rows), length + room, dtype=torch.bool)
    for number, row in enumerate(rows):
        ids[number, length - len(row) :] = torch.tensor(row)
        real[number, length - len(row) :] = True
    past = prefix.length if prefix else 0
    place = (real[:, :length].cumsum(1) - 1).clamp_min_(0) + past
    state = State(
        cache=new_cache(net.layers, length + room, transposed=net.decoder is not None),
        real=real.to(device),
        position=place[:, -1].to(device) + 1,
        filled=0,
        prefix=prefix,
        wide=prefix is None and not net.fits(past + length + room),
    )
    ids, place = ids.to(device), place.to(device)
    if net.decoder and not state.wide:
        return _read_runs(net, state, [len(row) for row in rows], (ids, place)), state
    return _read(net, state, ids, place), state


def step(net: Net, state: State, tokens: Sequence[int]) -> Any:
    """Append `tokens`, one for each row; return the logits after them, [rows, vocabulary]."""
    ids = torch.tensor(list(tokens), device=state.real.device)[:, None]
    if net.decoder and (net.decoder.steps or len(tokens) == 1) and not state.wide:
        state.filled += 1
        logits = net.decoder.step(ids, state.position[:, None], state.cache, state.prefix)
    else:
        logits = _read(net, state, ids, state.position[:, None])
    state.position = state.position + 1
    return logits


def tree(net: Net, state: State, tokens: Any, depth: Any, seen: Any) -> Any:
    """Return the logits after every node of each row's token tree: [rows, nodes, vocabulary].

    `tokens` and `depth` (from 0) are [rows, nodes]; `seen` [rows, nodes, nodes] is True where a
    node attends to another (its ancestors and itself). The state is not changed.
    """
    before = state.filled
    past = state.real[:, None, :before].expand(-1, tokens.shape[1], -1)
    mask = additive(torch.cat([past, seen], 2)[:, None], net.module.dtype)
    position = state.position[:, None] + depth
    logits = _call(net, tokens, state.cache, AttentionContext(state.prefix, mask), position, keep=0)
    state.rewind(before)
    return logits


def _read_runs(net: Net, state: State, lengths: Sequence[int], inputs: tuple[Any, Any]) -> Any:
    """Return the logits after each row of a new batch, read in groups of similar length."""
    parts_logits, (ids, place) = [], inputs
    state.filled = ids.shape[1]
    for run in similar_length_groups(
        lengths, *(FINE_GROUPS if net.decoder and net.decoder.steps else ())
    ):
        start, rows = state.filled - max(lengths[run.start : run.stop]), slice(run.start, run.stop)
        parts = [LayerCacheSlice(room, rows, start, len(lengths)) for room in state.cache.layers]
        look = AttentionContext(state.prefix, None, state.real[rows, start : state.filled])
        own, cache = (ids[rows, start:], place[rows, start:]), SimpleNamespace(layers=parts)
        parts_logits.append(_call(net, own[0], cache, look, own[1], keep=1)[:, -1])
    return torch.cat(parts_logits)


def _read(net: Net, state: State, ids: Any, position: Any) -> Any:
    state.filled += ids.shape[1]
    if state.wide:  # transformers builds the mask, with windows
        look: Any = state.real[:, : state.filled].long()
    else:
        look = AttentionContext(state.prefix, None, state.real[:, : state.filled])
    return _call(net, ids, state.cache, look, position, keep=1)[:, -1]


def _call(net: Net, ids: Any, cache: Any, look: Any, position: Any, *, keep: int) -> Any:
    sight = isinstance(look, AttentionContext)
    if sight and net.decoder:
        return net.decoder(ids, position, cache, look, keep)
    given: dict[str, Any] = {"sight": look} if sight else {}
    # By index, not by count: a count gives a slice that is not contiguous, and torch then copies
    # the output layer for every row (300 times as slow in bf16).
    kept: Any = torch.arange(ids.shape[1] - keep, ids.shape[1], device=ids.device) if keep else 0
    return net.module(
        input_ids=ids,
        attention_mask=look.mask if sight else look,
        position_ids=position,
        use_cache=True,
        logits_to_keep=kept,
        **{net.cache_argument: cache},
        **given,
    ).logits
