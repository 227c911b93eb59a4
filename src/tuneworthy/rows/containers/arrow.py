"""Rows of Arrow: a Parquet file, or the folder of a saved Hugging Face data set (needs pyarrow)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import date, datetime, time
from decimal import Decimal
from math import inf
from pathlib import Path
from typing import Any

from tuneworthy.rows.bad_rows import RawRow, RowFault
from tuneworthy.rows.containers._heads import json_object, optional_package
from tuneworthy.rows.csv_rows import column_names

FORM = "a Parquet file"
ORDER = 0
_FOLDER_FORM = "a saved Hugging Face data set"
_BATCH = 2_000  # rows


def opens(path: Path, head: bytes) -> bool:
    """Return whether a file has Parquet's first bytes, or a folder is a saved data set."""
    return head.startswith(b"PAR1") or any(
        (path / name).is_file() for name in ("dataset_dict.json", "state.json")
    )


def form_of(path: Path) -> str:
    """Return the form's name; for several splits also how to keep them apart."""
    if path.is_file():
        return FORM
    splits, form = _splits(path), _FOLDER_FORM
    return f"{form}, {' + '.join(splits)} as one (--split split: apart)" if splits[1:] else form


def records(path: Path) -> Iterator[RawRow | RowFault]:
    """Yield the rows, numbered from 1; those of all splits in the order of a folder.

    With several splits, each row names its own under `split`, unless the data set has such a
    column.
    """
    if path.is_file():
        yield from _read(path, path.name, "the Parquet file can't be read")
        return
    splits = _splits(path)
    for split in splits:
        folder = path / Path(split).name  # a split is a folder of this one
        listed = _fields(folder / "state.json").get("_data_files")
        files = [one.get("filename") for one in listed or () if isinstance(one, dict)
                 ] if isinstance(listed, list) else []  # fmt: skip
        if not files:
            yield RowFault(f"{path.name}/{split}", "a split has no Arrow file", "", "save it again",
                           lost=inf)  # fmt: skip
        number = 0
        for file in files:
            place = folder / Path(str(file)).name
            for found in _read(place, split or path.name, "the Arrow file can't be read", number):
                number += isinstance(found, RawRow)
                if isinstance(found, RawRow) and len(splits) > 1:
                    found.fields.setdefault("split", split)
                yield found


def _splits(path: Path) -> list[str]:
    splits = _fields(path / "dataset_dict.json").get("splits")
    return [str(one) for one in splits] if isinstance(splits, list) and splits else [""]


def _fields(path: Path) -> dict[str, Any]:
    found = json_object(path)
    return found if isinstance(found, dict) else {}


def _read(file: Path, name: str, broken: str, start: int = 0) -> Iterator[RawRow | RowFault]:
    """Yield the rows of a file, numbered from `start` + 1; `broken` says that it can't be read."""
    arrow = optional_package("pyarrow", file)
    try:
        if file.suffix == ".arrow":
            with arrow.memory_map(str(file)) as source:
                stream = optional_package("pyarrow.ipc", file).open_stream(source)
                parts = (batch.slice(at, _BATCH) for batch in stream
                         for at in range(0, batch.num_rows, _BATCH))  # fmt: skip
                yield from _numbered_rows(stream.schema, parts, name, start)
            return
        with optional_package("pyarrow.parquet", file).ParquetFile(file) as table:
            yield from _numbered_rows(table.schema_arrow, table.iter_batches(_BATCH), name, start)
    except (arrow.ArrowException, OSError, ValueError, OverflowError, TypeError) as error:
        yield RowFault(file.name, broken, str(error)[:200], "save it again", lost=inf)


def _numbered_rows(schema: Any, batches: Iterable[Any], name: str, start: int) -> Iterator[RawRow]:
    column_names(schema.names, name)
    labels, number = _label_names(schema), start
    for batch in batches:
        for row in batch.to_pylist():
            number += 1
            plain = {key: plain for key, value in row.items()
                     if (plain := _plain_value(value)) is not None}  # fmt: skip
            for key, names in labels.items():
                if isinstance(at := plain.get(key), int) and 0 <= at < len(names):
                    plain[key] = names[at]
            yield RawRow(f"{name}:{number}", plain)


def _label_names(schema: Any) -> dict[str, list[str]]:
    """Return {label column: label names}, from the metadata of the Hugging Face library."""
    try:
        noted = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        features = noted.get("info", {}).get("features", {})
        found = {key: one.get("names") for key, one in features.items() if isinstance(one, dict)}
    except (ValueError, AttributeError):
        return {}
    return {key: [str(name) for name in names] for key, names in found.items()
            if isinstance(names, list)}  # fmt: skip


def _plain_value(value: Any) -> Any:
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, bytes):  # a text without its type; other bytes are no value of a row
        try:
            return None if 0 in value else value.decode("utf-8")
        except UnicodeDecodeError:
            return None
    if isinstance(value, list):
        return [_plain_value(one) for one in value]
    if isinstance(value, dict):
        return {key: _plain_value(one) for key, one in value.items()}
    return value if isinstance(value, str | int | float | None) else str(value)  # a duration, say
