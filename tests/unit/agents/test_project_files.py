"""`init --agent`: writes what is ours, once, and nothing of the user's."""

import json

import pytest

from tuneworthy.agents.project_files import (
    BEGIN,
    END,
    LINES,
    SKILL_FOLDERS,
    skill_text,
    write_project_files,
)
from tuneworthy.cli._frame import run
from tuneworthy.records.errors import TaskError

NEW = {"AGENTS.md", *(f"{one}/SKILL.md" for one in SKILL_FOLDERS),
       ".cursor/rules/tuneworthy.mdc", ".mcp.json"}  # fmt: skip


def contents(root):
    return {str(path.relative_to(root)): path.read_text("utf-8")
            for path in root.rglob("*") if path.is_file()}  # fmt: skip


def test_an_empty_project_gets_every_file_and_a_second_time_changes_nothing(tmp_path):
    assert dict(write_project_files(tmp_path)) == dict.fromkeys(NEW, "written")
    first = contents(tmp_path)
    assert first.keys() == NEW
    assert LINES in first["AGENTS.md"]
    assert first[".agents/skills/tuneworthy/SKILL.md"] == skill_text()
    assert json.loads(first[".mcp.json"])["mcpServers"]["tuneworthy"]["args"] == ["mcp", "."]
    assert first[".cursor/rules/tuneworthy.mdc"].startswith("---\ndescription: Measures")
    assert dict(write_project_files(tmp_path)) == dict.fromkeys(NEW, "unchanged")
    assert contents(tmp_path) == first


def test_what_the_user_wrote_stays(tmp_path):
    (tmp_path / "AGENTS.md").write_text("# Ours\n\nUse tabs.\n")
    (tmp_path / "CLAUDE.md").write_text(f"Before.\n{BEGIN}\nold\n{END}\n\nAfter.\n")
    other = {"mcpServers": {"x": {"command": "x"}}, "more": 1}
    (tmp_path / ".mcp.json").write_text(json.dumps(other))
    write_project_files(tmp_path)
    found = contents(tmp_path)
    assert found["AGENTS.md"] == f"# Ours\n\nUse tabs.\n\n{BEGIN}\n{LINES}{END}\n"
    assert found["CLAUDE.md"] == f"Before.\n{BEGIN}\n{LINES}{END}\n\nAfter.\n"
    settings = json.loads(found[".mcp.json"])
    assert settings["mcpServers"].pop("tuneworthy")
    assert settings == other


def test_a_server_that_the_user_set_stays(tmp_path):
    own = '{"mcpServers": {"tuneworthy": {"command": "uvx"}}}'
    (tmp_path / ".mcp.json").write_text(own)
    write_project_files(tmp_path)
    assert (tmp_path / ".mcp.json").read_text() == own


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [("AGENTS.md", f"{BEGIN}\nno end", "the end of our lines is missing"),
     (".mcp.json", "{", "these settings can't be read"),
     (".mcp.json", "[]", "these settings can't be read"),
     (".claude/skills/tuneworthy/SKILL.md", "mine", "another file stands there")],
)  # fmt: skip
def test_nothing_is_written_where_a_file_stands_in_the_way(tmp_path, name, text, what):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(text)
    with pytest.raises(TaskError, match=what):
        write_project_files(tmp_path)
    assert contents(tmp_path) == {name: text}


def test_the_command_says_what_it_would_write(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["init", "--agent", "--dry-run", "--json"]) == 0
    files = json.loads(capsys.readouterr().out)["files"]
    assert {one["state"] for one in files} == {"would be written"}
    assert not contents(tmp_path)
    assert run(["init", "--agent"]) == 0
    assert "AGENTS.md: written" in capsys.readouterr().out
    assert run(["init", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["fix"].startswith("tuneworthy init FILE")
