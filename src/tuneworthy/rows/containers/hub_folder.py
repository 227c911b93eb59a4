"""A folder of files named by their split, as data sets lie on the Hugging Face Hub."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tuneworthy.rows.bad_rows import RawRow, RowFault
from tuneworthy.rows.table_columns import PART_NAMES, part_of

FORM = "a data set folder"
ORDER = 5
_SUFFIXES = {".parquet", ".jsonl", ".ndjson", ".json", ".csv", ".tsv"}
_NOT_LETTERS = re.compile(r"[^a-z]+")


def opens(path: Path, head: bytes) -> bool:
    """Return whether a folder, or its `data/`, has files named by a split, such as `train-*`."""
    return path.is_dir() and bool(_files(path))


def form_of(path: Path) -> str:
    """Return the form's name with the splits that the names of the files tell."""
    return f"{FORM}, {' and '.join(_files(path))} by name"


def split_of(path: Path) -> str:
    """Return the name of the column that says each row's split, "" if all are of one."""
    return "split" if len(_files(path)) > 1 else ""


def records(path: Path) -> Iterator[RawRow | RowFault]:
    """Yield the rows of all files, the training rows first; of several splits each is named."""
    from tuneworthy.rows.table import open_table  # which opens a file by its own form

    column = split_of(path)
    for part, files in _files(path).items():
        for file in files:
            for found in open_table(file).rows():
                if isinstance(found, RawRow) and column:
                    found.fields[column] = part
                yield found


def _files(path: Path) -> dict[str, list[Path]]:
    """Return {split: its files}, sorted; a file in a folder named by a split is of that split."""
    found: dict[str, list[Path]] = {}
    places = [*path.glob("*"), *path.glob("*/*")]
    for file in sorted(places):
        inside = file.parent if file.parent != path else None
        if file.suffix.lower() not in _SUFFIXES or not file.is_file():
            continue
        if inside is not None and inside.name != "data" and not _split_in(inside.name):
            continue
        split = _split_in(file.stem) or (_split_in(inside.name) if inside else "")
        if split:
            found.setdefault(split, []).append(file)
    return {part: found[part] for part in sorted(found, key=_order)}


def _order(part: str) -> int:
    return ("train", "dev", "test").index(part)


def _split_in(name: str) -> str:
    """Return the split that a word of a name tells, as `train-00000-of-00001` does, else ""."""
    words = _NOT_LETTERS.split(name.casefold())
    return next((part for word in words if (part := part_of(word)) in PART_NAMES), "")
