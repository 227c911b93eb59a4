"""The recipes for clusters parse, and name commands, versions and fields that exist."""

import os
import re
import signal
import subprocess
import tomllib
from contextlib import suppress
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "how-to" / "recipes"
RECIPES = sorted(FOLDER.iterdir())
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def parsed(name):
    return YAML(typ="safe").load((FOLDER / name).read_text("utf-8"))


def test_the_page_names_every_recipe():
    page = (FOLDER.parent / "from-laptop-to-cluster.md").read_text("utf-8")
    assert {path.name for path in RECIPES} == set(re.findall(r"\(recipes/([^)]+)\)", page))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_commands_options_and_versions_exist(path):
    from tuneworthy.measure.executors._cluster import address_of

    text = path.read_text("utf-8")
    options = (ROOT / "docs" / "reference" / "commands.md").read_text("utf-8")
    calls = re.findall(r"tuneworthy run ([^\n&|]*)", text) or [
        text[text.index("[tuneworthy, run") :]
    ]
    for call in calls:
        assert all(f"`{option}" in options for option in re.findall(r"(--[a-z-]+)", call))
        for place in re.findall(r"--on (\S+)", call):
            address_of(re.sub(r"\$\w+", "10", place.strip('"').replace("$head_ip", "host")))
    versions = re.findall(r"tuneworthy:([0-9.]+)|tuneworthy\[[a-z,]+\]==([0-9.]+)", text)
    assert {one or other for one, other in versions} <= {PROJECT["version"]}


@pytest.mark.parametrize("name", ["slurm.sbatch", "skypilot.yaml"])
def test_shell_parses(name, tmp_path):
    script = FOLDER / name
    if name.endswith(".yaml"):
        script = tmp_path / "run.sh"
        script.write_text(parsed(name)["run"], "utf-8")
    done = subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_ray_job_runs_on_the_cluster_that_it_starts():
    job = parsed("ray-job.yaml")["spec"]
    groups = [job["rayClusterSpec"]["headGroupSpec"], *job["rayClusterSpec"]["workerGroupSpecs"]]
    containers = [group["template"]["spec"]["containers"][0] for group in groups]
    assert len({container["image"] for container in containers}) == 1
    assert job["entrypoint"].endswith("--on auto")
    bound = next(line for line in PROJECT["optional-dependencies"]["ray"] if "ray" in line)
    least = re.search(r">=(\d+\.\d+)", bound).group(1)
    assert job["rayClusterSpec"]["rayVersion"].startswith(least)


def test_a_final_exit_code_is_not_tried_again():
    from tuneworthy.records.errors import EXIT_CODES

    job = parsed("kubernetes-job.yaml")["spec"]
    (rule,) = job["podFailurePolicy"]["rules"]
    final = rule["onExitCodes"]["values"]
    assert set(final) <= set(EXIT_CODES)
    assert not {0, 7, 130, 143} & set(final)
    assert job["template"]["spec"]["restartPolicy"] == "Never"  # podFailurePolicy asks for it


def stand_ins(folder, code, nodes=1):
    """Return an environment whose programs log their arguments; tuneworthy exits with `code`.

    It first waits until `nodes` calls of `ray start` are logged, for at most 20 s.
    """
    programs = folder / "bin"
    programs.mkdir()
    log = folder / "calls.log"
    bodies = {
        "ray": 'case "$*" in *--block*) sleep 30;; esac',
        "srun": 'while [[ $1 == --* ]]; do shift; done; "$@"',
        "scontrol": 'if [ "$1" = show ]; then printf "n1\\nn2\\n"; fi',
        "hostname": "echo 10.0.0.1 fe80::1",
        "tuneworthy": f'for _ in {{1..200}}; do [ "$(grep -c "^ray start" {log})" -ge {nodes} ]'
        f' && break; sleep .1; done; cd "$(dirname "$2")"; echo measured > result.txt; exit {code}',
    }
    for name, body in bodies.items():
        path = programs / name
        path.write_text(f'#!/bin/bash\necho "{name} $*" >> {log}\n{body}\n', "utf-8")
        path.chmod(0o755)
    return {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "TMPDIR": str(folder)}


def ended(words, folder, environment):
    """Run a script to its end, with all that it started; return its code and the calls made."""
    process = subprocess.Popen(words, cwd=folder, env=environment, start_new_session=True)
    try:
        code = process.wait(60)
    finally:
        with suppress(ProcessLookupError):  # nothing of it is left
            os.killpg(process.pid, signal.SIGKILL)
    return code, (folder.parent / "calls.log").read_text("utf-8").splitlines()


@pytest.mark.parametrize(("code", "again"), [(0, False), (3, False), (143, True)])
def test_the_slurm_script_runs_copies_back_and_is_queued_again_after_its_limit(
    tmp_path, code, again
):
    environment = stand_ins(tmp_path, code, nodes=2)
    folder = tmp_path / "submitted"
    folder.mkdir()
    (folder / "task.yaml").write_text("{}", "utf-8")
    environment |= {"SLURM_JOB_NODELIST": "n[1-2]", "SLURM_JOB_ID": "7", "SLURM_CPUS_PER_TASK": "4",
                    "SLURM_SUBMIT_DIR": str(folder)}  # fmt: skip
    got, calls = ended(["bash", str(FOLDER / "slurm.sbatch")], folder, environment)
    assert got == code
    assert (folder / "result.txt").read_text("utf-8") == "measured\n", "copied back, always"
    assert any(
        c.startswith("ray start --head --node-ip-address=10.0.0.1 --port=6379") for c in calls
    )
    assert any("--exclude=n1" in c and "ray start --address=10.0.0.1:6379" in c for c in calls)
    (run,) = [c for c in calls if c.startswith("tuneworthy")]
    assert run.endswith("/study-7/task.yaml --no-progress --on 10.0.0.1:6379")
    assert ("scontrol requeue 7" in calls) is again


@pytest.mark.parametrize("code", [0, 7])
def test_the_skypilot_script_runs_on_the_first_machine_and_joins_from_the_others(tmp_path, code):
    environment = stand_ins(tmp_path, code)
    folder = tmp_path / "workdir"
    folder.mkdir()
    script = tmp_path / "run.sh"
    script.write_text(parsed("skypilot.yaml")["run"], "utf-8")
    environment |= {"SKYPILOT_NODE_IPS": "10.0.0.1\n10.0.0.2", "SKYPILOT_NODE_RANK": "0"}
    got, calls = ended(["bash", str(script)], folder, environment)
    assert got == code
    assert calls[0] == "ray start --head --port 6399"
    assert calls[1].endswith("--on 10.0.0.1:6399")
    assert calls[-1] == "ray stop"
    other = environment | {"SKYPILOT_NODE_RANK": "1"}
    (tmp_path / "bin" / "ray").write_text(f'#!/bin/bash\necho "ray $*" >> {tmp_path}/calls.log\n')
    got, calls = ended(["bash", str(script)], folder, other)
    assert (got, calls[-1]) == (0, "ray start --address 10.0.0.1:6399 --block")


SKYPILOT_KEYS = {"name", "workdir", "num_nodes", "resources", "secrets", "setup", "run"}
JOB_KEYS = {
    "spec": {"backoffLimit", "podFailurePolicy", "template", "ttlSecondsAfterFinished",
             "activeDeadlineSeconds", "completions", "parallelism", "completionMode"},
    "container": {"name", "image", "command", "args", "env", "envFrom", "resources",
                  "volumeMounts", "workingDir", "imagePullPolicy"},
}  # fmt: skip


def test_keys_are_those_of_the_published_schemas():
    assert set(parsed("skypilot.yaml")) <= SKYPILOT_KEYS
    job = parsed("kubernetes-job.yaml")
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "Job")
    assert set(job["spec"]) <= JOB_KEYS["spec"]
    pod = job["spec"]["template"]["spec"]
    claimed = {v["name"] for v in pod["volumes"]}
    for container in pod["containers"]:
        assert set(container) <= JOB_KEYS["container"]
        assert {m["name"] for m in container.get("volumeMounts", ())} <= claimed
    ray_job = parsed("ray-job.yaml")
    assert (ray_job["apiVersion"], ray_job["kind"]) == ("ray.io/v1", "RayJob")
