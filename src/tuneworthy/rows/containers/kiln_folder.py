"""A Kiln project or task folder: one file a run, below `runs/`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from tuneworthy.rows.bad_rows import RawRow, RowFault
from tuneworthy.rows.containers._heads import json_object

FORM = "a Kiln folder"
ORDER = 1


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
            found, where = json_object(file), file.relative_to(path).as_posix()
            if isinstance(found, str):
                yield RowFault(where, "a Kiln file can't be read", found, "save it again in Kiln")
            else:
                at = ("task",) if name == "task.kiln" else ("runs",)
                yield RawRow(where, found, at)
