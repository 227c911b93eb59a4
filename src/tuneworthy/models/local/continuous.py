"""Continuous batching: requests join and leave a running batch between two decoding steps.

The scheduling is that of Orca (Yu et al., OSDI 2022). On a CPU as many batches run in parallel as
torch has threads, as in `generate.py`. Knows no HTTP.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch

from tuneworthy.core.model import Limits, Prompt, Reply
from tuneworthy.models.local.forward import read_prefix
from tuneworthy.models.local.generate import LEAST_SHARED
from tuneworthy.models.local.lane import Lane, Stream, finish, prepare

CACHED_GRAMMARS = 64  # compiled grammars that are kept
# Decoding steps of a lane before it waits for the other lanes, which costs time.
STEPS_PER_MEETING = 4


class Group:
    """The streams of one model (with its adapter) and one shared prefix: waiting or decoded."""

    def __init__(self, model: Any, head: Sequence[int], count: int) -> None:
        self.model = model
        with model._adapter_applied(), torch.inference_mode():
            prefix = read_prefix(model.net, head) if head else None
        self.prefix_tokens = len(head)
        self.lanes = [Lane(model.net, prefix) for _ in range(count)]
        self.waiting: list[Stream] = []

    @property
    def running(self) -> int:
        """Return the number of rows that are decoded now."""
        return sum(len(lane.streams) for lane in self.lanes)

    @property
    def watched(self) -> bool:
        """Return whether a client reads one of the rows token by token."""
        return any(stream.watched for lane in self.lanes for stream in lane.streams)

    def turns(self, tokens: int) -> list[tuple[Lane, list[Stream]]]:
        """Return (lane, streams that join it now) for each lane that has work.

        A lane holds no more than `tokens` padded tokens, unless a single row has more. Few rows
        share one lane, whose steps then run on all cores.
        """
        few = self.running + len(self.waiting) < 2 * len(self.lanes)
        joins: list[tuple[Lane, list[Stream]]] = [(lane, []) for lane in self.lanes]
        while self.waiting:
            open_ = joins[:1] if few else joins
            lane, new = min(open_, key=lambda pair: len(pair[0].streams) + len(pair[1]))
            rows = [*lane.streams, *new, self.waiting[0]]
            longest = max(len(s.ids) + s.options.room for s in rows if s.options)
            if len(rows) > 1 and longest * len(rows) > tokens:
                break
            new.append(self.waiting.pop(0))
        return [(lane, new) for lane, new in joins if new or lane.streams]


class Batcher:
    """All running batches on one set of weights; only one thread may call its methods.

    Groups take turns, a few steps each, so that an adapter is applied to its own rows only.
    """

    def __init__(self) -> None:
        self._groups: dict[tuple[int, tuple[int, ...]], Group] = {}
        self._pool: ThreadPoolExecutor | None = None
        self._threads = torch.get_num_threads()

    @property
    def busy(self) -> bool:
        """Return whether any stream is waiting or being decoded."""
        return any(group.waiting or group.running for group in self._groups.values())

    @property
    def rows(self) -> int:
        """Return the number of rows that are decoded now."""
        return sum(group.running for group in self._groups.values())

    def add(self, stream: Stream) -> bool:
        """Queue a stream; return False if it ended at once, with an error in its reply.

        Raises TaskError for a grammar that can't be compiled, ModelError for limits that the
        model's thinking contradicts.
        """
        prepare(stream)
        guides = stream.model._guides
        while len(guides) > CACHED_GRAMMARS:  # each client may send schemas of its own
            del guides[next(iter(guides))]
        if stream.reply is not None:
            return False
        head = stream.head
        if tuple(stream.ids[: len(head)]) != head or len(stream.ids) <= len(head):
            head = ()
        key = id(stream.model), head
        if key not in self._groups:
            count = self._threads if stream.model.net.device == "cpu" else 1
            self._groups[key] = Group(stream.model, head, count)
        self._groups[key].waiting.append(stream)
        return True

    def advance(self) -> list[Stream]:
        """Let waiting streams join, decode some steps of each group; return the streams that ended.

        A stream whose batch failed ends with an error in its reply.
        """
        ended: list[Stream] = []
        for group in self._groups.values():
            if group.waiting or group.running:
                ended += self._advance(group)
        return [stream for stream in ended if not self._again(stream)]

    def _advance(self, group: Group) -> list[Stream]:
        model, over = group.model, []
        over += [stream for stream in group.waiting if stream.dropped]
        group.waiting = [stream for stream in group.waiting if not stream.dropped]
        joins = group.turns(max(1, model.tokens // len(group.lanes)))
        try:
            with model._adapter_applied():
                steps = 1 if group.watched else STEPS_PER_MEETING
                parts = self._both([(lane.turn, (new, steps)) for lane, new in joins])
        except Exception as error:
            lost = [stream for lane in group.lanes for stream in lane.clear()]
            lost += [stream for _, new in joins for stream in new if stream not in lost]
            for stream in lost:
                why = f"{type(error).__name__}: {error}"
                stream.reply = Reply(text="", finish="error", error=why)
            return [*over, *lost]
        for stream in (done for part in parts for done in part):
            finish(stream, group.prefix_tokens)
            over.append(stream)
        return over

    def _both(self, calls: Sequence[tuple[Any, tuple[Any, ...]]]) -> list[Any]:
        """Return the results of calls; several run in parallel, each on a share of the cores."""
        if len(calls) < 2:
            return [call(*given) for call, given in calls]
        if self._pool is None:
            share = (max(1, self._threads // len(calls)),)
            self._pool = ThreadPoolExecutor(self._threads, "lane", torch.set_num_threads, share)
        done = [self._pool.submit(call, *given) for call, given in calls]
        try:
            return [one.result() for one in done]
        finally:
            # set_num_threads in a worker also sets the default of new threads
            torch.set_num_threads(self._threads)

    def _again(self, stream: Stream) -> bool:
        """Queue a stream again, with room for a thought, if it thought unexpectedly; else False."""
        row, options = stream.row, stream.options
        watch = options.watch if options else None
        if stream.dropped or row is None or watch is None or stream.thought_expected:
            return False
        if not row.out.unended or watch.most >= stream.limits.thought_tokens:
            return False
        stream.thought_expected, stream.reply, stream.tops = True, None, []
        return self.add(stream)


def shared_ids(model: Any, prompts: Sequence[Prompt]) -> tuple[int, ...]:
    """Return the ids that all prompts begin with, () if there are too few to share."""
    coded = [model._prompt_ids(prompt) for prompt in prompts]
    if any(isinstance(ids, str) for ids in coded):
        return ()
    length = 0
    for column in zip(*coded, strict=False):
        if len(set(column)) > 1:
            break
        length += 1
    length = min(length, min(map(len, coded)) - 1)
    fits = length >= LEAST_SHARED and model.net.fits(length)
    return tuple(coded[0][:length]) if fits else ()


def joins(model: Any, limits: Limits) -> bool:
    """Return whether requests with these limits can join a running batch of a local model.

    They can't if labels are scored instead of decoded, or if a sliding window needs other masks.
    """
    return not model._scores_labels(limits) and bool(model.net.fits(model.context or 1 << 30))
