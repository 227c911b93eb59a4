"""Every format of another tool keeps the contract of `handover/formats/__init__.py`."""

import inspect
import json
import re
import sys
from importlib.util import find_spec

import pytest
from tests import studies

from tuneworthy.cli import _frame
from tuneworthy.cli.export import FORMATS as FORMATS_IN_HELP
from tuneworthy.flows import study
from tuneworthy.handover.building import BuildOptions, build
from tuneworthy.handover.exporting import _SOURCES, export
from tuneworthy.records.errors import NotInstalled, TaskError
from tuneworthy.records.plugins import catalogue, load

FORMATS = sorted(catalogue("formats"))
TRACKERS = [name for name in FORMATS if load("formats", name).NEEDS == "verdict"]
OF_TEXT = sorted(set(FORMATS) - set(TRACKERS))


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    path = studies.write(tmp_path_factory.mktemp("study"), 60, arms=[*studies.LIGHT, "few_shot"])
    study.run(path)
    build(path, options=BuildOptions(arm="few_shot"))
    return path


def exported(task, name, *words):
    """Return the printed JSON of an export of the few_shot arm."""
    rows = ["--arm", "few_shot"] if load("formats", name).NEEDS == "rows" else []
    return _frame.run(["export", name, str(task), *rows, *words, "--json"])


def test_all_of_them_are_in_the_help_and_in_the_docs():
    assert set(FORMATS) == {*OF_TEXT, *TRACKERS} <= set(re.findall(r"\w+", FORMATS_IN_HELP))
    page = (_frame.Path(__file__).parents[2] / "docs" / "how-to" / "exports.md").read_text("utf-8")
    assert set(FORMATS) <= set(re.findall(r"^\| `(\w+)`", page, re.M))


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_declares_what_export_reads(name):
    form = load("formats", name)
    assert form.NEEDS in _SOURCES
    assert list(inspect.signature(form.write).parameters) == ["source", "folder"]
    assert catalogue("formats")[name].endswith(".")


@pytest.mark.parametrize("name", OF_TEXT)
def test_its_files_are_those_that_it_names_and_a_second_export_writes_the_same(
    task, name, tmp_path, capsys
):
    texts = []
    for _ in range(2):
        assert exported(task, name, "--out", str(tmp_path)) == 0
        told = json.loads(capsys.readouterr().out)
        assert sorted(told["files"]) == sorted(str(path) for path in tmp_path.iterdir())
        assert json.loads((tmp_path / "export.json").read_text())["summary"] == told["summary"]
        texts.append({path.name: path.read_bytes() for path in tmp_path.iterdir()})
    assert texts[0] == texts[1]


@pytest.mark.parametrize("name", OF_TEXT)
def test_a_file_of_the_user_or_one_that_was_changed_is_kept(task, name, tmp_path, capsys):
    assert exported(task, name, "--out", str(tmp_path)) == 0
    file = next(path for path in sorted(tmp_path.iterdir()) if path.name != "export.json")
    file.write_text(file.read_text() + "mine")
    assert exported(task, name, "--out", str(tmp_path)) == 2
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["where"] == str(file)
    assert file.read_text().endswith("mine")
    (tmp_path / "export.json").write_text("an own list")
    file.unlink()
    assert exported(task, name, "--out", str(tmp_path)) == 2
    assert not file.exists()


@pytest.mark.parametrize("name", TRACKERS)
def test_without_its_extra_a_tracker_names_the_command(task, name, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(NotInstalled) as error:
        export(name, task)
    assert error.value.fix == f'pip install "tuneworthy[{name}]"'


@pytest.mark.parametrize("name", TRACKERS)
def test_a_tracker_writes_below_its_folder(task, name, tmp_path, capsys):
    if find_spec(name) is None:
        pytest.skip(f"needs the extra `{name}`")
    assert exported(task, name, "--out", str(tmp_path)) == 0
    told = json.loads(capsys.readouterr().out)
    assert str(tmp_path) in told["summary"]["store"]
    assert told["summary"]["run"]
    assert any(path.is_file() and b"few_shot" in path.read_bytes()
               for path in tmp_path.rglob("*"))  # fmt: skip


def test_an_unknown_format_is_said(task):
    with pytest.raises(TaskError, match="no format has this name"):
        export("promptfo", task)
