"""Manage a study's processes on a cluster: start, check, lend, take back and replace them.

There is one for each GPU, or one on each node if the study needs no GPU; each opens a model once.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tuneworthy.measure.executors._cluster import Cluster, HostLost, Need, Node
from tuneworthy.measure.executors._job import refuse_other_versions, versions_here
from tuneworthy.records.counting import count_noun
from tuneworthy.records.errors import ClusterError

REFRESH_SECONDS = 2.0  # the nodes are listed so often
_MOST_FAILED_STARTS = 3  # in a row; then a node is left out
MOST_SECONDS_WITHOUT_NODES = 300.0  # then the run ends


@dataclass
class RunningHost:
    """A process on a node. `about` is the call that asks for its versions; None once checked."""

    handle: Any
    node: Node
    about: Any
    busy: bool = False
    messages_read: int = 0


class HostPool:
    """The processes of a study on one cluster. For one thread at a time."""

    def __init__(self, cluster: Cluster, need: Need, say: Callable[[str], None]) -> None:
        self.cluster, self._need, self._say = cluster, need, say
        self._hosts: list[RunningHost] = []
        self._failed: dict[str, int] = {}
        self._losses: Counter[str] = Counter()
        self._last_failure = ""
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
        """Return how many calls may run at once: the number of processes, at least 1."""
        return max(1, len(self._hosts))

    def share(self, value: Any) -> Any:
        """Store a value once for all nodes; return a reference to pass in its place."""
        return self.cluster.share(value)

    def take(self, preferred: RunningHost | None, only: RunningHost | None) -> RunningHost | None:
        """Mark a free process as busy and return it; None if none is free.

        `only`: no other, as long as that one lives. Raises ClusterError if the nodes are gone or
        run other versions.
        """
        if time.monotonic() - self._looked > REFRESH_SECONDS or not self._hosts:
            self._refresh()
        self._check_starting()
        free = [host for host in self._hosts if host.about is None and not host.busy]
        # A lost node takes all its processes with it, and may be listed as living for a while.
        free.sort(key=lambda host: self._losses[host.node.id])
        if only in self._hosts:
            free = [host for host in free if host is only]
        chosen = preferred if preferred in free else next(iter(free), None)
        if chosen is not None:
            chosen.busy = True
        return chosen

    def free(self, host: RunningHost) -> None:
        """Mark a process as free."""
        host.busy = False

    def drop(self, host: RunningHost) -> None:
        """Kill a process and forget it; a new one is started later if its node lives."""
        if host in self._hosts:
            self._hosts.remove(host)
        with suppress(HostLost):
            self.cluster.stop(host.handle)

    def lose(self, host: RunningHost) -> None:
        """Forget a process that was lost; other nodes come first from now on, all are listed anew.

        Without that a call would try every process of a dead node.
        """
        self._losses[host.node.id] += 1
        self._looked = -math.inf
        self.drop(host)

    def tell_waiting(self) -> None:
        """Tell the user that no process is free yet."""
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
        """Return the living nodes; start missing processes on them, drop those of dead nodes."""
        self._looked, nodes = time.monotonic(), self.cluster.nodes()
        alive = {node.id for node in nodes}
        for host in [host for host in self._hosts if host.node.id not in alive and not host.busy]:
            self.drop(host)
        usable = [node for node in nodes if node.places(self._need)]
        self._refuse_unusable(nodes, usable)
        for node in usable:
            there = sum(host.node.id == node.id for host in self._hosts)
            if self._failed.get(node.id, 0) < _MOST_FAILED_STARTS:
                for _ in range(node.places(self._need) - there):
                    handle = self.cluster.start(node, self._need)
                    about = self.cluster.call(handle, "about")
                    self._hosts.append(RunningHost(handle, node, about))
        return nodes

    def _refuse_unusable(self, nodes: Sequence[Node], usable: Sequence[Node]) -> None:
        """Raise ClusterError if no node can run a process, or none was there for too long."""
        if nodes and not usable:
            best = max(nodes, key=lambda node: (node.gpus, node.memory))
            raise ClusterError(
                "a study needs more than any node of the cluster has",
                where=self.cluster.name,
                got=f"needs {_resources_text(1, self._need.gpus, self._need.memory)}; the largest"
                f" node, {best.name}, has {_resources_text(best.cpus, best.gpus, best.memory)}",
                fix="add a node that has it, or choose a smaller model",
            )
        if usable and all(self._failed.get(node.id, 0) >= _MOST_FAILED_STARTS for node in usable):
            raise ClusterError(
                "no process of ours starts on the cluster",
                where=self.cluster.name,
                got=self._last_failure,
                fix="install tuneworthy, this version and extras, in the Python of every node",
            )
        now = time.monotonic()
        if nodes:
            self._last_seen = now
        elif now - self._last_seen > MOST_SECONDS_WITHOUT_NODES:
            raise ClusterError(
                "the cluster has no node left",
                where=self.cluster.name,
                got=f"none for {MOST_SECONDS_WITHOUT_NODES / 60:.0f} minutes",
                fix="start nodes, then run the same command again",
            )

    def _check_starting(self) -> None:
        for host in [host for host in self._hosts if host.about is not None]:
            if not self.cluster.ready(host.about, 0.0):
                continue
            try:
                refuse_other_versions(versions_here(), self.cluster.result(host.about))
            except HostLost as loss:
                self._last_failure = str(loss)
                self._failed[host.node.id] = self._failed.get(host.node.id, 0) + 1
                self.drop(host)
                continue
            host.about = None
            self._failed.pop(host.node.id, None)


def _resources_text(cpus: float, gpus: float, memory: float) -> str:
    return f"{cpus:g} CPU, {gpus:g} GPU, {memory / 1e9:.1f} GB of memory"
