"""List and import plug-ins: each file of a plug-in folder is one, with the file's name.

Names and first docstring lines are read by `ast` without importing; a plug-in is imported on first
use, and then its required names are checked. Other packages add plug-ins through the entry-point
group `tuneworthy.<kind>`.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Sequence
from functools import lru_cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

from tuneworthy.records.code import syntax_tree
from tuneworthy.records.errors import TaskError

_REQUIRED_NAMES: dict[str, tuple[str, ...]] = {
    "arms": ("TOOL", "ROLE", "SIMPLICITY", "NEEDS", "Options", "fit"),
    "metrics": ("score",),
    "models": (),
    "servers": ("PROGRAM", "HEALTH", "command", "environment"),
    "suite": ("make",),
    "figures": ("SAYS", "holds"),
    "questions": ("QUESTION", "PRIOR", "ask"),
    "logs": ("EXAMPLE", "reads", "requests"),
    "containers": ("FORM", "opens", "records"),
    "importers": ("FORMAT", "NEEDS", "TAKES", "fits", "rows"),
    "build": ("FORM", "NEEDED", "applies", "write"),
    "failures": ("PLANTED", "CLEAN", "detect"),
    "formats": ("NEEDS", "write"),
    "executors": ("open_cluster",),
    "report": (),
    "cli": (),
}
_ROOT = Path(__file__).resolve().parent.parent
_ROOM_OF = {
    "build": "handover.forms", "containers": "rows.containers", "executors": "measure.executors",
    "failures": "lab.failures", "figures": "explain.figures", "formats": "handover.formats",
    "importers": "rows.importers", "logs": "rows.logs", "questions": "explain.questions",
    "servers": "models.servers",
}  # fmt: skip
"""The folders of plug-ins that do not have the name of their kind, as dotted names."""


@lru_cache
def catalogue(kind: str) -> dict[str, str]:
    """Return {plug-in name: first docstring line}, sorted by name, without importing plug-ins."""
    lines = {
        path.stem: _first_line(path)
        for path in sorted(_folder(kind).glob("*.py"))
        if not path.name.startswith("_")
    }
    for point in entry_points(group=f"tuneworthy.{kind}"):
        lines.setdefault(point.name, f"from {point.value}")
    return dict(sorted(lines.items()))


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """Return "did you mean `x`? " for the known name nearest to `name`; "" if none is near."""
    near = difflib.get_close_matches(name, known, n=1)
    near = near or [one for one in known if name in one.split("_")]
    return f"did you mean {' or '.join(f'`{one}`' for one in near)}? " if near else ""


def load(kind: str, name: str) -> ModuleType:
    """Import one plug-in and check that it defines the required names.

    Raises TaskError if no plug-in has this name (it lists those that exist, nearest first) or if
    the file lacks a required name.
    """
    if name not in catalogue(kind):
        hint = did_you_mean(name, list(catalogue(kind)))
        raise TaskError(
            f"no {kind.removesuffix('s')} has this name",
            got=name,
            fix=f"{hint}there are: {', '.join(catalogue(kind))}",
        )
    module = _import(kind, name)
    if missing := [part for part in _REQUIRED_NAMES[kind] if not hasattr(module, part)]:
        raise TaskError(
            f"the {kind.removesuffix('s')} `{name}` does not define what it must",
            where=getattr(module, "__file__", None) or module.__name__,
            got=f"missing: {', '.join(missing)}",
            fix=f"define {', '.join(_REQUIRED_NAMES[kind])} (see ARCHITECTURE.md)",
        )
    return module


def _import(kind: str, name: str) -> ModuleType:
    if (_folder(kind) / f"{name}.py").exists():
        return import_module(f"tuneworthy.{_ROOM_OF.get(kind, kind)}.{name}")
    group = entry_points(group=f"tuneworthy.{kind}", name=name)
    module: ModuleType = next(iter(group)).load()
    return module


def _folder(kind: str) -> Path:
    return _ROOT / _ROOM_OF.get(kind, kind).replace(".", "/")


def _first_line(path: Path) -> str:
    doc = ast.get_docstring(syntax_tree(path.read_text("utf-8"))) or ""
    return doc.partition("\n")[0]
