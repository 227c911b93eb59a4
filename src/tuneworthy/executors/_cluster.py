"""The contract between a study and a cluster: nodes, the processes that we start there, calls.

Knows no arm and no ledger. `ray.py` implements it; tests have one in this process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol


class HostLost(Exception):
    """The process or the node that a call ran on is gone; the text says how. Call again."""


@dataclass(frozen=True)
class Need:
    """What one process on a node needs: GPUs, bytes of memory, threads of a model (0: any)."""

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
        """Return how many processes with this need fit on the node: one a GPU, else one."""
        if self.cpus < 1 or self.memory < need.memory:
            return 0
        if not need.gpus:
            return 1
        by_memory = int(self.memory // need.memory) if need.memory else int(self.cpus)
        return max(0, min(int(self.gpus) // need.gpus, int(self.cpus), by_memory))


class Cluster(Protocol):
    """A connected cluster. Calls return at once; `ready` and `result` wait."""

    name: str

    def nodes(self) -> Sequence[Node]:
        """Return the living nodes."""
        ...

    def start(self, node: Node, need: Need) -> Any:
        """Start a process (a `Host`) on a node and return its handle."""
        ...

    def share(self, value: Any) -> Any:
        """Store a value once for all nodes and return what to pass in its place."""
        ...

    def call(self, host: Any, method: str, *details: Any) -> Any:
        """Begin a call of a host's method and return it."""
        ...

    def ready(self, call: Any, seconds: float) -> bool:
        """Return whether a call ended, after waiting up to so many seconds."""
        ...

    def result(self, call: Any) -> Any:
        """Return the value of a call that ended.

        Raises HostLost if its process or node is gone, ClusterError if the cluster is full, and
        whatever the method raised.
        """
        ...

    def stop(self, host: Any) -> None:
        """End a host's process, whatever it does."""
        ...

    def close(self) -> None:
        """Disconnect; end the cluster if we started it."""
        ...
