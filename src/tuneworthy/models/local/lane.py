"""Decode the rows of one running batch, each with its own options; rows join and leave it.

A row is masked, sampled and ended by the functions of `generate.py`, so its answer is that of
`HF.reply`, except for rounding. Knows no queue and no HTTP.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from tuneworthy.core.model import Limits, Prompt, Reply
from tuneworthy.models.local import generate as _generate
from tuneworthy.models.local.device import exact
from tuneworthy.models.local.forward import Net, begin, step
from tuneworthy.models.local.generate import DecodedRow, DecodingOptions
from tuneworthy.models.local.prefix_attention import Prefix
from tuneworthy.models.local.slot_cache import OpenState
from tuneworthy.models.local.thought import answer_of, text_before_stop, watch_for

_INCOMPLETE = "\ufffd"  # decoders write it for an incomplete character

Top = list[tuple[int, float]]


@dataclass(eq=False)
class Stream:
    """One request in a running batch. `reply` is None until it has ended.

    `head` are ids that its prompt may share with others (see `shared_ids`). `top`: number of top
    log-probabilities to store for each token, besides the token's own; None: store none. `text` is
    the part of the answer that can't change any more, updated only if `watched`. `tops` has for
    each token of the answer the token, its log-probability (natural, before temperature and
    grammar) and the top ones; `end` has those of the end token. `dropped`: the client is gone.
    """

    model: Any
    prompt: Prompt
    limits: Limits
    head: tuple[int, ...] = ()
    top: int | None = None
    watched: bool = False
    dropped: bool = False
    reply: Reply | None = None
    text: str = ""
    tops: list[tuple[int, float, Top]] = field(default_factory=list)
    end: list[tuple[int, float, Top]] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)
    thought_expected: bool | None = None
    row: DecodedRow | None = None
    options: DecodingOptions | None = None


class Lane:
    """One running batch of rows that share a prefix (or none)."""

    def __init__(self, net: Net, prefix: Prefix | None) -> None:
        self.net, self.prefix = net, prefix
        self.streams: list[Stream] = []
        self.state, self.logits = self._empty(), None

    def _empty(self) -> OpenState:
        transposed, device = self.net.decoder is not None, self.net.module.device
        return OpenState(self.net.layers, transposed, self.prefix, device)

    def turn(self, new: Sequence[Stream], steps: int) -> list[Stream]:
        """Let `new` streams join, decode `steps` tokens; return ended and dropped streams."""
        if new:
            self.join(new)
        ended: list[Stream] = self.advance(steps)
        return ended

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def join(self, streams: Sequence[Stream]) -> None:
        """Read the prompts of `streams` and add them to the batch."""
        rows = [_row(stream) for stream in streams]
        logits, state = begin(self.net, [row.prompt for row in rows], self.prefix, 0)
        room = max(row.room for row in rows)
        self.state.join(state, [len(row.prompt) for row in rows], room, 2 * len(self.streams))
        self.streams += streams
        self.logits = logits if self.logits is None else torch.cat([self.logits, logits])

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def advance(self, steps: int) -> list[Stream]:
        """Decode up to `steps` tokens of every row; return streams that ended or were dropped."""
        over: list[Stream] = []
        for _ in range(steps):
            if self.streams:
                over += self._step()
        return over

    def _step(self) -> list[Stream]:
        tokens = _next_tokens(self.logits, self.streams)
        ended = [_add_token(*pair) for pair in zip(self.streams, tokens, strict=True)]
        over = [stream for stream, end in zip(self.streams, ended, strict=True) if end]
        if over:
            kept = _filled_up(ended)
            self.state.keep(kept)
            self.streams, tokens = [self.streams[k] for k in kept], [tokens[k] for k in kept]
        if self.streams:
            self.state.before_step()
            self.logits = step(self.net, self.state.state, tokens)
        else:
            self.logits = None
        return over

    def clear(self) -> list[Stream]:
        """Drop all rows, after an error; return their streams."""
        lost, self.streams, self.logits, self.state = self.streams, [], None, self._empty()
        return lost


def prepare(stream: Stream) -> None:
    """Set a stream's ids and decoding options; or an error reply if it can't be encoded."""
    model, limits = stream.model, stream.limits
    ids = model._prompt_ids(stream.prompt)
    if isinstance(ids, str):
        stream.reply = Reply(text="", finish="error", error=ids)
        return
    watch = watch_for(model.thinking, limits, model._raw_text, expected=stream.thought_expected)
    if watch and watch.begun and model.thinking.state == "free":
        ids = [*ids, *model.tokenizer(watch.begun.start, add_special_tokens=False)["input_ids"]]
    room = watch.room if watch else limits.max_tokens
    room = min(room, model.context - len(ids)) if model.context else room
    stream.ids = ids
    stream.options = DecodingOptions.of(
        limits,
        room=room,
        ends=frozenset(model.ends),
        guide=model._compiled_grammar(limits.grammar) if limits.grammar else None,
        text=model._text,
        watch=watch,
    )
    stream.text = ""


def _row(stream: Stream) -> DecodedRow:
    options, past = stream.options, len(stream.head)
    assert options is not None
    own = stream.ids[past:] if tuple(stream.ids[:past]) == stream.head else stream.ids
    how = options, stream.ids, options.sample
    stream.row = _generate.open_row(0, own, options.room, how)
    return stream.row


def _next_tokens(logits: Any, streams: Sequence[Stream]) -> list[int]:
    """Return each row's next token by its options; store log-probabilities where requested."""
    pairs = [(s.row, s.options) for s in streams if s.row and s.options]
    legal = logits
    held = [k for k, (row, _) in enumerate(pairs)
            if row.matcher is not None and not _generate.in_thought(row)]  # fmt: skip
    if held:
        matchers = [pairs[k][0].matcher for k in held]
        legal = logits.clone()
        legal[held] = _generate.mask_illegal(logits[held], matchers)
    tokens = _generate.argmax_tokens(legal)
    for k, (row, options) in enumerate(pairs):
        if options.temperature > 0:
            uniform = [row.uniform[min(row.out.made, row.room - 1)]]
            how = options.temperature, options.top_p, uniform
            tokens[k] = _generate.sampled(legal[k : k + 1], *how)[0]
        tokens[k] = _generate.close_in_time(row, tokens[k], options)
    for k, stream in enumerate(streams):
        if stream.top is not None:
            _note(stream, logits[k], tokens[k])
    return tokens


def _note(stream: Stream, logits: Any, token: int) -> None:
    logs = torch.log_softmax(exact(logits), -1)
    values, which = logs.topk(stream.top or 1)
    top = list(zip(which.tolist(), values.tolist(), strict=True))[: stream.top]
    stream.tops.append((token, float(logs[token]), top))


def _add_token(stream: Stream, token: int) -> bool:
    """Append a token to a stream's row; return whether the row ended or its client is gone."""
    row, options = stream.row, stream.options
    assert row is not None
    assert options is not None
    ended = _generate.take_token(row, token, options)
    if stream.watched and not ended:
        text, _ = answer_of(row.out.thought, row.out.ids, stream.model._text)
        inside = row.out.thought is not None and not row.out.thought.done
        stream.text = "" if inside else _certain(text, stream.limits.stop)
    return ended or stream.dropped


def _certain(text: str, stop: Sequence[str]) -> str:
    """Return the part of a text that later tokens can't change or cut off at a stop word."""
    text = text_before_stop(text, stop).rstrip(_INCOMPLETE)
    held = max((n for word in stop for n in range(1, len(word)) if text.endswith(word[:n])),
               default=0)  # fmt: skip
    return text[: len(text) - held]


def finish(stream: Stream, cached: int) -> None:
    """Set the reply of a stream that ended; `cached` is the length of its shared prefix."""
    row = stream.row
    assert row is not None
    row.out.cached = cached
    reply = stream.model._as_reply(stream.ids, row.out, stream.limits)
    stream.reply = reply.model_copy(update={"seconds": None})  # rows that join share no clock
    thought = row.out.thought.tokens if row.out.thought else 0
    stream.end = stream.tops[len(row.out.ids) :]
    stream.tops = stream.tops[thought : len(row.out.ids)]


def _filled_up(ended: Sequence[bool]) -> list[int]:
    """Return for each batch slot the row to keep: the last rows move into slots of ended rows."""
    count = sum(not end for end in ended)
    behind = (k for k in range(count, len(ended)) if not ended[k])
    return [next(behind) if ended[k] else k for k in range(count)]
