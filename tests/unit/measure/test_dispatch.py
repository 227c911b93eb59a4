"""Arms on a cluster: the same verdict, losses made good, one copy of every answer, nothing left."""

import json
import threading
from functools import partial

import pytest
from tests import studies
from tests.cluster_kit import InProcess

from tuneworthy.flows.study import run
from tuneworthy.measure import executors
from tuneworthy.measure.executors import _hosts
from tuneworthy.measure.executors._cluster import Need, Node, address_of
from tuneworthy.measure.executors._dispatch import Dispatch
from tuneworthy.models.remote.wire import RetryPolicy
from tuneworthy.records.errors import ClusterError, DoesNotApply, ModelError, TaskError
from tuneworthy.records.run import RunOptions
from tuneworthy.store import signals
from tuneworthy.store.store import open_ledger

ROWS = 12
SMALL = {
    "present": None,
    "arms": ["majority", "zero_shot"],
    "data": {"file": "rows.jsonl", "folds": 2},
}


@pytest.fixture
def on(monkeypatch):
    """Run a study on a cluster in this process; return what `run` gives."""

    def ran(path, cluster, said=None, **options):
        monkeypatch.setattr(executors, "_cluster_opener", lambda address: lambda need, say: cluster)
        watch = (lambda event, data: said.append((event, data))) if said is not None else None
        return run(path, RunOptions(on="ray", brief=True, **options), watch)

    return ran


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """The verdict of the small study in this process, without times, and the keys of its units."""
    folder = tmp_path_factory.mktemp("local")
    return verdict(run(studies.write(folder, n=ROWS, **SMALL), RunOptions(brief=True))), units(
        folder
    )


def verdict(study):
    return studies.timeless((study.folder / "verdict.json").read_bytes())


def units(folder):
    with open_ledger(folder, write=False) as ledger:
        return [row.name for row in ledger.journal.rows("unit")]


def test_a_cluster_gives_the_verdict_and_the_units_of_this_process(tmp_path, on, local):
    cluster, said = InProcess(tmp_path / "work"), []
    study = on(studies.write(tmp_path / "study", n=ROWS, **SMALL), cluster, said)
    assert (verdict(study), sorted(units(tmp_path / "study"))) == (local[0], sorted(local[1]))
    assert cluster.calls["fit"] == 4
    assert cluster.closed
    assert len(cluster.stopped) == len(cluster.started) == 2
    lines = [data for event, data in said if event == "say"]
    assert any("2 nodes, 2 CPUs" in line and "in this process" in line for line in lines)
    assert sum(data for event, data in said if event == "answers") > 0


@pytest.mark.parametrize("calls", [(2, 3), (6, 9)])  # three could hit one call: that ends the run
@pytest.mark.parametrize("fault", [pytest.param("lost", marks=pytest.mark.full), "late"])
def test_a_lost_call_is_made_again_and_a_late_answer_is_no_second_copy(
    tmp_path, on, local, fault, calls
):
    cluster, said = InProcess(tmp_path / "work", plan=dict.fromkeys(calls, fault)), []
    study = on(studies.write(tmp_path / "study", n=ROWS, **SMALL), cluster, said)
    assert (verdict(study), sorted(units(tmp_path / "study"))) == (local[0], sorted(local[1]))
    assert not cluster.plan
    assert len(cluster.started) == 2 + 2
    assert sum("is done again" in str(data) for event, data in said if event == "say") == 2
    assert len(cluster.late) == (2 if fault == "late" else 0)


@pytest.mark.full
def test_a_stopped_study_continues_where_it_stopped(tmp_path, on, local):
    path = studies.write(tmp_path / "study", n=ROWS, **SMALL)
    cluster = InProcess(tmp_path / "work", plan={5: signals.StopRequested(130)})
    with pytest.raises(signals.StopRequested):
        on(path, cluster)
    assert cluster.closed
    assert len(cluster.stopped) == len(cluster.started)
    done = units(path.parent)
    cluster = InProcess(tmp_path / "work")
    assert verdict(on(path, cluster)) == local[0]
    assert sorted(units(path.parent)) == sorted(local[1])
    assert units(path.parent)[: len(done)] == done
    assert cluster.calls["fit"] < 4


@pytest.mark.full
def test_a_finished_study_connects_to_nothing(tmp_path, on, local):
    path = studies.write(tmp_path / "study", n=ROWS, **SMALL)
    on(path, InProcess(tmp_path / "work"))
    cluster = InProcess(tmp_path / "work")
    assert verdict(on(path, cluster)) == local[0]
    assert not cluster.started


def test_a_call_that_loses_three_processes_ends_the_run(tmp_path, on):
    cluster = InProcess(tmp_path / "work", plan=dict.fromkeys(range(1, 40), "lost"))
    path = studies.write(tmp_path / "study", n=ROWS, **SMALL)
    with pytest.raises(ClusterError, match="again and again"):
        on(path, cluster)
    assert cluster.closed


def test_a_study_too_large_for_every_node_is_refused_and_does_not_hang(tmp_path, on):
    cluster = InProcess(tmp_path / "work", memory=1e6)
    with pytest.raises(ClusterError, match=r"needs 1 CPU, 0 GPU, 0.5 GB.*has 1 CPU, 0 GPU, 0.0 GB"):
        on(studies.write(tmp_path / "study", n=ROWS, **SMALL), cluster)
    assert cluster.closed


def test_nodes_that_never_come_back_end_the_run(tmp_path, on, monkeypatch):
    monkeypatch.setattr(_hosts, "MOST_SECONDS_WITHOUT_NODES", 0.0)
    with pytest.raises(ClusterError, match="no node left"):
        on(studies.write(tmp_path / "study", n=ROWS, **SMALL), InProcess(tmp_path / "w", nodes=0))


def test_a_node_with_another_version_is_refused(tmp_path, on, monkeypatch):
    from tuneworthy.measure.executors import _host
    from tuneworthy.measure.executors._job import ProcessVersions

    other = ProcessVersions("node7", {"tuneworthy": "0.1.0 (abc)", "Python": "3.12"})
    monkeypatch.setattr(_host, "versions_here", lambda: other)
    with pytest.raises(ClusterError, match=r"Python 3\.12 there") as refused:
        on(studies.write(tmp_path / "study", n=ROWS, **SMALL), InProcess(tmp_path / "work"))
    assert "node7" in refused.value.where


@pytest.mark.full
def test_an_arm_that_asks_an_endpoint_stays_here_and_says_so(tmp_path, on, monkeypatch):
    once = partial(RetryPolicy, attempts=1)  # nothing listens there
    monkeypatch.setattr("tuneworthy.models.openai_compatible.RetryPolicy", once)
    said = []
    path = studies.write(tmp_path / "study", n=ROWS, present=None,
                         arms=["majority", "zero_shot", "bigger"],
                         bigger="openai:big@http://127.0.0.1:9/v1", data=SMALL["data"])  # fmt: skip
    cluster = InProcess(tmp_path / "work")
    on(path, cluster, said, pay=True)
    assert any("bigger runs in this process: it asks openai:big" in str(d) for _, d in said)
    assert cluster.calls["fit"] == 4


@pytest.mark.parametrize("error", [DoesNotApply("no row"), ModelError("broken", where="there")])
def test_the_error_of_an_arm_keeps_its_class_and_parts(error):
    import pickle

    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert (str(again), getattr(again, "where", "")) == (str(error), getattr(error, "where", ""))


def test_threads_that_need_one_shard_compute_it_once():
    dispatch, computed, seen = Dispatch(None, None), [], set()
    dispatch._pool = type("Pool", (), {"width": 8, "cluster": None})()

    def shard(number):
        with dispatch.turn(["one"]):
            if "one" not in seen:
                with dispatch._token_released():
                    threading.Event().wait(0.02)
                computed.append(number)
                seen.add("one")
        return number

    assert list(dispatch.map(shard, range(8))) == list(range(8))
    assert len(computed) == 1


def test_the_first_error_of_several_threads_is_raised_and_the_rest_end():
    dispatch, begun = Dispatch(None, None), []
    dispatch._pool = type("Pool", (), {"width": 2, "cluster": None})()

    def work(number):
        begun.append(number)
        if number == 1:
            raise ModelError("broken")
        with dispatch._token_released():
            threading.Event().wait(0.05)
        dispatch._check_stopped()

    with pytest.raises(ModelError):
        dispatch.map(work, range(20))
    assert len(begun) < 20
    assert dispatch._broken is None


@pytest.mark.parametrize(
    "text", ["ray://", "ray://host", "host", "host:0", "host:99999", "http://h:1", ""]
)
def test_a_wrong_address_is_refused(text):
    with pytest.raises(TaskError, match="no place to run arms"):
        address_of(text)


def test_addresses():
    assert address_of("local") is None
    assert (address_of("ray").name, address_of("auto").name) == ("own", "auto")
    named = address_of("ray://[::1]:10001")
    assert (named.kind, named.host, named.port) == ("ray", "::1", 10001)


def test_places_of_a_node():
    big = Node("a", "a", 16.0, 4.0, 100e9)
    assert big.places(Need()) == 1
    assert big.places(Need(gpus=1)) == 4
    assert big.places(Need(gpus=1, memory=40_000_000_000)) == 2
    assert Node("b", "b", 0.0, 1.0, 1e9).places(Need()) == 0
    assert json.dumps(Node("b", "b", 8.0, 0.0, 1e9).places(Need(gpus=1))) == "0"
