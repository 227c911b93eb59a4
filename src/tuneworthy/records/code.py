"""Digest of the source code that made a value: part of each cache key, so that no entry is stale.

Without it in the key, the cache returned answers of an older version after an upgrade, or after a
change in code that several arms share.
"""

from __future__ import annotations

import ast
import hashlib
import threading
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path

from tuneworthy.records import __version__

_ROOT = Path(__file__).resolve().parent.parent
# Code that turns a row into an answer: case rendering, prompts, shared arm code, retrieval,
# training and generation. Callers add the arm's own file.
_ANSWER_SOURCES = (
    "arms/_*.py", "records/case.py", "models/**/*.py", "arms/prompt/*.py", "arms/retrieval/*.py",
    "models/train/*.py",
)  # fmt: skip
ENCODER_SOURCES = ("models/encoder/*.py",)
ALL_SOURCES = ("**/*.py",)
_PARSING = threading.RLock()
_FIELDS_LEFT_OUT = {"ctx", "kind", "type_comment", "type_ignores"}


def code_version(patterns: tuple[str, ...] = _ANSWER_SOURCES) -> dict[str, str]:
    """Return {"version", "source": digest of source files that match patterns} for cache keys.

    Patterns are relative to the package. An installed CPU engine counts too. Files are read once:
    all keys of a run name the same code.
    """
    return {"version": __version__, "source": source_digest(patterns, engine=True)}


def cpu_engine_entry() -> EntryPoint | None:
    """Return the entry point of the installed CPU engine, None without one. Imports nothing."""
    return next(iter(entry_points(group="tuneworthy.cpu_engine")), None)


def syntax_tree(source: str | bytes) -> ast.Module:
    """Return `ast.parse(source)`, one call at a time; it raises what that raises.

    Before Python 3.13, two threads that parse at once can end in a SystemError ("AST constructor
    recursion depth mismatch"): they share one counter.
    """
    with _PARSING:
        return ast.parse(source)


@cache
def code_digest(files: tuple[Path, ...]) -> str:
    """Return the SHA-256 of what the files compute: no comment, docstring or layout changes it.

    A file that is not Python source counts with its bytes. Read once per process.
    """
    total = hashlib.sha256()
    for file in files:
        content = file.read_bytes()
        try:
            tree = syntax_tree(content)
        except (SyntaxError, ValueError):
            total.update(hashlib.sha256(content).digest())
        else:
            parts: list[str] = []
            _add_code(tree, parts)
            total.update(hashlib.sha256("\n".join(parts).encode()).digest())
    return total.hexdigest()


def _add_code(node: object, parts: list[str]) -> None:
    """Append a syntax tree as text to `parts`, without docstrings and other lone strings.

    Unlike `ast.dump` it is the same in all versions of Python: fields that are empty or say
    nothing about the result are left out, so that a version which adds one changes no digest.
    """
    if isinstance(node, ast.AST):
        parts.append("(" + type(node).__name__)
        for name in node._fields:
            value = getattr(node, name, None)
            if value is not None and value != [] and name not in _FIELDS_LEFT_OUT:
                parts.append(name)
                _add_code(value, parts)
        parts.append(")")
    elif isinstance(node, list):
        parts.append("[")
        for item in node:
            if not _is_text_alone(item):
                _add_code(item, parts)
        parts.append("]")
    else:
        parts.append(ascii(node))


def _is_text_alone(node: object) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


@cache
def source_digest(patterns: tuple[str, ...], *, engine: bool = False) -> str:
    """Return 16 hex digits over the names and bytes of the matching files, and of the engine's."""
    files = {path.relative_to(_ROOT): path for pattern in patterns for path in _ROOT.glob(pattern)}
    entry = cpu_engine_entry() if engine else None
    spec = find_spec(entry.module) if entry else None
    for folder in map(Path, (spec and spec.submodule_search_locations) or ()):
        files |= {path.relative_to(folder.parent): path for path in folder.rglob("*.py")}
    total = hashlib.sha256()
    for name in sorted(files):  # the order does not depend on where the two are installed
        content = hashlib.sha256(files[name].read_bytes()).hexdigest()
        total.update(f"{name.as_posix()} {content}\n".encode())
    return total.hexdigest()[:16]
