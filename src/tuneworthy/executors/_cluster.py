"""The protocol between a study and a cluster: nodes, the processes started there, calls.

Knows no arm and no ledger. `ray.py` implements it; tests have one in this process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol


class HostLost(Exception):
    """Raised if a call's process or node is gone; the text says how. The call may be repeated."""


@dataclass(frozen=True)
class Need:
    """The resources that one process needs: GPUs, bytes of memory, model threads (0: any)."""

    gpus: int = 0
    memory: int = 0
    threads: int = 0


class Node(NamedTuple):
    """A living node: its id and name, the CPUs, GPUs and bytes of memory that it offers."""

    id: str
    name: str
    cpus: float
    gpus: float
    memory: float

    def places(self, need: Need) -> int:
        """Return how many processes with this need fit on the node; at most one without GPUs."""
        if self.cpus < 1 or self.memory < need.memory:
            return 0
        if not need.gpus:
            return 1
        by_memory = int(self.memory // need.memory) if need.memory else int(self.cpus)
        return max(0, min(int(self.gpus) // need.gpus, int(self.cpus), by_memory))


class Cluster(Protocol):
    """A connected cluster. Only `ready` and `result` wait for a call; the rest returns at once."""

    name: str

    def nodes(self) -> Sequence[Node]:
        """Return the living nodes."""
        ...

    def start(self, node: Node, need: Need) -> Any:
        """Start a process (a `Host`) on a node and return its handle."""
        ...

    def share(self, value: Any) -> Any:
        """Store a value once for all nodes; return a reference to pass in its place."""
        ...

    def call(self, host: Any, method: str, *details: Any) -> Any:
        """Start a call of a host's method; return the call's handle."""
        ...

    def ready(self, call: Any, seconds: float) -> bool:
        """Return whether a call has ended, after waiting at most `seconds`."""
        ...

    def result(self, call: Any) -> Any:
        """Return the value of a call that ended.

        Raises HostLost if its process or node is gone, ClusterError if the cluster is full, and
        whatever the method raised.
        """
        ...

    def stop(self, host: Any) -> None:
        """Kill a host's process."""
        ...

    def close(self) -> None:
        """Disconnect; end the cluster if we started it."""
        ...
