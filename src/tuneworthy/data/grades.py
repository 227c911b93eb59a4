"""Read human grades of answers, which check and correct a judge."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from tuneworthy.core.errors import DataError
from tuneworthy.data.raw import RowFault
from tuneworthy.data.rows import read_records

Grades = Mapping[tuple[str, str], float]
"""(case id, answer stripped of outer whitespace) -> grade: 1 as good as the gold answer or better,
0 worse, .5 undecided; the mean if several humans graded one answer."""
_GRADE_FORM = '{"id": a row\'s id, "answer": the text that was graded, "grade": 0, 0.5 or 1}'


def read_grades(path: Path) -> dict[tuple[str, str], float]:
    """Return the human grades in a file. Raises DataError for the first invalid line."""
    grades_of: dict[tuple[str, str], list[float]] = defaultdict(list)
    for raw in read_records(path, path.name):
        if isinstance(raw, RowFault):
            raise DataError(raw.why, where=raw.where, got=raw.got, fix=raw.fix)
        name, answer, grade = (raw.fields.get(key) for key in ("id", "answer", "grade"))
        number = _grade_number(grade)
        if name in (None, "") or not isinstance(answer, str) or number is None:
            got = ", ".join(f"{key}: {str(value)[:40]}" for key, value in raw.fields.items())
            raise DataError(
                "this is no grade", where=raw.where, got=got, fix=f"write {_GRADE_FORM}"
            )
        grades_of[str(name), answer.strip()].append(number)
    return {key: sum(grades) / len(grades) for key, grades in grades_of.items()}


def _grade_number(value: object) -> float | None:
    if isinstance(value, bool):
        return float(value)
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if 0 <= number <= 1 else None
