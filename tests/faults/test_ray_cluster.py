"""Ray with two nodes on one machine: one verdict, whatever is killed; nothing is left running."""

import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from tests import studies
from tests.faults.killing import Kill, Zygote, kill_chain
from tests.faults.killing import run as run_command

from tuneworthy.flows.study import run
from tuneworthy.models.local.wheel import locate
from tuneworthy.records.errors import ClusterError
from tuneworthy.records.run import RunOptions
from tuneworthy.store.store import open_ledger

ray = pytest.importorskip("ray")
from ray.cluster_utils import Cluster  # noqa: E402

SMALL = {"arms": ["present", "majority", "tfidf", "zero_shot", "few_shot"],
         "data": {"file": "rows.jsonl", "folds": 2}}  # fmt: skip
CHAIN = {"arms": ["majority", "tfidf", "zero_shot"], "data": {"file": "rows.jsonl", "folds": 2},
         "success": {"metric": "accuracy"}}  # fmt: skip
SCRIPT = Path(__file__).parent / "ray_study.py"
AGENTS = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port",
          "runtime_env_agent_port")  # fmt: skip
AGENT_OPTIONS = ("dashboard-agent-grpc-port", "metrics-export-port",
                 "dashboard-agent-listen-port", "runtime-env-agent-port")  # fmt: skip
SOURCES = [str(Path(__file__).parents[2] / "src"), str(Path(__file__).parents[2])]


@pytest.fixture(scope="module", autouse=True)
def _quiet():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(SOURCES))
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")  # 15 where nothing is said: starved beside others
        patch.setattr(ray._private.services, "get_node", patient(ray._private.services.get_node))
        yield


def free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def node(cpus=1):
    """Return the options of a node: one that chooses its agents' ports waits only 30 s for them."""
    ports = {name: free_port() for name in AGENTS}
    return {"num_cpus": cpus, "memory": 4 << 30, "object_store_memory": 80 << 20, **ports}


def two_nodes():
    """Return a cluster: a head without CPUs, and two nodes with one CPU each."""
    head = {**node(0), "include_dashboard": False}
    made = Cluster(initialize_head=True, head_node_args=head)
    made.workers = [made.add_node(**node()), made.add_node(**node())]
    return made


def patient(get_node):
    """Return `get_node` with 5 minutes for a new node: Ray gives up on one after a fixed 30 s."""

    def found(*words):
        for _ in range(300):
            with suppress(RuntimeError):
                return get_node(*words)
            time.sleep(1)
        return get_node(*words)

    return found


@pytest.fixture
def cluster():
    made = two_nodes()
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    folder = tmp_path_factory.mktemp("local")
    return verdict(run(studies.write(folder, n=30, **SMALL), RunOptions(brief=True))), units(folder)


def verdict(study):
    return studies.timeless((study.folder / "verdict.json").read_bytes())


def units(folder):
    with open_ledger(folder, write=False) as ledger:
        return sorted(row.name for row in ledger.journal.rows("unit"))


def ours():
    """Return the processes on this machine that belong to Ray."""
    names = ("raylet", "gcs_server", "ray::")

    def words(process):
        return " ".join(process.info["cmdline"] or [process.info["name"]])

    processes = psutil.process_iter(["name", "cmdline"])
    return [p for p in processes if any(name in words(p) for name in names)]


def gone(seconds=30):
    until = time.monotonic() + seconds
    while ours() and time.monotonic() < until:
        time.sleep(0.5)
    return not ours()


@pytest.mark.long
def test_two_nodes_give_the_verdict_of_this_process_and_one_may_be_killed(tmp_path, cluster, local):
    killed, said = [], []

    def watch(event, data):
        said.append(str(data) if event == "say" else "")
        if event == "answers" and not killed:
            killed.append(cluster.workers[0])
            cluster.remove_node(cluster.workers[0], allow_graceful=False)

    path = studies.write(tmp_path / "study", n=30, **SMALL)
    study = run(path, RunOptions(brief=True, on=cluster.address), watch)
    assert killed
    assert (verdict(study), units(path.parent)) == local
    assert any("2 workers there" in line for line in said)
    assert not [name for name in ray_workers() if "Host" in name]


def ray_workers():
    return [" ".join(p.info["cmdline"] or ()) for p in ours() if "ray::Host" in str(p.info)]


@pytest.mark.long
def test_files_larger_than_the_object_store_go_by_the_disk(tmp_path, cluster):
    """The store has 80 MB: 120 MB of replies are spilled, and the study ends as it should."""
    path = studies.write(tmp_path / "study", n=30, **SMALL)
    filler = "".join(json.dumps({"when": f"never {i} " + "x" * 1000, "say": "no"}) + "\n"
                     for i in range(120_000))  # fmt: skip
    replies = path.parent / "replies.jsonl"
    replies.write_text(replies.read_text("utf-8") + filler, "utf-8")
    alone = tmp_path / "alone"
    subprocess.run(["cp", "-r", str(path.parent), str(alone)], check=True)
    want = verdict(run(alone / "task.yaml", RunOptions(brief=True)))
    assert verdict(run(path, RunOptions(brief=True, on=cluster.address))) == want


@pytest.mark.long
def test_a_cluster_that_is_full_ends_the_run_and_the_next_one_continues(
    tmp_path, cluster, local, monkeypatch
):
    from tuneworthy.measure.executors.ray import RayCluster

    path, share, count = studies.write(tmp_path / "study", n=30, **SMALL), RayCluster.share, []

    def full(self, value):
        count.append(1)
        if len(count) == 6:
            with self._translated_errors():
                raise ray.exceptions.OutOfDiskError("local disk is full")
        return share(self, value)

    monkeypatch.setattr(RayCluster, "share", full)
    with pytest.raises(ClusterError, match="object store is full"):
        run(path, RunOptions(brief=True, on=cluster.address))
    study = run(path, RunOptions(brief=True, on=cluster.address))
    assert (verdict(study), units(path.parent)) == local


@pytest.fixture(scope="module")
def chained(tmp_path_factory):
    """Yield the cluster and driver process that all chains share, and the result without a kill."""
    folder = tmp_path_factory.mktemp("unkilled")
    done = run(studies.write(folder, n=18, **CHAIN), RunOptions(brief=True))
    made = two_nodes()
    with Zygote(SCRIPT, made.address, "--zygote") as drivers:
        yield made, drivers, (verdict(done), units(folder))
    ray.shutdown()
    made.shutdown()


@pytest.mark.long
@pytest.mark.parametrize("seed", range(20))
def test_a_driver_killed_again_and_again_ends_in_the_same_verdict(tmp_path, chained, seed):
    """Every third chain loses a node, too, which then comes back."""
    cluster, drivers, want = chained
    folder, draw = studies.write(tmp_path / "study", n=18, **CHAIN).parent, random.Random(seed)
    begun = time.process_time()
    if seed % 3 == 0:
        cluster.remove_node(cluster.workers.pop(0), allow_graceful=False)
        cluster.workers.append(cluster.add_node(**node()))
    gaps = (draw.randint(10, 45) for _ in itertools.count())
    kills = kill_chain(drivers, folder, "verdict.json", want[0], gaps)
    assert kills
    assert all(isinstance(kill, Kill) for kill in kills)
    assert units(folder) == want[1]
    with open_ledger(folder, write=False) as ledger:
        assert ledger.verify() > 0
    print(f"chain {seed}: {len(kills)} kills, {time.process_time() - begun:.1f} s here")


@pytest.mark.long
@pytest.mark.parametrize("weights", ["tiny", "embedded"])
def test_training_on_nodes_gives_the_verdict_and_the_units_of_a_local_run(
    tmp_path, cluster, weights, monkeypatch
):
    from tests.tiny import tiny_llama

    if weights == "embedded":
        if (model := locate()) is None:
            pytest.skip("the embedded model is not on this machine")
        (tmp_path / "cache" / "models").mkdir(parents=True)
        (tmp_path / "cache" / "models" / model.name).symlink_to(model)
    monkeypatch.setenv("TUNEWORTHY_CACHE", str(tmp_path / "cache"))
    options = {"epochs": 1, "rate": 0.01, "rank": 4}
    keys = {"arms": ["zero_shot", {"lora": options}], "budget": {"stages": False, "minutes": 600},
            "data": {"file": "rows.jsonl", "folds": 2}, "precision": "float32"}  # fmt: skip
    found = []
    for name, on in (("here", None), ("there", cluster.address)):
        folder = tmp_path / name
        folder.mkdir()
        if weights == "tiny":
            tiny_llama(folder / "weights")
        keys["model"] = "hf:./weights" if weights == "tiny" else "smollm2-135m"
        study = run(studies.write(folder, n=24, **keys), RunOptions(brief=True, on=on))
        trained = [r for r in study.results.runs if r.spec.arm == "lora" and not r.because]
        assert len({run.fingerprint["adapter"] for run in trained}) >= 2
        found.append((verdict(study), units(folder), [r.fingerprint for r in trained]))
    assert found[0] == found[1]


COMMAND = [
    sys.executable,
    "-c",
    "from tuneworthy.cli import main; main()",
    "run",
    "--brief",
    "--on",
]
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}


def ended_by(number, folder, address, line):
    """Run the study there, end it by a signal once it says `line`; return its exit code."""
    words = [*COMMAND, address]
    process = subprocess.Popen(words, cwd=folder, stderr=subprocess.PIPE, text=True)
    said = []
    for text in process.stderr:
        said.append(text)
        if line in text:
            process.send_signal(number)
            return process.wait(60)
    raise AssertionError("".join(said))


@pytest.mark.long
def test_ray_of_our_own_ends_with_the_run_whatever_ends_it(tmp_path):
    """The end, Ctrl-C, SIGTERM and SIGKILL: no process of Ray is left."""
    before = {p.pid for p in ours()}
    assert not before, "Ray runs here already"
    folder = studies.write(tmp_path / "done", n=30, **SMALL).parent
    ended = run_command(lambda where: [sys.executable, str(SCRIPT), "ray"], folder)
    assert ended.code == 0, ended.stderr
    assert gone()
    for number, code in CODES.items():
        folder = studies.write(tmp_path / str(int(number)), n=30, **SMALL).parent
        assert ended_by(number, folder, "ray", "worker there") == code
        assert gone(), [p.info for p in ours()]


@pytest.fixture
def client_server(tmp_path, monkeypatch):
    """Start a head with two CPUs that takes connections from outside; yield its address."""
    for name in (
        "RAY_CLIENT_SERVER_CHECK_CHANNEL_TIMEOUT_S",
        "RAY_CLIENT_MAX_CONNECTION_TIMEOUT_S",
    ):
        monkeypatch.setenv(name, "300")  # seconds: Ray waits 30, which a busy machine can take
    ports = [free_port() for _ in range(2)]
    words = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block",
             "--num-cpus=2", "--include-dashboard=false", "--memory=4000000000",
             "--object-store-memory=100000000", f"--port={ports[0]}",
             f"--ray-client-server-port={ports[1]}",
             *(f"--{name}={free_port()}" for name in AGENT_OPTIONS)]  # fmt: skip
    with (tmp_path / "head.log").open("w") as log:
        head = subprocess.Popen(words, stdout=log, stderr=log)
    try:
        for _ in range(600):
            with socket.socket() as tried:
                if tried.connect_ex(("127.0.0.1", ports[1])) == 0:
                    break
            assert head.poll() is None, (tmp_path / "head.log").read_text()
            time.sleep(0.2)
        yield f"ray://127.0.0.1:{ports[1]}"
    finally:
        head.terminate()
        head.wait(300)


@pytest.mark.long
def test_a_run_from_outside_gives_the_same_verdict_and_leaves_no_worker(
    tmp_path, client_server, local
):
    """Through Ray's client server: to the end, then ended by Ctrl-C, SIGTERM and SIGKILL."""
    path = studies.write(tmp_path / "study", n=30, **SMALL)
    ended = run_command(lambda where: [*COMMAND, client_server], path.parent)
    assert ended.code == 0, ended.stderr
    (made,) = path.parent.glob("results/*/verdict.json")
    assert (studies.timeless(made.read_bytes()), units(path.parent)) == local
    for number, code in CODES.items():
        folder = studies.write(tmp_path / str(int(number)), n=30, **SMALL).parent
        assert ended_by(number, folder, client_server, "tfidf: done") == code
        until = time.monotonic() + 120  # Ray keeps the place of a lost client for 30 s
        while ray_workers() and time.monotonic() < until:
            time.sleep(0.5)
        assert not ray_workers()
