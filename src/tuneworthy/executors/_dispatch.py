"""Run a study's arms on a cluster: who computes what, what is tried again, what comes back.

One thread at a time runs the study's code (metrics, ledger, progress); threads overlap only while
they wait for a node. So nothing of the study need be safe for threads, and the ledger has one
writer. Knows no kind of cluster.
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

from tuneworthy.core.answer import Answer
from tuneworthy.core.arm import Fitted
from tuneworthy.core.case import Query
from tuneworthy.core.errors import ClusterError
from tuneworthy.core.model import Model
from tuneworthy.core.run import Spec
from tuneworthy.core.task import Task
from tuneworthy.executors._cluster import Cluster, HostLost, Need
from tuneworthy.executors._hosts import HostPool, RunningHost
from tuneworthy.executors._job import (
    Failed,
    FittedFacts,
    Told,
    job_of,
    parts_of,
    read_files,
    why_in_this_process,
)
from tuneworthy.executors._needs import need_of
from tuneworthy.ledger import signals
from tuneworthy.ledger.received import receive_files
from tuneworthy.measure.executor import THIS_PROCESS, Executor, FitRequest, Item, Result
from tuneworthy.measure.latency import LatencySample

TRIES = 3  # processes that one call may lose before the run ends
THREADS = 64  # calls in flight of one level: arms, or shards of an arm
POLL = 0.2  # seconds between two looks at a signal
QUICK = 2.0  # seconds: an arm that is fitted faster, or left files, may answer on any node
Open = Callable[[Need, Callable[[str], None]], Cluster]


@dataclass(frozen=True)
class FittedThere(Fitted):
    """An arm that was fitted on a node; `times` measures its latency there."""

    times: Callable[[Sequence[Query], bool], LatencySample] | None = None


@dataclass
class _Placed:
    """A job on the cluster: what every call of it passes, and the host that fitted it."""

    arguments: tuple[Any, ...]
    files: Any = None
    host: RunningHost | None = None
    movable: bool = True
    notes: list[str] = field(default_factory=list)


class Dispatch:
    """The executor of a cluster, which is connected to when it is first needed."""

    def __init__(self, connect: Open, say: Callable[[str], None]) -> None:
        self._connect, self._say = connect, say
        self._pool: HostPool | None = None
        self._need = Need()
        # Held by whoever runs the study's code: the main thread, or one of `map`.
        self._token = threading.Condition(threading.Lock())
        self._token.acquire()
        self._keys: set[str] = set()
        self._shared: dict[tuple[int, ...], tuple[Any, Any]] = {}
        self._told: set[str] = set()
        self._broken: BaseException | None = None
        self._owner = threading.get_ident()

    def of_arm(self, spec: Spec, task: Task, models: Mapping[str, Model]) -> Executor:
        """Return this executor, or that of this process for an arm that can't run on a node."""
        if why := why_in_this_process(spec, task, models):
            if spec.name not in self._told:
                self._told.add(spec.name)
                self._say(f"{spec.name} runs in this process: {why}")
            return THIS_PROCESS
        if self._pool is None:
            self._need = need_of(task, models)
            self._pool = HostPool(self._connect(self._need, self._say), self._need, self._say)
        return self

    def fit(self, request: FitRequest) -> tuple[Fitted, float]:
        """Return the arm, fitted on a node, and the seconds it took there.

        The files that it left are in `setup.folder`. Raises DoesNotApply, the errors of the arm's
        `fit`, and ClusterError.
        """
        setup, pool = request.setup, self._hosts
        study = self._share(setup.task, lambda: parts_of(setup.task))
        lists = self._share((setup.docs, setup.unlabelled))
        placed = _Placed((study, pool.share(job_of(request)), lists))
        if earlier := read_files(setup.folder):
            placed.files = pool.share(earlier)
        facts: FittedFacts = self._call(placed, "fit", say=setup.say)
        receive_files(setup.folder, facts.files)
        if facts.files:
            placed.files = pool.share(facts.files)
        placed.movable = bool(facts.files) or facts.seconds < QUICK

        def answer(queries: Sequence[Query]) -> list[Answer]:
            return self._call(placed, "answer", queries)  # type: ignore[no-any-return]

        def longer(queries: Sequence[Query]) -> list[Answer]:
            return self._call(placed, "longer", queries)  # type: ignore[no-any-return]

        def times(queries: Sequence[Query], every: bool) -> LatencySample:
            return self._call(placed, "times", queries, every)  # type: ignore[no-any-return]

        fitted = FittedThere(
            answer=answer,
            learned=facts.learned,
            recipe=facts.recipe,
            trace=facts.trace,
            artefact=setup.folder / facts.artefact if facts.artefact else None,
            model=_stand_in(facts, placed.notes),
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
        """Return the times of single requests, measured on the node: no network is in them."""
        assert isinstance(fitted, FittedThere)
        assert fitted.times is not None
        return fitted.times(queries, every)

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterable[Result]:
        """Return the results in the order of the items, computed on several nodes at once.

        If one raises, the others end at their next safe point, and it is raised.
        """
        width = min(len(items), self._hosts.width, THREADS)
        if width < 2:
            return map(function, items)

        def one(item: Item) -> Result:
            with self._token:
                self._check()
                try:
                    return function(item)
                except BaseException as error:
                    self._broken = self._broken or error
                    raise

        try:
            with self._away(), ThreadPoolExecutor(width, "arm") as threads:
                futures = [threads.submit(one, item) for item in items]
                self._wait(futures)
            if self._broken is not None:
                raise self._broken
            return [future.result() for future in futures]
        finally:
            if threading.get_ident() == self._owner:
                self._broken = None

    def _wait(self, futures: Sequence[Future[Any]]) -> None:
        try:
            wait(futures)
        except BaseException as error:  # Ctrl-C in a notebook: the threads end at their next look
            self._broken = self._broken or error
            raise

    @contextmanager
    def turn(self, keys: Iterable[str]) -> Iterator[None]:
        """Hold these keys inside the block: two threads that need one compute it once."""
        wanted = set(keys)
        while wanted & self._keys:
            self._token.wait(POLL)
            self._check()
        self._keys |= wanted
        try:
            yield
        finally:
            self._keys -= wanted
            self._token.notify_all()

    def close(self) -> None:
        """End every process that we started, and the cluster if it is ours."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    @property
    def _hosts(self) -> HostPool:
        assert self._pool is not None, "of_arm connects"
        return self._pool

    def _share(self, value: Any, made: Callable[[], Any] | None = None) -> Any:
        """Return what to pass in place of a value that many calls share; it is sent once."""
        parts = value if isinstance(value, tuple) else (value,)
        name = tuple(map(id, parts))  # the values are kept, so no other gets their ids
        if name not in self._shared:
            self._shared[name] = parts, self._hosts.share(made() if made else value)
        return self._shared[name][1]

    def _check(self) -> None:
        signals.check()
        if self._broken is not None:
            raise self._broken

    @contextmanager
    def _away(self) -> Iterator[None]:
        """Let another thread run the study's code inside the block."""
        self._token.release()
        try:
            yield
        finally:
            self._token.acquire()

    def _call(
        self,
        placed: _Placed,
        what: str,
        *details: Any,
        say: Callable[[str], None] = lambda text: None,
    ) -> Any:
        """Return the value of a call on some host; a lost one is called again on another.

        A lost call that ends after all is not read: its answers would be a second copy.
        """
        lost: list[str] = []
        while len(lost) < TRIES:
            host = self._taken(placed)
            try:
                reply = self._answered(host, placed, what, details, say)
            except HostLost as loss:
                lost.append(f"{host.node.name}: {loss}")
                self._hosts.drop(host)
                placed.host = None
                self._say(f"node {host.node.name} was lost ({loss}); what it did is done again")
                continue
            finally:
                self._hosts.free(host)
                self._token.notify_all()
            placed.host = host
            if isinstance(reply, Failed):
                raise reply.error
            assert isinstance(reply, Told)
            placed.notes[:] = reply.notes
            return reply.value
        raise ClusterError(
            "an arm lost the process that it ran in, again and again",
            where="; ".join(lost),
            fix="give the nodes more memory, or look at their logs (`ray logs`)",
        )

    def _taken(self, placed: _Placed) -> RunningHost:
        """Return a free host for a call, once there is one."""
        begun, waiting = time.monotonic(), False
        while True:
            self._check()
            own = placed.host if not placed.movable else None
            if host := self._hosts.take(placed.host, only=own):
                return host
            if not waiting and (waiting := time.monotonic() - begun > 15):
                self._hosts.tell_waiting()
            self._token.wait(POLL)

    def _answered(
        self,
        host: RunningHost,
        placed: _Placed,
        what: str,
        details: tuple[Any, ...],
        say: Callable[[str], None],
    ) -> Told | Failed:
        """Return the reply of a host; pass its messages on while it works."""
        cluster, told = self._hosts.cluster, time.monotonic()
        call = cluster.call(host.handle, "do", what, *placed.arguments, placed.files, *details)
        try:
            while not self._ready(call, POLL):
                self._check()
                if what == "fit" and time.monotonic() - told > 1:
                    told = time.monotonic()
                    self._pass_on(host, say)
        except BaseException:  # the study ends: nobody will read this call
            self._hosts.drop(host)
            raise
        if what == "fit":
            self._pass_on(host, say)
        return cluster.result(call)  # type: ignore[no-any-return]

    def _ready(self, call: Any, seconds: float) -> bool:
        with self._away():
            return self._hosts.cluster.ready(call, seconds)

    def _pass_on(self, host: RunningHost, say: Callable[[str], None]) -> None:
        """Say what the host's arm said since the last time."""
        cluster = self._hosts.cluster
        asked = cluster.call(host.handle, "said", host.heard)
        if not self._ready(asked, 5.0):
            return
        with suppress(HostLost):  # its call says so, too
            lines = cluster.result(asked)
            host.heard += len(lines)
            for line in lines:
                say(line)


def _stand_in(facts: FittedFacts, notes: list[str]) -> Any:
    """Return what the study reads of a model that answers on a node; None without one."""
    if facts.model is None:
        return None
    values = {"spec": facts.model.spec, "fingerprint": facts.model.fingerprint,
              "context": facts.model.context, "notes": notes}  # fmt: skip
    if facts.model.shard is not None:
        values["shard"] = facts.model.shard
    return SimpleNamespace(**values)
