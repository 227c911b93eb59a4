"""Run a study's arms on a cluster, one plug-in a kind of cluster.

A plug-in has `open_cluster(address, need, say) -> Cluster` (see `_cluster`). Arms are fitted and
asked on its nodes; their answers come back, and only this process scores and stores them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tuneworthy.measure.answering import THIS_PROCESS, Executor
from tuneworthy.measure.executors._cluster import Address, Cluster, Need, address_of
from tuneworthy.measure.executors._dispatch import Connect, Dispatch
from tuneworthy.records.plugins import load
from tuneworthy.records.task import Task

__all__ = ["executor_of"]


@contextmanager
def executor_of(task: Task, on: str | None, say: Callable[[str], None]) -> Iterator[Executor]:
    """Yield the executor at the address `on`, else the task's `executor`; close it afterwards.

    It connects to a cluster when the first arm runs there. Raises TaskError for a wrong address.
    """
    address = address_of(on or task.executor)
    if address is None:
        yield THIS_PROCESS
        return
    dispatch = Dispatch(_cluster_opener(address), say)
    try:
        yield dispatch
    finally:
        dispatch.close()


def _cluster_opener(address: Address) -> Connect:
    def opened(need: Need, say: Callable[[str], None]) -> Cluster:
        cluster: Cluster = load("executors", address.kind).open_cluster(address, need, say)
        return cluster

    return opened
