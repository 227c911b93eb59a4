"""The skill that coding agents read: valid by its standard, short, and true of the commands."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from tuneworthy.cli._frame import app

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "skills" / "tuneworthy"
TEXT = (FOLDER / "SKILL.md").read_text("utf-8")
ASKED = ("fine-tune", "LoRA", "distil", "train a model", "worth it", "did help")


def test_it_is_valid_and_short():
    checker = Path(sys.executable).with_name("agentskills")
    done = subprocess.run(
        [checker, "validate", FOLDER], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    _, head, body = TEXT.split("---", 2)
    assert len(body) / 3 < 5000, "tokens, of three characters or more"
    assert all(word in head for word in ASKED)


@pytest.mark.parametrize(
    "words",
    ["claude plugin validate plugins/tuneworthy", "claude plugin validate .",
     "gemini extensions validate plugins/tuneworthy"],
)  # fmt: skip
def test_each_vendor_takes_its_plugin(words, tmp_path):
    program, *rest = words.split()
    if shutil.which(program) is None:
        pytest.skip(f"no {program} here")
    home = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [program, *rest], cwd=ROOT, env=home, capture_output=True, text=True, check=False
    )
    told = done.stdout + done.stderr
    assert (done.returncode, "warning" in told) == (0, False), told


def test_each_command_and_option_that_it_names_is_there():
    commands = typer.main.get_command(app()).commands
    named = re.findall(r"`tuneworthy ([a-z-]+)([^`]*)`", TEXT)
    assert len(named) > 10
    for name, rest in named:
        options = {option for one in commands[name].params for option in one.opts}
        assert {*re.findall(r"--[a-z-]+", rest)} <= options, f"{name}{rest}"


def test_each_value_of_a_verdict_that_it_names_is_one():
    from tuneworthy.report.exports import schema_text

    schema = schema_text()
    for word in ("tune", "distil", "firm", "provisional", "blocked", "because", "questions"):
        assert f'"{word}"' in schema


def test_the_plugins_of_the_agents_are_written_from_it():
    sys.path.append(str(ROOT / "tools"))
    import agent_plugins

    stale = [name for name, text in agent_plugins.files().items()
             if not (ROOT / name).exists() or (ROOT / name).read_text("utf-8") != text]  # fmt: skip
    assert not stale, "python tools/agent_plugins.py writes them again"
    copy = ROOT / agent_plugins.PLUGIN / "skills" / "tuneworthy"
    checker = Path(sys.executable).with_name("agentskills")
    assert subprocess.run([checker, "validate", copy], check=False).returncode == 0
