"""Files end at 400 lines, and a file of less than 60 has a reason; words we avoid."""

import ast
import tomllib
from pathlib import Path

import pytest
from tests.house.test_layers import PLUGINS, folder

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src" / "tuneworthy"
FILES = sorted(SRC.rglob("*.py"))
SMALL = tomllib.loads((Path(__file__).parent / "small_files.toml").read_text())
LEAST_LINES, MOST_LINES = 60, 400
BANNED = ("manager", "handler", "utils", "helper", "base", "v2")


def lines(path):
    return len(path.read_text("utf-8").splitlines())


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SRC)))
def test_sizes_and_names(path):
    assert lines(path) <= MOST_LINES
    assert not set(path.stem.strip("_").split("_")) & set(BANNED), path
    tree = ast.parse(path.read_text("utf-8"))
    assert ast.get_docstring(tree), f"{path}: a module says what it is"
    for node in tree.body:
        public = not getattr(node, "name", "_").startswith("_")
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and public:
            assert ast.get_docstring(node), f"{path}:{node.name} has no docstring"


def test_a_small_file_has_a_reason():
    small = {
        path.relative_to(SRC).as_posix()
        for path in FILES
        if lines(path) < LEAST_LINES
        and not path.name.startswith("__")
        and (folder(path) not in PLUGINS or path.name.startswith("_"))
    }
    assert small == SMALL.keys(), "give it to the file of its topic, or say why it stands alone"
