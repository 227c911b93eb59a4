"""What src imports is declared in pyproject.toml: a package that comes along by chance is not."""

import ast
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src" / "tuneworthy"
NAMES = {
    "sklearn": "scikit-learn",
    "python_calamine": "python-calamine",
    "ruamel": "ruamel.yaml",
    "pydantic_core": "pydantic-core",
    "huggingface_hub": "huggingface-hub",
    "prometheus_client": "prometheus-client",
    "sentence_transformers": "sentence-transformers",
}  # import name -> distribution


LOADS_US = {SRC / "pytest_plugin.py"}  # what loads these is there, and no need of ours


def imported():
    for path in sorted({*SRC.rglob("*.py")} - LOADS_US):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((path, alias.name.split(".")[0]) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield path, node.module.split(".")[0]


EXTRAS = ("train", "serve", "lab", "build", "ray", "agents", "setfit")


def declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    lines = [
        *project["dependencies"],
        *(line for name in EXTRAS for line in extras[name]),
    ]
    return {re.split(r"[<>=\[; ]", line)[0] for line in lines}


def test_every_third_party_import_is_declared():
    known = set(sys.stdlib_module_names) | {"tuneworthy", "__future__"}
    lost = {
        f"{path.relative_to(SRC)}: {name}"
        for path, name in imported()
        if name not in known and NAMES.get(name, name) not in declared()
    }
    assert not lost


def test_nothing_is_declared_in_vain():
    used = {NAMES.get(name, name) for _, name in imported()}
    assert not declared() - used
