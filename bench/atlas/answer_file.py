"""Read and write recorded advice: JSON lines, each one adviser's answer to one task."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from tuneworthy.records.errors import DataError
from tuneworthy.records.record import Record, Text, canonical, plain_file

SHIPPED_ANSWERS = Path(__file__).parent / "recorded"
"""The folder of recorded answers to the shipped measured tasks."""


class RecordedAdvice(Record):
    """One adviser's answer to one task (its key): a probability for each tool.

    `probabilities` is None if the answer was no distribution; it then counts as uniform. For a
    language model, `asked` is the digest of the prompt, `text` the reply, `model` its fingerprint,
    `error` why it did not answer, and `asked_on` the day.
    """

    format: int = Field(default=1, ge=1, le=1)
    adviser: Text
    task: Text
    probabilities: dict[str, float] | None
    because: Text = ""
    asked: str = ""
    text: Text = ""
    error: Text = ""
    model: dict[str, str] = Field(default_factory=dict)
    asked_on: str = ""


def read_advice(path: Path) -> list[RecordedAdvice]:
    """Return the answers of a file; [] if it does not exist. Raises DataError for a bad line."""
    try:
        text = plain_file(path).decode("utf-8")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise DataError("the recorded advice can't be read", where=str(path), got=str(error),
                        fix="name a file of JSON lines", kept="the file") from error  # fmt: skip
    return list(_parse_lines(text, path))


def shipped_advice() -> list[RecordedAdvice]:
    """Return the recorded answers that the package ships."""
    return [
        answer for path in sorted(SHIPPED_ANSWERS.glob("*.jsonl")) for answer in read_advice(path)
    ]


def by_adviser(answers: Sequence[RecordedAdvice]) -> dict[str, dict[str, Any]]:
    """Return {adviser: {task key: probabilities or None}}; a later line replaces an earlier one."""
    table: dict[str, dict[str, Any]] = {}
    for each in answers:
        if each.error:  # it did not answer; it is asked again
            continue
        table.setdefault(each.adviser, {})[each.task] = each.probabilities
    return table


def append_advice(path: Path, answer: RecordedAdvice) -> None:
    """Append one answer to a file as a new line, also after a cut line. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        if file.tell() and not _ends_line(file):
            file.write(b"\n")
        file.write(canonical(answer).encode("utf-8") + b"\n")


def _ends_line(file: Any) -> bool:
    file.seek(-1, 2)
    return bool(file.read(1) == b"\n")


def _parse_lines(text: str, path: Path) -> Iterator[RecordedAdvice]:
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield RecordedAdvice.model_validate(json.loads(line))
        except (ValueError, RecursionError) as error:
            if isinstance(error, json.JSONDecodeError) and _was_cut(line):
                continue  # the process was killed while writing it; that task is asked again
            what = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
            raise DataError(
                "this line is no recorded advice", where=f"{path}:{number}", got=what,
                fix="see bench/atlas/README.md", kept="the file",
            ) from error  # fmt: skip


def _was_cut(line: str) -> bool:
    """Return whether a line is the beginning of one that `append_advice` writes."""
    return line.startswith('{"adviser":') and not line.rstrip().endswith("}")
