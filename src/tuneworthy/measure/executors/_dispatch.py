"""Run a study's arms on a cluster: send the calls to hosts, repeat lost ones, return results.

One thread at a time runs the study's code (metrics, ledger, progress); threads overlap only while
they wait for a node. So the study's code need not be thread-safe, and the ledger has one writer.
Knows no kind of cluster.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from tuneworthy.measure.answering import THIS_PROCESS, Executor, FitRequest, Item, Result
from tuneworthy.measure.executors._cluster import Cluster, HostLost, Need, need_of
from tuneworthy.measure.executors._hosts import HostPool, RunningHost
from tuneworthy.measure.executors._job import (
    CallError,
    CallResult,
    FittedFacts,
    job_of,
    read_files,
    study_parts,
    why_in_this_process,
)
from tuneworthy.measure.latency import LatencySample
from tuneworthy.records.answer import Answer
from tuneworthy.records.arm import Fitted
from tuneworthy.records.case import Query
from tuneworthy.records.errors import ClusterError
from tuneworthy.records.model import Model
from tuneworthy.records.run import Spec
from tuneworthy.records.task import Task
from tuneworthy.store import signals
from tuneworthy.store.blobs import receive_files

_MOST_TRIES = 3  # processes that one call may lose before the run ends
_MOST_CALLS_AT_ONCE = 64  # of one level: arms, or shards of an arm
_POLL_SECONDS = 0.2  # a waiting thread checks so often for a stop signal
_QUICK_FIT_SECONDS = 2.0  # an arm that is fitted faster, or left files, may answer on any node
Connect = Callable[[Need, Callable[[str], None]], Cluster]


@dataclass(frozen=True)
class _FittedThere(Fitted):
    """An arm that was fitted on a node; `times` measures its latency there."""

    times: Callable[[Sequence[Query], bool], LatencySample] | None = None


@dataclass
class _PlacedJob:
    """A job on the cluster: the arguments of its calls, and the host that fitted it.

    `movable`: another host may fit it again to answer.
    """

    arguments: tuple[Any, ...]
    files: Any = None
    host: RunningHost | None = None
    movable: bool = True
    notes: list[str] = field(default_factory=list)


class Dispatch:
    """The executor of a cluster; it connects when an arm first runs there."""

    def __init__(self, connect: Connect, say: Callable[[str], None]) -> None:
        self._connect, self._say = connect, say
        self._pool: HostPool | None = None
        self._need = Need()
        # Held by whoever runs the study's code: the main thread, or one of `map`.
        self._token = threading.Condition(threading.Lock())
        self._token.acquire()
        self._keys: set[str] = set()
        self._shared: dict[tuple[int, ...], tuple[Any, Any]] = {}
        self._announced: set[str] = set()
        self._broken: BaseException | None = None
        self._owner = threading.get_ident()

    def of_arm(self, spec: Spec, task: Task, models: Mapping[str, Model]) -> Executor:
        """Return this executor, or THIS_PROCESS for an arm that can't run on a node."""
        if why := why_in_this_process(spec, task, models):
            if spec.name not in self._announced:
                self._announced.add(spec.name)
                self._say(f"{spec.name} runs in this process: {why}")
            return THIS_PROCESS
        if self._pool is None:
            self._need = need_of(task, models)
            self._pool = HostPool(self._connect(self._need, self._say), self._need, self._say)
        return self

    def fit(self, request: FitRequest) -> tuple[Fitted, float]:
        """Return the arm, fitted on a node, and the seconds that took there.

        The files that it wrote are in `setup.folder`. Raises DoesNotApply, the errors of the arm's
        `fit`, and ClusterError.
        """
        setup, pool = request.setup, self._host_pool
        study = self._share(setup.task, lambda: study_parts(setup.task))
        lists = self._share((setup.docs, setup.unlabelled))
        placed = _PlacedJob((study, pool.share(job_of(request)), lists))
        if earlier := read_files(setup.folder):
            placed.files = pool.share(earlier)
        facts: FittedFacts = self._call(placed, "fit", say=setup.say)
        receive_files(setup.folder, facts.files)
        if facts.files:
            placed.files = pool.share(facts.files)
        placed.movable = bool(facts.files) or facts.seconds < _QUICK_FIT_SECONDS

        def answer(queries: Sequence[Query]) -> list[Answer]:
            return self._call(placed, "answer", queries)  # type: ignore[no-any-return]

        def longer(queries: Sequence[Query]) -> list[Answer]:
            return self._call(placed, "longer", queries)  # type: ignore[no-any-return]

        def times(queries: Sequence[Query], every: bool) -> LatencySample:
            return self._call(placed, "times", queries, every)  # type: ignore[no-any-return]

        fitted = _FittedThere(
            answer=answer,
            learned=facts.learned,
            recipe=facts.recipe,
            trace=facts.trace,
            artefact=setup.folder / facts.artefact if facts.artefact else None,
            model=_remote_model(facts, placed.notes),
            notes=facts.notes,
            longer=longer if facts.longer else None,
            times=times,
        )
        return fitted, facts.seconds

    def latency(
        self,
        fitted: Fitted,
        queries: Sequence[Query],
        check: Callable[[], None],  # noqa: ARG002
        every: bool,
    ) -> LatencySample:
        """Return the latency of single requests, measured on the node, without the network."""
        assert isinstance(fitted, _FittedThere)
        assert fitted.times is not None
        return fitted.times(queries, every)

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterable[Result]:
        """Return `function` of each item, in order, computed on several nodes at once.

        If one call raises, the others end at their next check, and its error is raised.
        """
        width = min(len(items), self._host_pool.width, _MOST_CALLS_AT_ONCE)
        if width < 2:
            return map(function, items)

        def one(item: Item) -> Result:
            with self._token:
                self._check_stopped()
                try:
                    return function(item)
                except BaseException as error:
                    self._broken = self._broken or error
                    raise

        try:
            with self._token_released(), ThreadPoolExecutor(width, "arm") as threads:
                futures = [threads.submit(one, item) for item in items]
                self._wait_or_break(futures)
            if self._broken is not None:
                raise self._broken
            return [future.result() for future in futures]
        finally:
            if threading.get_ident() == self._owner:
                self._broken = None

    def _wait_or_break(self, futures: Sequence[Future[Any]]) -> None:
        try:
            wait(futures)
        except BaseException as error:  # Ctrl-C in a notebook: the threads end at their next check
            self._broken = self._broken or error
            raise

    @contextmanager
    def turn(self, keys: Iterable[str]) -> Iterator[None]:
        """Hold these ledger keys inside the block; another thread that needs one waits."""
        wanted = set(keys)
        while wanted & self._keys:
            self._token.wait(_POLL_SECONDS)
            self._check_stopped()
        self._keys |= wanted
        try:
            yield
        finally:
            self._keys -= wanted
            self._token.notify_all()

    def close(self) -> None:
        """End every process that we started, and the cluster if we started it."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    @property
    def _host_pool(self) -> HostPool:
        assert self._pool is not None, "of_arm connects"
        return self._pool

    def _share(self, value: Any, made: Callable[[], Any] | None = None) -> Any:
        """Return the reference to a value, or to `made()` of it, sent once for many calls."""
        parts = value if isinstance(value, tuple) else (value,)
        name = tuple(map(id, parts))  # the values are kept, so no other gets their ids
        if name not in self._shared:
            self._shared[name] = parts, self._host_pool.share(made() if made else value)
        return self._shared[name][1]

    def _check_stopped(self) -> None:
        signals.check()
        if self._broken is not None:
            raise self._broken

    @contextmanager
    def _token_released(self) -> Iterator[None]:
        """Let other threads run the study's code while the block waits."""
        self._token.release()
        try:
            yield
        finally:
            self._token.acquire()

    def _call(
        self,
        placed: _PlacedJob,
        what: str,
        *details: Any,
        say: Callable[[str], None] = lambda text: None,
    ) -> Any:
        """Return the value of a call on a host; repeat it on another host if that one is lost.

        A lost call that ends after all is not read: its answers would be a second copy.
        """
        lost: list[str] = []
        while len(lost) < _MOST_TRIES:
            host = self._take_host(placed)
            try:
                reply = self._await_reply(host, placed, what, details, say)
            except HostLost as loss:
                lost.append(f"{host.node.name}: {loss}")
                self._host_pool.lose(host)
                placed.host = None
                self._say(f"node {host.node.name} was lost ({loss}); what it did is done again")
                continue
            finally:
                self._host_pool.free(host)
                self._token.notify_all()
            placed.host = host
            if isinstance(reply, CallError):
                raise reply.error
            assert isinstance(reply, CallResult)
            placed.notes[:] = reply.notes
            return reply.value
        raise ClusterError(
            "an arm lost the process that it ran in, again and again",
            where="; ".join(lost),
            fix="give the nodes more memory, or look at their logs (`ray logs`)",
        )

    def _take_host(self, placed: _PlacedJob) -> RunningHost:
        """Wait for a free host that may take a job's call, and return it, now busy."""
        begun, waiting = time.monotonic(), False
        while True:
            self._check_stopped()
            own = placed.host if not placed.movable else None
            if host := self._host_pool.take(placed.host, only=own):
                return host
            if not waiting and (waiting := time.monotonic() - begun > 15):
                self._host_pool.tell_waiting()
            self._token.wait(_POLL_SECONDS)

    def _await_reply(
        self,
        host: RunningHost,
        placed: _PlacedJob,
        what: str,
        details: tuple[Any, ...],
        say: Callable[[str], None],
    ) -> CallResult | CallError:
        """Call an arm on a host and return the reply; pass its messages on while it works."""
        cluster, told = self._host_pool.cluster, time.monotonic()
        call = cluster.call(
            host.handle, "call_arm", what, *placed.arguments, placed.files, *details
        )
        try:
            while not self._wait_ready(call, _POLL_SECONDS):
                self._check_stopped()
                if what == "fit" and time.monotonic() - told > 1:
                    told = time.monotonic()
                    self._pass_messages_on(host, say)
        except BaseException:  # the study ends: nobody will read this call
            self._host_pool.drop(host)
            raise
        if what == "fit":
            self._pass_messages_on(host, say)
        return cluster.result(call)  # type: ignore[no-any-return]

    def _wait_ready(self, call: Any, seconds: float) -> bool:
        with self._token_released():
            return self._host_pool.cluster.ready(call, seconds)

    def _pass_messages_on(self, host: RunningHost, say: Callable[[str], None]) -> None:
        """Pass the messages of a host's arm since the last time on to `say`."""
        cluster = self._host_pool.cluster
        asked = cluster.call(host.handle, "messages_from", host.messages_read)
        if not self._wait_ready(asked, 5.0):
            return
        with suppress(HostLost):  # the arm's own call raises it too
            lines = cluster.result(asked)
            host.messages_read += len(lines)
            for line in lines:
                say(line)


def _remote_model(facts: FittedFacts, notes: list[str]) -> Any:
    """Return an object with the attributes that the study reads of a node's model; None without."""
    if facts.model is None:
        return None
    values = {"spec": facts.model.spec, "fingerprint": facts.model.fingerprint,
              "context": facts.model.context, "notes": notes}  # fmt: skip
    if facts.model.shard is not None:
        values["shard"] = facts.model.shard
    return SimpleNamespace(**values)
