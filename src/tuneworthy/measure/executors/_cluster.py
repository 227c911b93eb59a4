"""The protocol between a study and a cluster: nodes, the processes started there, calls.

Knows no arm and no ledger. `ray.py` implements it; tests have one in this process.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from tuneworthy.measure.model_roles import roles_of
from tuneworthy.models import is_local
from tuneworthy.records.addresses import refuse_address
from tuneworthy.records.errors import TaskError, TuneworthyError
from tuneworthy.records.model import Model
from tuneworthy.records.specs import specs
from tuneworthy.records.task import Task


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
        """Return how many such processes fit on the node; at most one if they need no GPU."""
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


_HOST_AND_PORT = re.compile(
    r"(?P<client>ray://)?(?P<host>\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+):(?P<port>\d+)"
)

_ADDRESS_FORMS = (
    "local, ray (one that we start), auto (the one on this machine), HOST:PORT or ray://HOST:PORT"
)


@dataclass(frozen=True)
class Address:
    """A cluster's address: `kind` is the plug-in, `name` the address for it; host, port if given.

    `name` is `own` for a cluster that we start and end, `auto` for the one on this machine.
    """

    kind: str
    name: str
    host: str = ""
    port: int = 0


def address_of(text: str) -> Address | None:
    """Return the cluster address that a text means; None for "local" (this process).

    Raises TaskError for a text that is no address, SecurityError for a forbidden one.
    """
    if text == "local":
        return None
    if text in ("ray", "auto"):
        return Address("ray", "own" if text == "ray" else text)
    match = _HOST_AND_PORT.fullmatch(text)
    if match is None or not 0 < int(match["port"]) < 65_536:
        raise TaskError(
            "that is no place to run arms on",
            where="--on, or executor in task.yaml",
            got=text,
            fix=f"write {_ADDRESS_FORMS}",
        )
    host = match["host"].strip("[]")
    refuse_address(host)
    return Address("ray", text, host, int(match["port"]))


_BASE_BYTES = 1 << 29  # of a process without a model
_BYTES_PER_MODEL_BYTE = 1.1  # memory used for each byte that a model's parts need


def need_of(task: Task, models: Mapping[str, Model]) -> Need:
    """Return the resources that a process needs to hold every local model of the study's arms.

    Memory is the same estimate by which opening a model is refused: weights and one full batch.
    Training memory is checked on the node, against what is free there then.
    """
    roles = {role for spec in specs(task) for role in roles_of(models, spec)}
    held: dict[str, tuple[int, Mapping[str, str]]] = {}
    for role in sorted(roles):
        with suppress(TuneworthyError):  # an arm whose model can't be opened says so itself
            model = models[role]
            if is_local(model.spec):
                held[model.spec] = _model_bytes(model), model.fingerprint
    marks = [mark for _, mark in held.values()]
    return Need(
        gpus=int(any(mark.get("device") == "cuda" for mark in marks)),
        memory=_BASE_BYTES + int(_BYTES_PER_MODEL_BYTE * sum(size for size, _ in held.values())),
        threads=max((int(mark.get("threads", 0)) for mark in marks), default=0),
    )


def _model_bytes(model: Model) -> int:
    if not hasattr(model, "module"):
        return 0
    from tuneworthy.models.local.memory import memory_of

    return memory_of(model)
