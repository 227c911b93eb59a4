"""Read a file whose columns have any names, and find a column by its usual names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from tuneworthy.data.batch_output import batch_answers, is_batch_output
from tuneworthy.data.csv_rows import DELIMITER_OF, delimiter_of, read_table
from tuneworthy.data.json_array import array_rows, is_array
from tuneworthy.data.jsonl import read_jsonl
from tuneworthy.data.lines import check_text_file, text_encoding
from tuneworthy.data.raw import RawRow, RowFault

ANSWER_NAMES = ("answer", "output", "response", "prediction", "predicted", "pred", "completion",
                "generated", "generation", "reply", "model_output", "text_output",
                "prediction_text", "generated_text", "said", "antwort", "ausgabe",
                "vorhersage")  # fmt: skip


def own_records(path: Path) -> Iterator[RawRow | RowFault]:
    """Return an iterator over the records of a table, JSON Lines, a JSON array or a batch output.

    Raises DataError for a file that can't be read as text.
    """
    skip, encoding = check_text_file(path, str(path)), text_encoding(path)
    if is_array(path):
        return array_rows(path)
    if path.suffix.lower() in DELIMITER_OF:
        return read_table(path, path.name, skip, delimiter_of(path), None, encoding)
    return batch_answers(read_jsonl(path, path.name, skip, encoding))


def is_rewritten(path: Path) -> bool:
    """Return whether a file is a JSON array or a batch output, which `read_rows` can't read."""
    if is_array(path):
        return True
    skip, encoding = check_text_file(path, str(path)), text_encoding(path)
    table = path.suffix.lower() in DELIMITER_OF
    first = None if table else next(read_jsonl(path, path.name, skip, encoding), None)
    return first is not None and is_batch_output(first)


def named_column(columns: Sequence[str], names: Sequence[str]) -> str:
    """Return the column with the first of these names (case ignored), "" if no column has one."""
    lowered = {name.lower(): name for name in reversed(columns)}
    return next((lowered[name] for name in names if name in lowered), "")
