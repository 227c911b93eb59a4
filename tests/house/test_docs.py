"""What is exported is pinned; what is registered is documented; generated pages are fresh."""

import json
import re
import sys
from pathlib import Path

import pytest

import tuneworthy
from tuneworthy.cli.run import EXIT_CODES as codes_of_run
from tuneworthy.records import errors
from tuneworthy.records.errors import EXIT_CODES
from tuneworthy.records.plugins import catalogue

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
TOOLS = str(ROOT / "tools")
SRC = ROOT / "src" / "tuneworthy"
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text("utf-8")


def test_public_names_are_pinned():
    assert sorted(tuneworthy.__all__) == ["RunOptions", "Study", "check", "plan", "run"]
    assert all(getattr(tuneworthy, name) for name in tuneworthy.__all__)


@pytest.mark.parametrize("kind", ["arms", "metrics", "cli"])
def test_what_is_registered_is_documented(kind):
    told = set(re.findall(r"[a-z0-9_]+", README.replace("train-gate", "train_gate")))
    missing = [name for name in catalogue(kind) if name not in told]
    assert not missing, f"README names no {', '.join(missing)}"


def test_every_plug_in_has_a_line_for_its_catalogue():
    for kind in ("arms", "metrics", "suite", "cli"):
        for name, line in catalogue(kind).items():
            assert line.endswith("."), f"{kind}/{name}: {line!r}"


def test_the_readme_names_commands_and_files_that_exist():
    commands = set(re.findall(r"^tuneworthy (\w+)", README, re.M))
    assert commands
    assert commands <= set(catalogue("cli"))
    assert len(README.splitlines()) <= 120


def test_every_exit_code_has_its_meaning():
    classes = [getattr(errors, name) for name in dir(errors)]
    codes = {c.exit_code for c in classes if isinstance(c, type) and hasattr(c, "exit_code")}
    assert codes <= set(EXIT_CODES)
    told = README[README.index("[Exit codes]") :].split("\n\n")[0]
    assert set(EXIT_CODES) - {141} <= {int(code) for code in re.findall(r"\b\d+\b", told)}
    assert set(codes_of_run) == set(EXIT_CODES)


def test_every_room_stands_in_the_architecture():
    rooms = [p.name for p in SRC.iterdir() if (p / "__init__.py").exists()]
    assert [room for room in rooms if f"`{room}/" not in ARCHITECTURE] == []


def _places_in_the_architecture():
    """Yield (path, names in brackets after it) of every path in ARCHITECTURE.md."""
    for path, names in re.findall(r"`([\w./]+)`(?: \(((?:`\w+`(?:, )?)+))?", ARCHITECTURE):
        if "/" in path or path.endswith(".py"):
            yield path, re.findall(r"\w+", names)


def test_every_place_in_the_architecture_exists():
    places = list(_places_in_the_architecture())
    assert len(places) > 60
    for path, names in places:
        found = [root / path for root in (ROOT, SRC) if (root / path).exists()]
        assert found, path
        defined = found[0].read_text("utf-8") if found[0].is_file() else ""
        for name in names if defined else ():
            assert re.search(rf"^(class |def )?{name}\b", defined, re.M), f"{path}: {name}"


def _keys(record):
    from tuneworthy.rows.task_faults import field_names, section_class

    for key in field_names(record):
        yield key
        if (inner := section_class(record, key)) is not None:
            yield from _keys(inner)


def test_every_key_of_the_task_has_its_line():
    from tuneworthy.records.task import Recorded, Task

    text = (ROOT / "docs" / "how-to" / "task-yaml.md").read_text("utf-8")
    by_hand = text.partition("## Types and defaults")[0]
    told = set(re.findall(r"`(\w+)`", by_hand)) | set(re.findall(r"^## (\w+)", by_hand, re.M))
    assert set(_keys(Task)) | set(_keys(Recorded)) <= told
    assert len(by_hand.partition("<!--")[0].rstrip().splitlines()) <= 120


@pytest.fixture
def tools(monkeypatch):
    """Import the modules that write the reference pages."""
    monkeypatch.setattr(sys, "path", [TOOLS, *sys.path])
    import _commands
    import _keys
    import reference_pages

    return reference_pages, _commands, _keys


def test_generated_pages_are_fresh(tools):
    stale = [
        path.name
        for path, text in tools[0].pages().items()
        if not path.exists() or path.read_text("utf-8") != text
    ]
    assert not stale, "python tools/reference_pages.py writes them again"


def test_a_stale_table_of_keys_is_noticed(tools):
    _, _, keys = tools
    page = (ROOT / "docs" / "how-to" / "task-yaml.md").read_text("utf-8")
    stale = page.replace("| `seeds` | whole number, 1 to 20 | `2` |\n", "")
    assert stale != page
    assert keys.with_key_table(stale) == page


def test_every_command_and_option_has_a_help_text(tools):
    commands = tools[1]
    names = {command.name.split()[0].replace("-", "_") for command in commands.commands()}
    assert names == set(catalogue("cli"))
    assert commands.undocumented() == []


def test_every_field_of_the_verdict_has_a_meaning(tools):
    assert tools[2].without_meaning() == []


def test_every_public_name_has_its_section(tools):
    page = tools[0].python_page()
    assert set(re.findall(r"^## (\w+)$", page, re.M)) == set(tuneworthy.__all__)


def test_the_figures_of_hosted_models_are_the_measured_ones():
    measured = json.loads((ROOT / "bench/results/recorded_systems.json").read_text("utf-8"))
    assert (measured["arm"], measured["status"]) == ("tfidf", "provisional")
    page = " ".join((ROOT / "docs/evidence/labels.md").read_text("utf-8").split())
    for name in ("tfidf", measured["best_recorded"], "gpt_4o_mini"):
        score = measured["arms"][name]["score"]
        said = "{mean:.2f} ({low:.2f} to {high:.2f})".format(**score).replace("0.", ".")
        assert said in page, name
        assert said in " ".join(README.split()) or name == "gpt_4o_mini", name
    assert f"at most {100 * measured['left_on_table']:.1f} points better" in page
