"""Generate answers to many prompts: sort by length, batch by token budget, decode in one loop.

Decoding is greedy, or sampled so that a draw depends on the prompt, the seed and the sample number
alone, not on its batch. Finished rows leave the batch. Knows no chat template.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import Any

import numpy as np
import torch

from tuneworthy.models.local.batch_fit import parallel_batches, run_parallel
from tuneworthy.models.local.device import exact
from tuneworthy.models.local.follower import Follower, Samples
from tuneworthy.models.local.forward import Net, State, begin, read_prefix, step
from tuneworthy.models.local.prefix_attention import Prefix
from tuneworthy.models.local.thinking import Thought, ThoughtLimits
from tuneworthy.models.local.token_grammar import CompiledGrammar, allowed
from tuneworthy.records.answer import Finish
from tuneworthy.records.model import Limits
from tuneworthy.records.tokens import balanced_groups
from tuneworthy.store import signals

_LEAST_SHARED_TOKENS = 8


@dataclass(frozen=True)
class DecodingOptions:
    """Decoding options. `ends` are the end tokens; `text` decodes ids to search them for `stop`.

    `room` is the most tokens of an answer, its end token included; `rows` and `tokens` limit a
    batch. `look` is (function, tokens it needs room for); the function is called after each batch's
    prompts are read, and the lists it returns, one for each row, become `sums`. `watch` separates
    thoughts from answers; `room` then covers both.
    """

    room: int
    ends: frozenset[int]
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    sample: int = 0
    stop: tuple[str, ...] = ()
    guide: CompiledGrammar | None = None
    text: Callable[[Sequence[int]], str] = lambda ids: ""
    rows: int = 128
    tokens: int = 16_384
    look: tuple[Callable[[Any, State], list[list[float]]], int] | None = None
    watch: ThoughtLimits | None = None

    @classmethod
    def of(cls, limits: Limits, **more: Any) -> DecodingOptions:
        """Return options with a request's limits, and `more` options by name."""
        names = ("temperature", "top_p", "seed", "sample", "stop")
        return cls(**{name: getattr(limits, name) for name in names}, **more)


@dataclass
class _GeneratedAnswer:
    """One answer: its token ids (without the end token), the number generated, and its time.

    `thought` tracks the thought before the answer, whose tokens come first in `ids`.
    """

    ids: list[int] = field(default_factory=list)
    made: int = 0
    finish: Finish = "length"
    cached: int = 0
    seconds: float = 0.0
    sums: list[float] | None = None
    thought: Thought | None = None

    @property
    def unended(self) -> bool:
        """Return whether the row was cut off inside a thought."""
        return self.finish == "length" and self.thought is not None and self.thought.inside


@dataclass
class DecodedRow:
    """A row of a batch while it is decoded; `prompt` are its ids after the shared prefix."""

    index: int
    prompt: Sequence[int]
    room: int
    out: _GeneratedAnswer
    uniform: Any = None
    matcher: Any = None
    near: int = 0
    looked: float = 0.0
    follower: Follower | None = None


@torch.inference_mode()  # type: ignore[untyped-decorator]
def generate(
    net: Net,
    prompts: Sequence[Sequence[int]],
    rooms: Sequence[int],
    draw: DecodingOptions,
    samples: Samples = None,
) -> list[_GeneratedAnswer]:
    """Return one answer for each prompt, in order. `rooms` are the answers' token limits.

    `samples` are the sample numbers of the prompts, if they differ, or followers, which have them
    and are told of each token; a prompt that occurs several times is read once per batch.
    """
    each = samples or [draw.sample] * len(prompts)
    numbers = [one.sample if isinstance(one, Follower) else one for one in each]
    begun = time.perf_counter()
    answers = [_GeneratedAnswer() for _ in prompts]
    longest = max(map(len, prompts)) + draw.room
    prefix, own = share_prefix(net, prompts, longest)
    count = parallel_batches(net.module.device, len(own))

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def decoded(batch: list[int]) -> list[DecodedRow]:
        rows = [
            _open_row(k, own[k], min(rooms[k], draw.room), (draw, prompts[k], numbers[k]))
            for k in batch
        ]
        for row in rows:
            if isinstance(one := each[row.index], Follower):
                row.follower = one
                one.restart()  # again, where a batch was too large and is decoded in parts
        _decode(net, rows, prefix, draw)
        return rows

    def cost(batch: Sequence[int]) -> int:
        return len(batch) * (max(len(own[k]) for k in batch) + draw.room)

    def work(batch: list[int]) -> list[DecodedRow]:
        return net.fit.run(decoded, batch, cost, net.device)

    rows, tokens = net.fit.most(draw.rows, max(1, draw.tokens // count))
    most = replace(draw, rows=rows, tokens=tokens * count)
    done = run_parallel(work, batches([len(ids) for ids in own], most, count), count)
    rows_done = [row for batch in done for row in batch]
    for row in rows_done:
        row.out.cached = prefix.length if prefix else 0
        answers[row.index] = row.out
        if row.follower:
            row.follower.finish(row.out)
    looked = sum(row.looked for row in rows_done) / count  # the parallel batches run `look` at once
    _set_seconds(rows_done, time.perf_counter() - begun - looked)
    return answers


def mean_unshared_length(prompts: Sequence[Sequence[int]]) -> float:
    """Return the prompts' mean number of tokens after their common prefix."""
    return sum(map(len, prompts)) / len(prompts) - _common_prefix_length(prompts)


def _common_prefix_length(prompts: Sequence[Sequence[int]]) -> int:
    ordered = sorted(map(list, prompts))
    first, last = ordered[0], ordered[-1]  # the common prefix of these two is common to all
    pairs = takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    return sum(1 for _ in pairs)


def share_prefix(
    net: Net, prompts: Sequence[Sequence[int]], longest: int
) -> tuple[Prefix | None, list[Sequence[int]]]:
    """Return the common prefix of all prompts, read once (or None), and each prompt's other ids."""
    length = min(_common_prefix_length(prompts), min(map(len, prompts)) - 1)
    if len(prompts) < 2 or length < _LEAST_SHARED_TOKENS or not net.fits(longest):
        return None, list(prompts)
    return read_prefix(net, prompts[0][:length]), [ids[length:] for ids in prompts]


def batches(lengths: Sequence[int], draw: DecodingOptions, count: int = 1) -> list[list[int]]:
    """Return each batch as prompt indexes: longest first, of similar size, within the token budget.

    `count` batches run in parallel and share the budget.
    """
    order = sorted(range(len(lengths)), key=lambda k: -lengths[k])
    costs = [lengths[k] + draw.room for k in order]
    return [
        [order[k] for k in run]
        for run in balanced_groups(costs, draw.rows, max(1, draw.tokens // count), count)
    ]


def _open_row(
    index: int, own: Sequence[int], room: int, how: tuple[DecodingOptions, Sequence[int], int]
) -> DecodedRow:
    """Return a row before its first token; `how` is (options, ids of the prompt, sample number)."""
    draw, whole, sample = how
    row = DecodedRow(index, own, room, _GeneratedAnswer())
    if draw.temperature > 0:
        row.uniform = _stream(draw.seed, sample, whole).random(room)
    if draw.watch is not None:
        row.out.thought = Thought(draw.watch)
    if draw.guide is not None:
        row.matcher = draw.guide.begin()
        most = min(room, draw.watch.answer) if draw.watch else room
        row.near = draw.guide.closer.near(row.matcher, most)
    return row


def _in_thought(row: DecodedRow) -> bool:
    """Return whether the row's next token belongs to a thought, which no grammar constrains."""
    return row.out.thought is not None and row.out.thought.inside


def _decode(net: Net, rows: list[DecodedRow], prefix: Prefix | None, draw: DecodingOptions) -> None:
    at = {ids: n for n, ids in enumerate(dict.fromkeys(tuple(row.prompt) for row in rows))}
    logits, state = begin(net, list(at), prefix, max(draw.room, draw.look[1] if draw.look else 0))
    if draw.look:
        begun = time.perf_counter()
        sums = draw.look[0](logits, state)
        rows[0].looked = time.perf_counter() - begun  # not part of the answers' time
        for row in rows:
            row.out.sums = sums[at[tuple(row.prompt)]]
    if len(at) < len(rows):  # several draws of one prompt: read it once, then copy its row
        order = [at[tuple(row.prompt)] for row in rows]
        state.keep(order)
        logits = logits[order]
    live = list(rows)
    done = [False] * len(live)
    while True:
        signals.check()  # a batch can take minutes; if stopped, its prompts are generated again
        tokens = _choose(logits, live, draw)
        done = [
            over or _take_token(row, token, draw, logits[k])
            for k, (row, token, over) in enumerate(zip(live, tokens, done, strict=True))
        ]
        if all(done):
            return
        live, tokens, done = _retire(state, live, tokens, done)
        logits = step(net, state, tokens)


def _retire(
    state: State, live: list[DecodedRow], tokens: list[int], done: list[bool]
) -> tuple[list[DecodedRow], list[int], list[bool]]:
    """Drop finished rows once they are an eighth of the batch; rows from its end take their places.

    They are not dropped at once: oneDNN compiles products for each new number of rows.
    """
    if sum(done) * 8 < len(live) or not any(done):
        return live, tokens, done
    count = len(live) - sum(done)
    behind = (k for k in range(count, len(live)) if not done[k])
    kept = [next(behind) if done[k] else k for k in range(count)]
    state.keep(kept)
    return [live[k] for k in kept], [tokens[k] for k in kept], [False] * count


def _choose(logits: Any, live: list[DecodedRow], draw: DecodingOptions) -> list[int]:
    if draw.guide is not None:
        logits = mask_illegal(logits, [None if _in_thought(row) else row.matcher for row in live])
    if draw.temperature == 0:
        chosen = argmax_tokens(logits)
    else:
        uniform = [row.uniform[min(row.out.made, row.room - 1)] for row in live]
        chosen = sampled(logits, draw.temperature, draw.top_p, uniform)
    return [_close_in_time(row, token, draw) for row, token in zip(live, chosen, strict=True)]


def _close_in_time(row: DecodedRow, token: int, draw: DecodingOptions) -> int:
    """Return `token`, or another one if the answer could not be completed in time after it."""
    if draw.guide is None or _in_thought(row):
        return token
    left = row.room - row.out.made
    if (thought := row.out.thought) is not None:
        left = min(left, thought.watch.answer - (row.out.made - thought.tokens))
    if left > row.near or left < 1:
        return token
    return draw.guide.closer.in_time(row.matcher, token, left)


def mask_illegal(logits: Any, matchers: Sequence[Any]) -> Any:
    """Return the logits with minus infinity at every token that the rows' grammars forbid.

    A row without a matcher (None) is unconstrained.
    """
    legal = allowed(matchers, logits.shape[-1]).to(logits.device)
    return logits.masked_fill(~legal, float("-inf"))


def argmax_tokens(logits: Any) -> list[int]:
    """Return each row's token with the greatest logit, the first one among equals.

    Positive bf16 numbers sort like their bits, and the greatest of 49,152 logits is hardly ever
    negative: comparing bits takes a fortieth of the time of torch's argmax on a CPU.
    """
    if logits.dtype == torch.bfloat16 and logits.device.type == "cpu":
        bits = logits.view(torch.int16).numpy()
        chosen = bits.argmax(-1)
        if (np.take_along_axis(bits, chosen[:, None], 1) > 0).all():
            return [int(token) for token in chosen]
    tokens: list[int] = logits.argmax(-1).tolist()
    return tokens


def sampled(logits: Any, temperature: float, top_p: float, uniform: Sequence[float]) -> list[int]:
    """Return a token for each row, sampled by inverting the cumulative distribution at `uniform`.

    `top_p` keeps the fewest likeliest tokens whose total probability reaches it.
    """
    chances = torch.softmax(exact(logits) / temperature, -1)
    if top_p < 1:
        ranked, order = chances.sort(dim=-1, descending=True, stable=True)
        ranked[(ranked.cumsum(-1) - ranked) >= top_p] = 0
        chances = torch.zeros_like(chances).scatter_(-1, order, ranked)
    cumulative = chances.cumsum(-1)
    target = (
        torch.tensor(list(uniform), dtype=cumulative.dtype, device=cumulative.device)[:, None]
        * cumulative[:, -1:]
    )
    tokens: list[int] = torch.searchsorted(cumulative, target, right=True).squeeze(-1).tolist()
    last = (chances > 0).int().cumsum(-1).argmax(-1).tolist()
    return [min(token, most) for token, most in zip(tokens, last, strict=True)]


def _take_token(row: DecodedRow, token: int, draw: DecodingOptions, logits: Any) -> bool:
    """Append one token, chosen from `logits`, to the row's answer; return whether it has ended."""
    ended = _append(row, token, draw)
    if row.follower is not None:
        ended = row.follower.take(row, logits, token, draw, ended) or ended
    return ended


def _append(row: DecodedRow, token: int, draw: DecodingOptions) -> bool:
    out = row.out
    out.made += 1
    if token in draw.ends:
        out.finish = "stop"
        return True
    out.ids.append(token)
    if (thought := out.thought) is not None and not thought.done:
        over = thought.take(out.ids)
        if not thought.done or thought.tokens:  # the token belongs to the thought
            return over or out.made >= row.room
    if row.matcher is not None:
        row.matcher.consume_token(token)
        if row.matcher.is_stopped():  # only the end token may follow: skip computing it
            out.finish = "stop"
            return True
    begun = thought.tokens if thought is not None else 0
    if draw.stop and any(word in draw.text(out.ids[begun:]) for word in draw.stop):
        out.finish = "stop"
        return True
    if thought is not None and out.made - begun >= thought.watch.answer:
        return True
    return out.made >= row.room


def _set_seconds(rows: list[DecodedRow], seconds: float) -> None:
    """Set each row's seconds: its share of the call's time, by the tokens computed for it."""
    weights = [len(row.prompt) + row.out.made for row in rows]
    for row, weight in zip(rows, weights, strict=True):
        row.out.seconds = seconds * weight / sum(weights)


def draw_one(scores: Sequence[float], prompt: Sequence[int], limits: Limits) -> int:
    """Return the index of the best score, or of a sampled one if there is a temperature."""
    if limits.temperature == 0:
        return max(range(len(scores)), key=scores.__getitem__)
    table = torch.tensor([list(scores)], dtype=torch.float64)
    uniform = [float(_stream(limits.seed, limits.sample, prompt).random())]
    return sampled(table, limits.temperature, limits.top_p, uniform)[0]


def _stream(seed: int, sample: int, prompt: Sequence[int]) -> np.random.Generator:
    """Return the random generator of one draw, seeded by prompt, seed and sample alone."""
    name = hashlib.sha256(f"{seed} {sample} {list(prompt)}".encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(name[:16], "little")))
