"""Files fail at 400 lines, functions at 60, parameters at 6; words we avoid."""

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src" / "tuneworthy"
FILES = sorted(SRC.rglob("*.py"))
EXCEPTIONS = tomllib.loads((Path(__file__).parent / "exceptions.toml").read_text())
BANNED = ("manager", "handler", "utils", "helper", "base", "v2")


def functions(path):
    tree = ast.parse(path.read_text("utf-8"))
    return [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SRC)))
def test_sizes(path):
    name = str(path.relative_to(SRC))
    allowed = EXCEPTIONS.get(name, {})
    assert len(path.read_text("utf-8").splitlines()) <= 400
    command = name.startswith("cli/")
    for node in functions(path):
        lines = node.end_lineno - node.lineno + 1
        args = node.args
        count = len(args.args + args.kwonlyargs + args.posonlyargs)
        count -= sum(a.arg in {"self", "cls"} for a in args.args[:1])
        assert lines <= allowed.get(node.name, 60), f"{name}:{node.name} has {lines} lines"
        assert count <= 6 or command, f"{name}:{node.name} has {count} parameters"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SRC)))
def test_names(path):
    parts = path.stem.strip("_").split("_")
    assert not set(parts) & set(BANNED), path
    tree = ast.parse(path.read_text("utf-8"))
    assert ast.get_docstring(tree), f"{path}: a module says what it is"
    for node in tree.body:
        public = not getattr(node, "name", "_").startswith("_")
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and public:
            assert ast.get_docstring(node), f"{path}:{node.name} has no docstring"


def test_few_exceptions():
    assert sum(len(v) for v in EXCEPTIONS.values()) <= 5
