"""Run a study's processes as Ray actors, on a cluster or on a Ray started on this machine.

The only file that imports ray. Ray restarts no actor and repeats no call: the study does both,
since it knows what is stored already.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from tuneworthy.measure.executors._cluster import Address, Cluster, HostLost, Need, Node
from tuneworthy.measure.executors._host import Host
from tuneworthy.records.errors import ClusterError, NotInstalled, error_chain
from tuneworthy.store.signals import SIGNALS

_NAMESPACE = "tuneworthy"
_CONNECT_SECONDS = 10.0  # seconds to reach an address
_QUIET_VARIABLES = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
}


def open_cluster(address: Address, need: Need, say: Callable[[str], None]) -> Cluster:
    """Connect to the cluster at an address, or start one for `own`, and return it.

    Raises NotInstalled, or ClusterError if it can't be reached or has another version.
    """
    try:
        with _quiet_environment():
            import ray
    except ImportError as missing:
        raise NotInstalled(
            "running arms on a cluster needs the extra `ray`",
            got=str(missing),
            fix="pip install 'tuneworthy[ray]'",
        ) from missing
    if ray.is_initialized():  # a notebook that is connected already
        return RayCluster(ray, "Ray", shutdown=False)
    if address.host:
        _check_reachable(address)
    name = {"own": "Ray on this machine, started for this run", "auto": "Ray on this machine"}
    if address.name == "own":
        say("starting Ray on this machine")
    try:
        with _quiet_environment(), _kept_signal_handlers():
            ray.init(
                address={"own": "local"}.get(address.name, address.name),
                namespace=_NAMESPACE,
                log_to_driver=False,
                configure_logging=False,
                **({"include_dashboard": False} if address.name == "own" else {}),
                **({"num_gpus": 0} if address.name == "own" and not need.gpus else {}),
            )
    except Exception as error:  # Ray raises whatever happened on its way
        with suppress(Exception):
            ray.shutdown()
        raise _connection_error(address, error) from error
    return RayCluster(ray, name.get(address.name, f"Ray at {address.name}"), shutdown=True)


@contextmanager
def _quiet_environment() -> Iterator[None]:
    """Set, in the block, the variables that keep Ray from printing and sending usage data.

    A variable that the user set stays as it is.
    """
    new = {name: value for name, value in _QUIET_VARIABLES.items() if name not in os.environ}
    os.environ.update(new)
    try:
        yield
    finally:
        for name in new:
            os.environ.pop(name, None)


@contextmanager
def _kept_signal_handlers() -> Iterator[None]:
    """Restore our signal handlers after the block: Ray sets its own for SIGTERM, which exits."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        with suppress(ValueError):  # not the main thread: Ray could not set any either
            for number, handler in before.items():
                signal.signal(number, handler)


def _check_reachable(address: Address) -> None:
    try:
        socket.create_connection((address.host, address.port), timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        raise ClusterError(
            "the cluster can't be reached",
            where=address.name,
            got=str(error),
            fix="check the address, that `ray start --head` runs there, and that its port is open"
            " (6379 for HOST:PORT, 10001 for ray://HOST:PORT)",
        ) from error


def _connection_error(address: Address, error: Exception) -> ClusterError:
    """Return the ClusterError for a failed connection, with the fix for its cause."""
    text = " ".join(str(error).split())
    if any(
        "Auth" in type(each).__name__ or "AuthToken" in str(each) for each in error_chain(error)
    ):
        return ClusterError(
            "the cluster wants its token",
            where=address.name,
            got=text,
            fix="set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN to the content of ~/.ray/auth_token on"
            " the cluster's head",
        )
    if "ersion mismatch" in text or "versions do not match" in text:
        return ClusterError(
            "the cluster runs another version of Ray or Python",
            where=address.name,
            got=text,
            fix="use the same versions of Python and Ray here and on the cluster",
        )
    if address.host and not address.name.startswith("ray://"):
        fix = "run the command on a node of the cluster, or connect by ray://HOST:10001"
    elif address.name == "auto":
        fix = "start Ray on this machine (`ray start --head`), or name an address"
    elif "timed out during startup" in text:
        fix = (
            "Ray gives its processes 15 seconds to start: try again when this machine is less busy"
        )
    else:
        fix = "look at Ray's logs (/tmp/ray/session_latest/logs)"
    return ClusterError(
        "Ray could not be started" if address.name == "own" else "the cluster refused us",
        where=address.name,
        got=f"{type(error).__name__}: {text}",
        fix=fix,
    )


class RayCluster:
    """A connected Ray cluster; `shutdown`: disconnect, or end our own Ray, on close."""

    def __init__(self, ray: Any, name: str, *, shutdown: bool) -> None:
        self.name, self._ray, self._shutdown = name, ray, shutdown
        self._host = ray.remote(max_restarts=0, max_task_retries=0, max_concurrency=2)(Host)

    def nodes(self) -> Sequence[Node]:
        """Return the living nodes."""
        with self._translated_errors():
            listed = [node for node in self._ray.nodes() if node["Alive"]]
        return [
            Node(
                node["NodeID"],
                str(node.get("NodeManagerAddress")),
                node["Resources"].get("CPU", 0.0),
                node["Resources"].get("GPU", 0.0),
                node["Resources"].get("memory", 0.0),
            )
            for node in listed
        ]

    def start(self, node: Node, need: Need) -> Any:
        """Start an actor on a node, with its share of the node's CPUs; return its handle."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        threads = {"OMP_NUM_THREADS": str(need.threads)} if need.threads else {}
        with self._translated_errors():
            return self._host.options(
                num_cpus=max(1, int(node.cpus) // max(1, node.places(need))),
                num_gpus=need.gpus,
                memory=need.memory,
                scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False),
                **({"runtime_env": {"env_vars": threads}} if threads else {}),
            ).remote()

    def share(self, value: Any) -> Any:
        """Store a value in Ray's object store and return its reference."""
        with self._translated_errors():
            return self._ray.put(value)

    def call(self, host: Any, method: str, *details: Any) -> Any:
        """Start a call of an actor's method and return its reference."""
        with self._translated_errors():
            return getattr(host, method).remote(*details)

    def ready(self, call: Any, seconds: float) -> bool:
        """Return whether a call has ended, after waiting at most `seconds`."""
        with self._translated_errors():
            done, _ = self._ray.wait([call], timeout=seconds)
        return bool(done)

    def result(self, call: Any) -> Any:
        """Return the value of a call that ended."""
        with self._translated_errors():
            return self._ray.get(call)

    def stop(self, host: Any) -> None:
        """Kill an actor."""
        with suppress(Exception):  # it is gone already, or the whole cluster is
            self._ray.kill(host, no_restart=True)

    def close(self) -> None:
        """Disconnect, if we connected; a Ray that we started ends."""
        if self._shutdown:
            with suppress(Exception), _kept_signal_handlers():
                self._ray.shutdown()

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        """Turn Ray's errors into HostLost or ClusterError; an arm's own error passes."""
        errors = self._ray.exceptions
        lost = (errors.RayActorError, errors.WorkerCrashedError, errors.NodeDiedError,
                errors.ObjectLostError, errors.OutOfMemoryError,
                errors.RuntimeEnvSetupError)  # fmt: skip
        full = (errors.ObjectStoreFullError, errors.OutOfDiskError)
        try:
            yield
        except errors.RayTaskError as error:
            cause = error.cause
            if isinstance(cause, full):
                raise self._store_full_error(cause) from error
            if isinstance(cause, errors.RayError):
                raise HostLost(_first_line(cause)) from error
            raise cause from error
        except full as error:
            raise self._store_full_error(error) from error
        except lost as error:
            raise HostLost(_first_line(error)) from error
        except (errors.RayError, ConnectionError) as error:
            raise ClusterError(
                "the connection to the cluster broke",
                where=self.name,
                got=f"{type(error).__name__}: {_first_line(error)}",
                fix="look at the cluster, then run the same command again",
            ) from error

    def _store_full_error(self, error: Exception) -> ClusterError:
        return ClusterError(
            "the cluster's object store is full, and so is the disk that it spills to",
            where=self.name,
            got=_first_line(error),
            fix="free disk space on the nodes, or start them with a larger --object-store-memory",
        )


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    own = [line for line in lines if "Error:" in line]  # what a process that did not start raised
    return (own or lines or [type(error).__name__])[-1 if own else 0]
