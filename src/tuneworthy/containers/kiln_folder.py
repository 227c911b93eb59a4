"""A Kiln project or task folder: one file a run, below `runs/`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tuneworthy.core.record import plain_file
from tuneworthy.core.strict_json import strict_json
from tuneworthy.data.raw import RawRow, RowFault

FORM = "a Kiln folder"
ORDER = 1
_MOST_BYTES = 8_000_000  # bytes of a run


def opens(path: Path, head: bytes) -> bool:
    """Return whether a folder holds a Kiln project or task."""
    return any((path / name).is_file() for name in ("project.kiln", "task.kiln"))


def records(path: Path) -> Iterator[RawRow | RowFault]:
    """Yield each task at ("task",) and each run at ("runs",); links are not followed."""
    for folder, inner, files in os.walk(path):
        inner.sort()
        for name in sorted(files):
            file = Path(folder) / name
            if name not in {"task.kiln", "task_run.kiln"} or file.is_symlink():
                continue
            found, where = _read_object(file), file.relative_to(path).as_posix()
            if isinstance(found, str):
                yield RowFault(where, "a Kiln file can't be read", found, "save it again in Kiln")
            else:
                at = ("task",) if name == "task.kiln" else ("runs",)
                yield RawRow(where, found, at)


def _read_object(file: Path) -> dict[str, Any] | str:
    try:
        if file.stat().st_size > _MOST_BYTES:
            return "larger than 8 MB"
        found = strict_json(plain_file(file))
    except (OSError, ValueError) as error:
        return str(error)[:200]
    return found if isinstance(found, dict) else "no object"
