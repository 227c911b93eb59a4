"""The import rule: only lower floors; plug-in files never import each other; torch in one room."""

import ast
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src" / "tuneworthy"
FLOORS = [
    {"records", "stats"},
    {"sandbox", "store", "matrix"},
    {"rows", "metrics"},
    {"models", "suite"},
    {"arms"},
    {"explain"},
    {"measure"},
    {"verdict"},
    {"report"},
    {"flows"},
    {"handover"},
    {"lab", "agents"},
    {"cli"},
    {"__init__", "__main__", "pytest_plugin"},
]
LEVEL = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
PLUGINS = {
    "metrics", "models", "models/servers", "arms", "suite", "explain/figures", "explain/questions",
    "rows/containers", "rows/importers", "rows/logs", "measure/executors",
    "handover/forms", "handover/formats", "lab/failures", "cli",
}  # fmt: skip
HEAVY = {
    "torch",
    "transformers",
    "peft",
    "openvino",
    "openvino_genai",
    "llguidance",
    "xllamacpp",
    "setfit",
    "sentence_transformers",
}
COMPILERS = {"numba", "llvmlite", "tuneworthy_cpu"}  # found by entry point, never imported
CLIENTS = {"ray": "measure/executors/ray.py"}
FILES = sorted(SRC.rglob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(SRC).parts[0].removesuffix(".py")


def folder(path: Path) -> str:
    return path.relative_to(SRC).parent.as_posix()


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
        if top in HEAVY and here != "models":
            yield f"{own} imports {top}"
        if top in COMPILERS:
            yield f"{own} imports {top}"
        if top in CLIENTS and own.as_posix() != CLIENTS[top]:
            yield f"{own} imports {top}"
        if top != "tuneworthy" or not rest or rest[0] not in LEVEL:
            continue
        there = rest[0]
        if LEVEL[there] > LEVEL[here]:
            yield f"{own} imports upwards: {name}"
        if LEVEL[there] == LEVEL[here] and there != here:
            yield f"{own} imports sideways: {name}"
        other = SRC.joinpath(*rest).with_suffix(".py")
        beside = folder(other) == folder(path) and other.exists()
        if beside and folder(path) in PLUGINS and "_" not in (own.name[0], other.name[0]):
            yield f"{own} imports another plug-in: {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SRC)))
def test_imports_follow_the_layers(path):
    assert room(path) in LEVEL, f"{path}: unknown room"
    assert not list(faults(path))


def test_the_check_can_fail(tmp_path, monkeypatch):
    bad = SRC / "records" / "_planted.py"
    monkeypatch.setattr(Path, "read_text", lambda self, *a: "import torch\nimport tuneworthy.cli\n")
    assert len(list(faults(bad))) == 2


def modules():
    """Return the dotted name of every module below the package, with its path."""
    for path in FILES:
        parts = path.relative_to(SRC).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name:
            yield name, path


def test_no_import_goes_round():
    """Imports for type checking and inside functions count too."""
    known = dict(modules())
    graph = {}
    for name, path in known.items():
        needs = {one.removeprefix("tuneworthy.") for one in imports(path)} & set(known) - {name}
        # `from package import module` needs the module, not all that the package names.
        graph[name] = {n for n in needs if not any(o.startswith(f"{n}.") for o in needs)}
    while free := [name for name, needs in graph.items() if not needs & set(graph)]:
        for name in free:
            del graph[name]
    # What is left stands on a circle or above one.
    circle = {name for name in graph if any(name in needs for needs in graph.values())}
    assert not circle


def test_no_two_modules_share_a_name():
    """Plug-in folders and commands are named after what users write, so they may repeat a name."""
    files = [path for path in FILES if folder(path) not in PLUGINS and path.name != "__init__.py"]
    leaves = [path.stem for path in files]
    assert sorted(name for name in set(leaves) if leaves.count(name) > 1) == []
