"""Ray with two nodes on one machine: one verdict, whatever is killed; nothing is left running."""

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from tests import studies
from tests.faults.killing import Kill, Zygote, kill_chain
from tests.faults.killing import run as run_command

from tuneworthy.core.errors import ClusterError
from tuneworthy.core.run_options import RunOptions
from tuneworthy.ledger.store import open_ledger
from tuneworthy.study import run

ray = pytest.importorskip("ray")
from ray.cluster_utils import Cluster  # noqa: E402

SMALL = {"arms": ["present", "majority", "tfidf", "zero_shot", "few_shot"],
         "data": {"file": "rows.jsonl", "folds": 2}}  # fmt: skip
CHAIN = {"arms": ["majority", "tfidf", "zero_shot"], "data": {"file": "rows.jsonl", "folds": 2},
         "success": {"metric": "accuracy"}}  # fmt: skip
SCRIPT = Path(__file__).parent / "ray_study.py"
NODE = {"num_cpus": 1, "memory": 4 << 30, "object_store_memory": 80 << 20}
SOURCES = [str(Path(__file__).parents[2] / "src"), str(Path(__file__).parents[2])]


@pytest.fixture(scope="module", autouse=True)
def _quiet():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(SOURCES))
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        yield


@pytest.fixture
def cluster():
    """Start a cluster: a head without CPUs, and two nodes with one CPU each."""
    made = Cluster(initialize_head=True, head_node_args={**NODE, "num_cpus": 0})
    made.workers = [made.add_node(**NODE), made.add_node(**NODE)]
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
    from tuneworthy.executors.ray import RayCluster

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
    made = Cluster(initialize_head=True, head_node_args={**NODE, "num_cpus": 0})
    made.workers = [made.add_node(**NODE), made.add_node(**NODE)]
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
        cluster.workers.append(cluster.add_node(**NODE))
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


@pytest.mark.long
def test_ray_of_our_own_ends_with_the_run_whatever_ends_it(tmp_path):
    """The end, Ctrl-C, SIGTERM and SIGKILL: no process of Ray is left."""
    before = {p.pid for p in ours()}
    assert not before, "Ray runs here already"
    folder = studies.write(tmp_path / "done", n=30, **SMALL).parent
    ended = run_command(lambda where: [sys.executable, str(SCRIPT), "ray"], folder)
    assert ended.code == 0, ended.stderr
    assert gone()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        folder = studies.write(tmp_path / str(int(number)), n=30, **SMALL).parent
        words = [sys.executable, "-m", "tuneworthy", "run", "--brief", "--on", "ray"]
        process = subprocess.Popen(words, cwd=folder, stderr=subprocess.PIPE, text=True)
        for line in process.stderr:
            if "worker there" in line:
                break
        process.send_signal(number)
        code = process.wait(60)
        assert code == {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}[number]
        assert gone(), [p.info for p in ours()]
