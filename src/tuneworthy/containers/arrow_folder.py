"""A data set that the Hugging Face library saved: a folder of Arrow files (needs pyarrow)."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from pathlib import Path
from typing import Any

from tuneworthy.containers._arrow import numbered_rows
from tuneworthy.containers._heads import optional_package
from tuneworthy.core.record import plain_file
from tuneworthy.core.strict_json import strict_json
from tuneworthy.data.raw import RawRow, RowFault

FORM = "a saved Hugging Face data set"
ORDER = 0


def opens(path: Path, head: bytes) -> bool:
    """Return whether a folder is a saved data set, with or without splits."""
    return any((path / name).is_file() for name in ("dataset_dict.json", "state.json"))


def records(path: Path) -> Iterator[RawRow | RowFault]:
    """Yield the rows of all splits in the order of the folder, each numbered from 1.

    With several splits, each row names its own under `split`, unless the data set has such a
    column.
    """
    splits = _splits(path)
    for split in splits:
        folder = path / Path(str(split)).name  # a split is a folder of this one
        listed = _read_object(folder / "state.json").get("_data_files")
        files = [one.get("filename") for one in listed or () if isinstance(one, dict)
                 ] if isinstance(listed, list) else []  # fmt: skip
        if not files:
            yield RowFault(f"{path.name}/{split}", "a split has no Arrow file", "", "save it again",
                           lost=inf)  # fmt: skip
        number = 0
        for file in files:
            for found in _file_rows(folder / Path(str(file)).name, str(split) or path.name, number):
                number += isinstance(found, RawRow)
                if isinstance(found, RawRow) and len(splits) > 1:
                    found.fields.setdefault("split", split)
                yield found


def form_of(path: Path) -> str:
    """Return the form's name; for several splits also how to keep them apart."""
    splits = _splits(path)
    return f"{FORM}, {' + '.join(splits)} as one (--split split: apart)" if splits[1:] else FORM


def _splits(path: Path) -> list[str]:
    splits = _read_object(path / "dataset_dict.json").get("splits")
    return [str(one) for one in splits] if isinstance(splits, list) and splits else [""]


def _file_rows(file: Path, name: str, start: int) -> Iterator[RawRow | RowFault]:
    arrow, ipc = optional_package("pyarrow", file), optional_package("pyarrow.ipc", file)
    try:
        with arrow.memory_map(str(file)) as source:
            stream = ipc.open_stream(source)
            parts = (batch.slice(at, 2_000) for batch in stream
                     for at in range(0, batch.num_rows, 2_000))  # fmt: skip
            yield from numbered_rows(stream.schema, parts, name, start)
    except (arrow.ArrowException, OSError, ValueError) as error:
        yield RowFault(
            file.name, "the Arrow file can't be read", str(error)[:200], "save it again", lost=inf
        )


def _read_object(path: Path) -> dict[str, Any]:
    try:
        found = strict_json(plain_file(path))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
