"""Read given answers token by token: the model's own choices, and the mass of legal tokens.

The common prefix of the prompts is read once. Knows no text metric.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import Any

import torch

from tuneworthy.core.model import Grammar, Prompt
from tuneworthy.models.local.chat_template import prompt_ids, text_ids
from tuneworthy.models.local.forward import Net, begin, tree
from tuneworthy.models.local.generate import share_prefix
from tuneworthy.models.local.prefix_attention import Prefix
from tuneworthy.models.local.token_grammar import allowed


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
