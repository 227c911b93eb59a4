"""What is exported is pinned; what is registered stands in the README, and what it names exists."""

import re
from pathlib import Path

import pytest

import tuneworthy
from tuneworthy.core import errors
from tuneworthy.core.plugins import catalogue

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text("utf-8")


def test_public_names_are_pinned():
    assert sorted(tuneworthy.__all__) == ["RunOptions", "Study", "check", "plan", "run"]
    assert all(getattr(tuneworthy, name) for name in tuneworthy.__all__)


@pytest.mark.parametrize("kind", ["arms", "metrics", "cli"])
def test_what_is_registered_is_documented(kind):
    told = set(re.findall(r"[a-z0-9_]+", README))
    missing = [name for name in catalogue(kind) if name not in told]
    assert not missing, f"README names no {', '.join(missing)}"


def test_every_plug_in_has_a_line_for_its_catalogue():
    for kind in ("arms", "metrics", "suite", "planted", "cli"):
        for name, line in catalogue(kind).items():
            assert line.endswith("."), f"{kind}/{name}: {line!r}"


def test_the_readme_names_commands_and_files_that_exist():
    commands = set(re.findall(r"^tuneworthy (\w+)", README, re.M))
    assert commands
    assert commands <= set(catalogue("cli"))
    for target in re.findall(r"\]\(([\w./-]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_readme_has_every_exit_code():
    classes = [getattr(errors, name) for name in dir(errors)]
    codes = {c.exit_code for c in classes if isinstance(c, type) and hasattr(c, "exit_code")}
    table = "\n".join(line for line in README.splitlines() if line.startswith("| "))
    assert codes | {0, 3, 4, 130, 143} <= {int(code) for code in re.findall(r"\b\d+\b", table)}


def test_every_room_stands_in_the_architecture():
    rooms = [
        p.name for p in (ROOT / "src" / "tuneworthy").iterdir() if (p / "__init__.py").exists()
    ]
    assert [room for room in rooms if f"`{room}/" not in ARCHITECTURE] == []


def _keys(record):
    from tuneworthy.data.task_faults import names, section

    for key in names(record):
        yield key
        if (inner := section(record, key)) is not None:
            yield from _keys(inner)


def test_every_key_of_the_task_has_its_line():
    from tuneworthy.core.task import Recorded, Task

    text = (ROOT / "docs" / "how-to" / "task-yaml.md").read_text("utf-8")
    told = set(re.findall(r"`(\w+)`", text)) | set(re.findall(r"^## (\w+)", text, re.M))
    assert set(_keys(Task)) | set(_keys(Recorded)) <= told
    assert len(text.splitlines()) <= 120
