"""Fixtures: an open lab with a fake runner, and its browser."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from lab_kit import PORT, Browser
from lab_runner import fake

from tuneworthy.lab import open_lab as open_lab_module
from tuneworthy.lab.app import make_app
from tuneworthy.lab.open_lab import open_lab


@pytest.fixture(autouse=True)
def _nothing_shipped(tmp_path, monkeypatch):
    monkeypatch.setattr(open_lab_module, "PACKAGE_RECORDS", tmp_path / "nothing shipped")


@pytest.fixture
def said():
    return []


@pytest.fixture
def lab(tmp_path, said):
    opened = open_lab(tmp_path, ("127.0.0.1", PORT), open_runner=fake, say=said.append)
    yield opened
    opened.close()


@pytest.fixture
def browser(lab):
    with Browser(make_app(lab), lab) as browser:
        yield browser
