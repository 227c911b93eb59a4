"""The recipes for clusters parse, and name commands, versions and fields that exist."""

import re
import subprocess
import tomllib
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
    from tuneworthy.executors._address import address_of

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
    from tuneworthy.core.exit_codes import EXIT_CODES

    job = parsed("kubernetes-job.yaml")["spec"]
    (rule,) = job["podFailurePolicy"]["rules"]
    final = rule["onExitCodes"]["values"]
    assert set(final) <= set(EXIT_CODES)
    assert not {0, 7, 130, 143} & set(final)
    assert job["template"]["spec"]["restartPolicy"] == "Never"  # podFailurePolicy asks for it
