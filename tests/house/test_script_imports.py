"""Files that no other test runs together: imports of scripts exist, names of tests differ."""

import ast
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src" / "tuneworthy"
SCRIPTS = [path for kind in ("bench", "experiments", "tools") for path in ROOT.glob(f"{kind}/*.py")]


def bound(module: Path) -> set[str]:
    """Return the names that stand at the top of a module, imports included."""
    names = set()
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


def faults(text: str):
    """Yield each name that a script imports from a module of ours that lacks it."""
    for node in ast.walk(ast.parse(text)):
        module = isinstance(node, ast.ImportFrom) and (node.module or "").split(".")
        if not module or module[0] != "tuneworthy":
            continue
        place = SRC.joinpath(*module[1:])
        file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        if not file.is_file():
            yield node.module
            continue
        inside = {path.stem for path in place.glob("*")} if place.is_dir() else set()
        lazy = "__getattr__" in (known := bound(file))
        yield from (
            f"{node.module}.{alias.name}"
            for alias in node.names
            if alias.name not in known | inside and not lazy
        )


def test_every_script_imports_what_exists():
    missing = {path.name: list(faults(path.read_text("utf-8"))) for path in SCRIPTS}
    assert len(SCRIPTS) > 20
    assert not {name: names for name, names in missing.items() if names}


def test_the_check_can_fail():
    gone = "from tuneworthy.compare import pairs\nfrom tuneworthy.flows.study import no_step\n"
    assert list(faults(gone)) == ["tuneworthy.compare", "tuneworthy.flows.study.no_step"]


def test_every_file_of_tests_has_a_name_of_its_own():
    """Two files of one name in two folders stop a run that collects both."""
    names = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name, times in names.items() if times > 1] == []
