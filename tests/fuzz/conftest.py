"""Options and shared folders of the fuzz corpus: `pytest tests/fuzz --fuzz-seed 7`."""

import shutil

import pytest
from fuzz_kit import CANARY, SEED
from tests import studies

import tuneworthy


def pytest_configure(config):
    SEED.append(config.getoption("--fuzz-seed"))


@pytest.fixture(autouse=True)
def _calm(monkeypatch, tmp_path):
    """A key that must be nowhere, and no store outside the folder of the test."""
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A study that has ended: what it stored must be there whatever comes after."""
    home = tmp_path_factory.mktemp("finished") / "study"
    tuneworthy.run(studies.write(home, n=30, arms=studies.LIGHT))
    return home


@pytest.fixture
def home(finished, tmp_path):
    """A copy of the finished study, for one input."""
    shutil.copytree(finished, tmp_path / "study")
    return tmp_path / "study"
