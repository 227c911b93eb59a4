"""The import rule: only lower layers; plug-in files never import each other; torch in two rooms."""

import ast
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src" / "tuneworthy"
LAYERS = [
    {"core", "stats"},
    {"sandbox"},
    {"data", "metrics", "ledger"},
    {"models"},
    {"prompting", "training", "retrieval"},
    {"arms", "suite", "planted"},
    {"compare"},
    {"diagnose"},
    {"judge", "measure"},
    {"extras"},
    {"questions", "failures"},
    {"verdict"},
    {"settle"},
    {"recompute"},
    {"report", "artifact"},
    {"results_folder", "identity"},
    {"session"},
    {"study", "settling"},
    {"lab"},
    {"cli"},
    {"__init__", "__main__"},
]
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}
PLUGINS = {
    "metrics",
    "models",
    "arms",
    "suite",
    "planted",
    "questions",
    "failures",
    "report",
    "cli",
}
HEAVY = {
    "torch", "transformers", "peft", "openvino", "openvino_genai", "llguidance", "numba",
    "llvmlite",
}  # fmt: skip
FILES = sorted(SRC.rglob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(SRC).parts[0].removesuffix(".py")


def imports(path: Path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: absolute imports only"
            yield node.module
            if node.module == "tuneworthy" or node.module.count(".") == 1:
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


def faults(path: Path):
    here, own = room(path), path.relative_to(SRC)
    for name in imports(path):
        top, *rest = name.split(".")
        if top in HEAVY and here not in {"models", "training"}:
            yield f"{own} imports {top}"
        if top != "tuneworthy" or not rest or rest[0] not in LEVEL:
            continue
        there = rest[0]
        if LEVEL[there] > LEVEL[here]:
            yield f"{own} imports upwards: {name}"
        if LEVEL[there] == LEVEL[here] and there != here and {there, here} != {"core", "stats"}:
            yield f"{own} imports sideways: {name}"
        if there == here and here in PLUGINS and len(rest) > 1 and not own.name.startswith("_"):
            other = SRC / here / f"{rest[1]}.py"
            if other.exists() and not rest[1].startswith("_"):
                yield f"{own} imports another plug-in: {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SRC)))
def test_imports_follow_the_layers(path):
    assert room(path) in LEVEL, f"{path}: unknown room"
    assert not list(faults(path))


def test_the_check_can_fail(tmp_path, monkeypatch):
    bad = SRC / "core" / "_planted.py"
    monkeypatch.setattr(Path, "read_text", lambda self, *a: "import torch\nimport tuneworthy.cli\n")
    assert len(list(faults(bad))) == 2
