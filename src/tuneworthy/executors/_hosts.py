"""The processes that a study has on a cluster: started, checked, taken, given back, replaced.

One a GPU, or one a node for a study without a GPU; a model is then opened once on each.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tuneworthy.core.counting import count_noun
from tuneworthy.core.errors import ClusterError
from tuneworthy.executors._cluster import Cluster, HostLost, Need, Node
from tuneworthy.executors._job import about_this_process, refuse_others

REFRESH = 2.0  # seconds between two looks at the nodes
STARTS = 3  # failed starts in a row after which a node is left out
GONE = 300.0  # seconds without any node after which the run ends


@dataclass
class RunningHost:
    """A process on a node. `about` is the call that checks it; None once it is ready."""

    handle: Any
    node: Node
    about: Any
    busy: bool = False
    heard: int = 0


class HostPool:
    """The processes of a study on one cluster. For one thread at a time."""

    def __init__(self, cluster: Cluster, need: Need, say: Callable[[str], None]) -> None:
        self.cluster, self._need, self._say = cluster, need, say
        self._hosts: list[RunningHost] = []
        self._failed: dict[str, int] = {}
        self._why = ""
        self._looked = self._last_seen = time.monotonic()
        try:
            nodes = self._refresh()
        except BaseException:
            self.close()
            raise
        cpus, gpus = sum(n.cpus for n in nodes), sum(n.gpus for n in nodes)
        say(
            f"{cluster.name}: {count_noun(len(nodes), 'node')}, {cpus:g} CPUs, {gpus:g} GPUs;"
            f" {count_noun(self.width, 'worker')} there for arms, placebos and learning curves;"
            " scores, verdict, harm checks and robustness in this process"
        )

    @property
    def width(self) -> int:
        """Return how many calls may run at once."""
        return max(1, len(self._hosts))

    def share(self, value: Any) -> Any:
        """Return what to pass in place of a value that is sent to the nodes once."""
        return self.cluster.share(value)

    def take(self, preferred: RunningHost | None, only: RunningHost | None) -> RunningHost | None:
        """Return a free process, now taken; None if there is none yet.

        `only`: that one, as long as it lives. Raises ClusterError if the nodes are gone or differ.
        """
        if time.monotonic() - self._looked > REFRESH or not self._hosts:
            self._refresh()
        self._check_starting()
        free = [host for host in self._hosts if host.about is None and not host.busy]
        if only in self._hosts:
            free = [host for host in free if host is only]
        chosen = preferred if preferred in free else next(iter(free), None)
        if chosen is not None:
            chosen.busy = True
        return chosen

    def free(self, host: RunningHost) -> None:
        """Give a process back."""
        host.busy = False

    def drop(self, host: RunningHost) -> None:
        """End a process and forget it; another one is started if its node lives."""
        if host in self._hosts:
            self._hosts.remove(host)
        with suppress(HostLost):
            self.cluster.stop(host.handle)

    def tell_waiting(self) -> None:
        """Say that no process is free yet."""
        starting = sum(host.about is not None for host in self._hosts)
        what = f"{count_noun(starting, 'worker')} not started yet" if starting else "all are busy"
        self._say(f"waiting for a place on {self.cluster.name}: {what}")

    def close(self) -> None:
        """End every process, then the connection."""
        idle = [host for host in self._hosts if not host.busy and host.about is None]
        cleaned = [self.cluster.call(host.handle, "clean") for host in idle]
        until = time.monotonic() + 2
        for call in cleaned:
            self.cluster.ready(call, max(0.0, until - time.monotonic()))
        for host in list(self._hosts):
            self.drop(host)
        self.cluster.close()

    def _refresh(self) -> Sequence[Node]:
        """Start what is missing on living nodes, forget what was on dead ones; return the nodes."""
        self._looked, nodes = time.monotonic(), self.cluster.nodes()
        alive = {node.id for node in nodes}
        for host in [host for host in self._hosts if host.node.id not in alive and not host.busy]:
            self.drop(host)
        usable = [node for node in nodes if node.places(self._need)]
        self._refuse(nodes, usable)
        for node in usable:
            there = sum(host.node.id == node.id for host in self._hosts)
            if self._failed.get(node.id, 0) < STARTS:
                for _ in range(node.places(self._need) - there):
                    handle = self.cluster.start(node, self._need)
                    about = self.cluster.call(handle, "about")
                    self._hosts.append(RunningHost(handle, node, about))
        return nodes

    def _refuse(self, nodes: Sequence[Node], usable: Sequence[Node]) -> None:
        """Raise ClusterError if no node can take a process, now or for too long."""
        if nodes and not usable:
            best = max(nodes, key=lambda node: (node.gpus, node.memory))
            raise ClusterError(
                "a study needs more than any node of the cluster has",
                where=self.cluster.name,
                got=f"needs {_shown(1, self._need.gpus, self._need.memory)}; the largest node,"
                f" {best.name}, has {_shown(best.cpus, best.gpus, best.memory)}",
                fix="add a node that has it, or choose a smaller model",
            )
        if usable and all(self._failed.get(node.id, 0) >= STARTS for node in usable):
            raise ClusterError(
                "no process of ours starts on the cluster",
                where=self.cluster.name,
                got=self._why,
                fix="install tuneworthy, this version and extras, in the Python of every node",
            )
        now = time.monotonic()
        if nodes:
            self._last_seen = now
        elif now - self._last_seen > GONE:
            raise ClusterError(
                "the cluster has no node left",
                where=self.cluster.name,
                got=f"none for {GONE / 60:.0f} minutes",
                fix="start nodes, then run the same command again",
            )

    def _check_starting(self) -> None:
        for host in [host for host in self._hosts if host.about is not None]:
            if not self.cluster.ready(host.about, 0.0):
                continue
            try:
                refuse_others(about_this_process(), self.cluster.result(host.about))
            except HostLost as loss:
                self._why = str(loss)
                self._failed[host.node.id] = self._failed.get(host.node.id, 0) + 1
                self.drop(host)
                continue
            host.about = None
            self._failed.pop(host.node.id, None)


def _shown(cpus: float, gpus: float, memory: float) -> str:
    return f"{cpus:g} CPU, {gpus:g} GPU, {memory / 1e9:.1f} GB of memory"
