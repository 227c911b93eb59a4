"""Digest of the source code that made a value: part of each cache key, so that no entry is stale.

Without it in the key, the cache returned answers of an older version after an upgrade, or after a
change in code that several arms share.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from tuneworthy import __version__

_ROOT = Path(__file__).resolve().parent.parent
# Code that turns a row into an answer: case rendering, prompts, shared arm code, retrieval,
# training and generation. Callers add the arm's own file.
ANSWER_SOURCES = (
    "arms/_*.py", "core/case.py", "cpu_engine/**/*.py", "models/**/*.py", "prompting/*.py",
    "retrieval/*.py", "training/*.py",
)  # fmt: skip
ENCODER_SOURCES = ("models/encoder/*.py",)
ALL_SOURCES = ("**/*.py",)


def code_version(patterns: tuple[str, ...] = ANSWER_SOURCES) -> dict[str, str]:
    """Return the version and a digest of source files (patterns relative to the package's folder).

    The files are read once per process, so all keys of a run name the same code.
    """
    return {"version": __version__, "source": source_digest(patterns)}


@cache
def source_digest(patterns: tuple[str, ...]) -> str:
    """Return 16 hex digits over the names and bytes of the matching files."""
    total = hashlib.sha256()
    for path in sorted({path for pattern in patterns for path in _ROOT.glob(pattern)}):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{path.relative_to(_ROOT).as_posix()} {content}\n".encode())
    return total.hexdigest()[:16]
