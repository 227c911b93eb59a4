"""The wheel that people install: checked, and used alone in an empty environment and home."""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

pytestmark = pytest.mark.full
ROOT = Path(__file__).parents[2]
KEPT = ("PIP_", "SSL_", "REQUESTS_")  # how this machine reaches a package index


def call(*words, code=0, **options):
    done = subprocess.run(words, capture_output=True, text=True, check=False, **options)
    assert done.returncode == code, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Build the sdist, and the wheel from it, as a release does."""
    folder = tmp_path_factory.mktemp("dist")
    call(sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT))
    (wheel,), (source,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, source


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """Return what calls the installed command in an empty folder, with an empty home."""
    folder = tmp_path_factory.mktemp("empty")
    venv.create(folder / "venv", with_pip=True)
    tools = folder / "venv" / "bin"
    call(str(tools / "python"), "-m", "pip", "install", "-q", "--no-compile", str(built[0]))
    home = folder / "home"
    home.mkdir()
    kept = {key: value for key, value in os.environ.items() if key.startswith(KEPT)}
    plain = {**kept, "PATH": f"{tools}:/usr/bin:/bin", "HOME": str(home), "LANG": "C.UTF-8"}

    def command(*words, code=0):
        return call(str(tools / "tuneworthy"), *words, code=code, cwd=home, env=plain)

    return command


def test_the_distributions_hold_what_an_index_asks_for(built):
    call(sys.executable, "-m", "twine", "check", "--strict", *map(str, built))


def test_a_wheel_alone_gives_verdicts_writes_a_task_runs_it_and_reports(installed):
    assert installed("--version").startswith("tuneworthy ")
    assert "Don't fine-tune" in installed("demo", "--recorded")
    installed("init", "demo/recorded/clause_type/test.jsonl", "-o", "demo/clauses.yaml")
    verdict = json.loads(installed("run", "demo/clauses.yaml", "--json"))
    assert (verdict["arm"], verdict["use"]) == ("tfidf", "classifier")
    installed("report", "demo/clauses.yaml")
    assert "then pip install 'tuneworthy[train]'" in installed("doctor")


def test_rows_that_only_a_model_can_answer_name_the_extra_that_brings_one(installed):
    installed("demo", "--recorded")
    installed("init", "demo/recorded/support_tickets/test.jsonl", "-o", "demo/tickets.yaml")
    error = json.loads(installed("run", "demo/tickets.yaml", "--json", code=5))
    assert "pip install 'tuneworthy[train]'" in error["fix"]
