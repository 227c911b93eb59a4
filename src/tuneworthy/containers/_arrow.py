"""Turn rows of Arrow batches into records; label numbers become label names."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from tuneworthy.data.csv_rows import column_names
from tuneworthy.data.raw import RawRow


def numbered_rows(
    schema: Any, batches: Iterable[Any], name: str, start: int = 0, at: tuple[str, ...] = ()
) -> Iterator[RawRow]:
    """Yield the rows of Arrow batches as records, numbered from `start` + 1."""
    column_names(schema.names, name)
    labels, number = _label_names(schema), start
    for batch in batches:
        for row in batch.to_pylist():
            number += 1
            plain = {key: plain for key, value in row.items()
                     if (plain := _plain_value(value)) is not None}  # fmt: skip
            for key, names in labels.items():
                if isinstance(at_label := plain.get(key), int) and 0 <= at_label < len(names):
                    plain[key] = names[at_label]
            yield RawRow(f"{name}:{number}", plain, at)


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
    return value
