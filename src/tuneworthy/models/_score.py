"""How likely given answers are: all continuations of a prompt as one tree, in one pass.

A prompt is read once; beginnings that continuations have in common are read once. Knows no text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tuneworthy.models._forward import Net, Prefix, State, begin, tree
from tuneworthy.models._generate import Draw, batches, share_prefix

Ids = Sequence[int]
_LOGITS = 100_000_000  # floats of one pass's logits: 0.4 GB in fp32


@dataclass(frozen=True)
class Trie:
    """Distinct beginnings of some continuations; node k is `tokens[k]` after its parent (-1: root).

    `paths[c]` are the nodes at which the tokens of continuation c are predicted, root first.
    """

    tokens: list[int]
    parents: list[int]
    paths: list[list[int]]

    @property
    def depth(self) -> list[int]:
        """Return how many nodes lie above each node."""
        found: list[int] = []
        for parent in self.parents:
            found.append(0 if parent < 0 else found[parent] + 1)
        return found


def plant(continuations: Sequence[Ids]) -> Trie:
    """Return the trie of these continuations (each at least one token)."""
    tokens: list[int] = []
    parents: list[int] = []
    known: dict[tuple[int, int], int] = {}
    paths = []
    for ids in continuations:
        path = [-1]
        for token in ids[:-1]:
            step = (path[-1], token)
            if step not in known:
                known[step] = len(tokens)
                tokens.append(token)
                parents.append(path[-1])
            path.append(known[step])
        paths.append(path)
    return Trie(tokens, parents, paths)


@torch.inference_mode()
def logprobs(
    net: Net, prompts: Sequence[Ids], continuations: Sequence[Sequence[Ids]]
) -> list[list[float]]:
    """Return the summed natural log-probability of each continuation of each prompt."""
    widest = max(len(c) for given in continuations for c in given)
    longest = max(map(len, prompts)) + sum(len(c) for c in continuations[0])
    prefix, own = share_prefix(net, prompts, longest)
    found: list[list[float]] = [[] for _ in prompts]
    if not net.fits(max(map(len, prompts)) + widest):
        return [_one_by_one(net, p, c) for p, c in zip(prompts, continuations, strict=True)]
    for batch in _portions(net, own, continuations):
        sums = _batch(net, [own[k] for k in batch], prefix, [continuations[k] for k in batch])
        for k, values in zip(batch, sums, strict=True):
            found[k] = values
    return found


def _portions(net: Net, own: Sequence[Ids], continuations: Sequence[Sequence[Ids]]) -> Any:
    nodes = max(sum(len(c) for c in given) for given in continuations)
    rows = max(1, _LOGITS // (max(1, nodes) * net.vocab))
    return batches([len(ids) for ids in own], Draw(room=nodes, ends=frozenset(), rows=rows))


def _batch(
    net: Net, own: Sequence[Ids], prefix: Prefix | None, continuations: Sequence[Sequence[Ids]]
) -> list[list[float]]:
    tries = [plant(given) for given in continuations]
    logits, state = begin(net, own, prefix, max(len(trie.tokens) for trie in tries))
    roots = torch.log_softmax(logits.float(), -1)
    inner = _inner(net, state, tries)
    sums = []
    for row, (trie, given) in enumerate(zip(tries, continuations, strict=True)):
        nodes = [node for path in trie.paths for node in path]
        tokens = [token for ids in given for token in ids]
        values = _looked_up(roots[row], None if inner is None else inner[row], nodes, tokens)
        sums.append([sum(values[k] for k in part) for part in _spans(given)])
    return sums


def _inner(net: Net, state: State, tries: Sequence[Trie]) -> Any:
    """Return the logits at the nodes of each row's trie, None where no trie has a node."""
    width = max(len(trie.tokens) for trie in tries)
    if width == 0:
        return None
    tokens = torch.zeros(len(tries), width, dtype=torch.long)
    depth = torch.zeros_like(tokens)
    seen = torch.eye(width, dtype=torch.bool).repeat(len(tries), 1, 1)
    made: dict[int, Any] = {}
    for row, trie in enumerate(tries):
        size = len(trie.tokens)
        tokens[row, :size] = torch.tensor(trie.tokens, dtype=torch.long)
        depth[row, :size] = torch.tensor(trie.depth, dtype=torch.long)
        for node, parent in enumerate(trie.parents):
            if parent >= 0:
                seen[row, node] |= seen[row, parent]
    del made
    device = net.module.device
    return tree(net, state, tokens.to(device), depth.to(device), seen.to(device))


def _looked_up(root: Any, inner: Any, nodes: list[int], tokens: list[int]) -> list[float]:
    """Return log P(token | node) for each pair; node -1 is the root."""
    values: list[float] = [0.0] * len(nodes)
    at_root = [k for k, node in enumerate(nodes) if node < 0]
    for k, value in zip(at_root, root[[tokens[k] for k in at_root]].tolist(), strict=True):
        values[k] = value
    deeper = [k for k, node in enumerate(nodes) if node >= 0]
    if deeper:
        total = torch.logsumexp(inner.float(), -1)
        where = torch.tensor([nodes[k] for k in deeper], device=inner.device)
        what = torch.tensor([tokens[k] for k in deeper], device=inner.device)
        found = (inner[where, what].float() - total[where]).tolist()
        for k, value in zip(deeper, found, strict=True):
            values[k] = value
    return values


def _spans(given: Sequence[Ids]) -> list[range]:
    spans, start = [], 0
    for ids in given:
        spans.append(range(start, start + len(ids)))
        start += len(ids)
    return spans


def _one_by_one(net: Net, prompt: Ids, given: Sequence[Ids]) -> list[float]:
    """Score each continuation by itself: for windows that a tree would not fit in."""
    sums = []
    for ids in given:
        whole = torch.tensor([[*prompt, *ids[:-1]]], device=net.module.device)
        logits = net.module(input_ids=whole, use_cache=False, logits_to_keep=len(ids)).logits[0]
        table = torch.log_softmax(logits.float(), -1)
        sums.append(float(sum(table[k, token].item() for k, token in enumerate(ids))))
    return sums
