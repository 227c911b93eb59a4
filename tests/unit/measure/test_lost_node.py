"""A node that is gone with all its processes: a call goes on elsewhere, the run does not end."""

import pytest

from tuneworthy.measure.executors import _hosts
from tuneworthy.measure.executors._cluster import HostLost, Need, Node
from tuneworthy.measure.executors._dispatch import Dispatch, _PlacedJob
from tuneworthy.measure.executors._hosts import HostPool
from tuneworthy.measure.executors._job import CallResult, versions_here
from tuneworthy.records.errors import ClusterError


class Nodes:
    """Nodes with four GPUs each. `dead` nodes lose every call; `listed` are those still listed."""

    name = "nodes"

    def __init__(self, *names):
        self.listed, self.dead, self.tried = list(names), set(), []

    def nodes(self):
        return [Node(name, name, 8.0, 4.0, 64e9) for name in self.listed]

    def start(self, node, need):
        return node.id

    def call(self, host, method, *details):
        if method == "call_arm":
            self.tried.append(host)
        return host, method

    def ready(self, call, seconds):
        return True

    def result(self, call):
        host, method = call
        if host in self.dead:
            raise HostLost("its node is gone")
        return versions_here() if method == "about" else CallResult(host)

    def stop(self, host):
        pass


@pytest.fixture
def cluster():
    return Nodes("a", "b", "c")


@pytest.fixture
def dispatch(cluster, monkeypatch):
    monkeypatch.setattr(_hosts, "REFRESH_SECONDS", 1e9)  # so that no list is renewed by chance
    made = Dispatch(None, lambda text: None)
    made._pool = HostPool(cluster, Need(gpus=1), lambda text: None)
    assert made._call(_PlacedJob(()), "answer") == "a"
    return made


def test_the_other_processes_of_a_dead_node_are_not_tried_one_by_one(dispatch, cluster):
    cluster.dead, cluster.listed = {"a"}, ["b", "c"]
    assert dispatch._call(_PlacedJob(()), "answer") == "b"
    assert cluster.tried[1:] == ["a", "b"]


def test_a_node_that_is_still_listed_is_tried_after_the_others(dispatch, cluster):
    cluster.dead = {"a", "b"}
    assert dispatch._call(_PlacedJob(()), "answer") == "c"
    assert cluster.tried[1:] == ["a", "b", "c"]


def test_a_call_that_no_node_survives_ends_the_run(dispatch, cluster):
    cluster.dead = {"a", "b", "c"}
    with pytest.raises(ClusterError, match="again and again") as error:
        dispatch._call(_PlacedJob(()), "answer")
    assert [line.split(":")[0] for line in error.value.where.split("; ")] == ["a", "b", "c"]
