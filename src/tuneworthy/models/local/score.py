"""Compute log-probabilities of continuations: those of a prompt as one tree, in one pass.

A prompt is read once, and so is each common prefix of its continuations. Knows no text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from tuneworthy.models.local.batch_fit import parallel_batches, run_parallel
from tuneworthy.models.local.chat_template import answer_ids, prompt_ids, text_ids
from tuneworthy.models.local.forward import Net, State, begin, tree
from tuneworthy.models.local.generate import DecodingOptions, batches, share_prefix
from tuneworthy.models.local.prefix_attention import Prefix
from tuneworthy.models.local.token_grammar import allowed
from tuneworthy.records.model import Grammar, Prompt
from tuneworthy.store import signals

Ids = Sequence[int]

_MOST_LOGITS = 100_000_000  # most logits (numbers) of one pass: 0.4 GB in fp32


@dataclass(frozen=True)
class _Trie:
    """The tree of the continuations' prefixes; node k is `tokens[k]` after its parent (-1: root).

    `paths[c]` are the nodes that predict the tokens of continuation c, the root first.
    """

    tokens: list[int]
    parents: list[int]
    paths: list[list[int]]

    @property
    def depth(self) -> list[int]:
        """Return the number of ancestors of each node."""
        depths: list[int] = []
        for parent in self.parents:
            depths.append(0 if parent < 0 else depths[parent] + 1)
        return depths


def _build_trie(continuations: Sequence[Ids]) -> _Trie:
    """Return the trie of continuations, each of at least one token."""
    tokens: list[int] = []
    parents: list[int] = []
    nodes: dict[tuple[int, int], int] = {}
    paths = []
    for ids in continuations:
        path = [-1]
        for token in ids[:-1]:
            step = (path[-1], token)
            if step not in nodes:
                nodes[step] = len(tokens)
                tokens.append(token)
                parents.append(path[-1])
            path.append(nodes[step])
        paths.append(path)
    return _Trie(tokens, parents, paths)


@torch.inference_mode()  # type: ignore[untyped-decorator]
def logprobs(
    net: Net, prompts: Sequence[Ids], continuations: Sequence[Sequence[Ids]]
) -> list[list[float]]:
    """Return the summed natural log-probability of each continuation of each prompt."""
    longest = max(map(len, prompts)) + max(len(c) for given in continuations for c in given)
    if not net.fits(longest):
        return [_one_by_one(net, p, c) for p, c in zip(prompts, continuations, strict=True)]
    prefix, own = share_prefix(net, prompts, longest)
    scores: list[list[float]] = [[] for _ in prompts]
    count = parallel_batches(net.module.device, len(own))
    most = _MOST_LOGITS // count // net.vocab

    nodes = min(most, max(sum(len(c) for c in given) for given in continuations))

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def scored(batch: list[int]) -> list[list[float]]:
        signals.check()
        given = [continuations[k] for k in batch]
        return _score_batch(net, [own[k] for k in batch], prefix, given, most)

    def cost(batch: Sequence[int]) -> int:
        return len(batch) * (max(len(own[k]) for k in batch) + nodes)

    def work(batch: list[int]) -> None:
        done = net.fit.run(scored, batch, cost, net.device)
        for k, sums in zip(batch, done, strict=True):
            scores[k] = sums

    rows, tokens = net.fit.most(max(1, most // max(1, nodes)), DecodingOptions.tokens // count or 1)
    draw = DecodingOptions(room=nodes, ends=frozenset(), rows=rows, tokens=tokens * count)
    run_parallel(work, batches([len(ids) for ids in own], draw, count), count)
    return scores


def _score_batch(
    net: Net,
    own: Sequence[Ids],
    prefix: Prefix | None,
    continuations: Sequence[Sequence[Ids]],
    most: int,
) -> list[list[float]]:
    return _sums(net, begin(net, own, prefix, 0), continuations, most)


def continuation_scorer(
    net: Net, given: Sequence[Ids]
) -> tuple[Callable[[Any, State], list[list[float]]], int]:
    """Return (function that scores `given` continuations of a batch just read, their tree nodes).

    Also return the number of nodes of the continuations' tree, for which the cache needs room.
    """

    # the largest number of parallel batches, which share the memory
    count = parallel_batches(net.module.device, 1 << 30)

    def look(logits: Any, state: State) -> list[list[float]]:
        rows = len(logits)
        most = _MOST_LOGITS // count // net.vocab // rows
        return _sums(net, (logits, state), [given] * rows, max(1, most))

    return look, len(_build_trie(given).tokens)


def _sums(
    net: Net, read: tuple[Any, State], continuations: Sequence[Sequence[Ids]], most: int
) -> list[list[float]]:
    logits, state = read
    roots = torch.log_softmax(logits.float(), -1)
    sums: list[list[float]] = [[] for _ in logits]
    for part in _ranges_within(continuations, most):
        cut = [given[part.start : part.stop] for given in continuations]
        same = all(given == cut[0] for given in cut)
        tries = [_build_trie(cut[0])] * len(cut) if same else [_build_trie(given) for given in cut]
        inner = _node_logits(net, state, tries)
        for row, (trie, given) in enumerate(zip(tries, cut, strict=True)):
            nodes = [node for path in trie.paths for node in path]
            tokens = [token for ids in given for token in ids]
            values = _looked_up(roots[row], None if inner is None else inner[row], nodes, tokens)
            sums[row] += [sum(values[k] for k in span) for span in _spans(given)]
    return sums


def _ranges_within(continuations: Sequence[Sequence[Ids]], most: int) -> list[range]:
    """Return ranges of continuation indexes whose tokens stay under `most` for every prompt."""
    count = max(map(len, continuations))
    sizes = [max(len(g[k]) if k < len(g) else 0 for g in continuations) for k in range(count)]
    cuts, start, total = [], 0, 0
    for k, size in enumerate(sizes):
        if total + size > most and k > start:
            cuts.append(range(start, k))
            start, total = k, 0
        total += size
    return [*cuts, range(start, count)]


def _node_logits(net: Net, state: State, tries: Sequence[_Trie]) -> Any:
    """Return the logits after the nodes of each row's trie, None if no trie has a node."""
    width = max(len(trie.tokens) for trie in tries)
    if width == 0:
        return None
    planes = {id(trie): _plane(trie, width) for trie in tries}
    columns = zip(*(planes[id(trie)] for trie in tries), strict=True)
    tokens, depth, visible = (torch.stack(column).to(net.module.device) for column in columns)
    return tree(net, state, tokens, depth, visible)


def _plane(trie: _Trie, width: int) -> tuple[Any, Any, Any]:
    """Return tokens, depths and the attention mask of one trie, padded to `width` nodes."""
    tokens, depth = torch.zeros(2, width, dtype=torch.long)
    tokens[: len(trie.tokens)] = torch.tensor(trie.tokens, dtype=torch.long)
    depth[: len(trie.tokens)] = torch.tensor(trie.depth, dtype=torch.long)
    visible = torch.eye(width, dtype=torch.bool)
    for node, parent in enumerate(trie.parents):
        if parent >= 0:
            visible[node] |= visible[parent]
    return tokens, depth, visible


def _looked_up(root: Any, inner: Any, nodes: list[int], tokens: list[int]) -> list[float]:
    """Return log P(token | node) for each pair of `nodes` and `tokens`; node -1 is the root."""
    values: list[float] = [0.0] * len(nodes)
    at_root = [k for k, node in enumerate(nodes) if node < 0]
    for k, value in zip(at_root, root[[tokens[k] for k in at_root]].tolist(), strict=True):
        values[k] = value
    deeper = [k for k, node in enumerate(nodes) if node >= 0]
    if deeper:
        total = torch.logsumexp(inner.float(), -1)
        where = torch.tensor([nodes[k] for k in deeper], device=inner.device)
        what = torch.tensor([tokens[k] for k in deeper], device=inner.device)
        logs = (inner[where, what].float() - total[where]).tolist()
        for k, value in zip(deeper, logs, strict=True):
            values[k] = value
    return values


def _spans(given: Sequence[Ids]) -> list[range]:
    spans, start = [], 0
    for ids in given:
        spans.append(range(start, start + len(ids)))
        start += len(ids)
    return spans


def _one_by_one(net: Net, prompt: Ids, given: Sequence[Ids]) -> list[float]:
    """Return the summed log-probability of each continuation, each by a pass of its own."""
    sums = []
    for ids in given:
        signals.check()
        whole = torch.tensor([[*prompt, *ids[:-1]]], device=net.module.device)
        logits = net.module(input_ids=whole, use_cache=False, logits_to_keep=len(ids)).logits[0]
        table = torch.log_softmax(logits.float(), -1)
        sums.append(float(sum(table[k, token].item() for k, token in enumerate(ids))))
    return sums


def chosen_tokens(model: Any, prompts: Sequence[Prompt], texts: Sequence[str]) -> list[list[int]]:
    """Return for each text the model's greedy choice at each of its tokens, the end included.

    The tokens before a choice are those of the text (teacher forcing).
    """
    return [logits.argmax(-1).tolist() for _, logits in _answers(model, prompts, texts)]


def legal_mass(
    model: Any, prompts: Sequence[Prompt], texts: Sequence[str], grammar: Grammar
) -> list[list[float]]:
    """Return for each text the probability of all legal tokens before each of its tokens.

    The list of a text that breaks the grammar ends at its first illegal token, that of a complete
    text where only the end may follow. It has at least one value: the mass of the tokens with which
    a legal answer may begin.
    """
    guide = model._compiled_grammar(grammar)
    return [_masses(guide.begin(), ids, logits) for ids, logits in _answers(model, prompts, texts)]


def _masses(matcher: Any, ids: Sequence[int], logits: Any) -> list[float]:
    masses: list[float] = []
    for token, row in zip(ids, logits.float().cpu(), strict=True):
        if matcher.is_stopped():
            break
        legal = allowed([matcher], len(row))[0]
        masses.append(float(torch.softmax(row, -1)[legal].sum()))
        if not legal[token] or not matcher.consume_tokens([token]):
            break
    return masses


def _answers(
    model: Any, prompts: Sequence[Prompt], texts: Sequence[str]
) -> Iterator[tuple[list[int], Any]]:
    """Yield (ids, logits before each id) for each text."""
    asked = [prompt_ids(model.tokenizer, prompt) for prompt in prompts]
    given = [[*text_ids(model.tokenizer, text), model.ends[0]] for text in texts]
    longest = max(map(len, asked), default=0) + max(map(len, given), default=0)
    adapted = model.adapter.applied(model.module) if model.adapter else nullcontext()
    with torch.inference_mode(), adapted:
        prefix, own = share_prefix(model.net, asked, longest) if asked else (None, [])
        for prompt, ids in zip(own, given, strict=True):
            yield ids, _logits(model.net, prefix, prompt, ids, longest)


def _logits(
    net: Net, prefix: Prefix | None, prompt: Sequence[int], ids: Sequence[int], longest: int
) -> Any:
    """Return the logits before each id, [ids, vocabulary]."""
    if not net.fits(longest):
        whole = torch.tensor([[*prompt, *ids[:-1]]], device=net.module.device)
        return net.module(input_ids=whole, use_cache=False, logits_to_keep=len(ids)).logits[0]
    first, state = begin(net, [prompt], prefix, len(ids))
    inner = ids[:-1]
    if not inner:
        return first
    tokens = torch.tensor([inner], device=net.module.device)
    depth = torch.arange(len(inner), device=tokens.device)[None]
    seen = torch.ones(len(inner), len(inner), dtype=torch.bool, device=tokens.device).tril()[None]
    return torch.cat([first, tree(net, state, tokens, depth, seen)[0]])


def token_logprobs(
    model: Any, prompts: Sequence[Prompt], texts: Sequence[str]
) -> list[list[float]]:
    """Return for each prompt the log-probability of each token of its text, end token included.

    `model` is a local engine (`models.hf.HF`); natural logarithm.
    """
    from tuneworthy.models.local import score as _score

    ids = [answer_ids(model.tokenizer, prompt) for prompt in prompts]
    coded = [[*text_ids(model.tokenizer, text), model.ends[0]] for text in texts]
    heads = [[row[: at + 1] for at in range(len(row))] for row in coded]
    with model.adapter.applied(model.module) if model.adapter else nullcontext():
        sums = _score.logprobs(model.net, ids, heads) if ids else []
    return [[here - before for here, before in zip(row, [0.0, *row], strict=False)] for row in sums]
