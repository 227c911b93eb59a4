"""Measure label consistency: contradictions, answer forms, neighbours, the rarest class. Pure.

A function that returns None writes the reason into `missing`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from tuneworthy.explain.label_errors import label_doubts
from tuneworthy.matrix.design import Design
from tuneworthy.records.case import Case
from tuneworthy.records.further import Proportion
from tuneworthy.records.task import Task
from tuneworthy.rows.copies import contradictory_cases

_PATTERN_BY_LINE_KIND = (("heading", r"#+ "), ("bullet", r"[-*•] "), ("number", r"\d+[.)] "),
               ("table", r"\|"), ("field", r"[\w ]{1,30}: "))  # fmt: skip


FILE_ROWS_DESIGN = Design.independent("a description of the rows of this file, not of others")


def contradiction_share(task: Task, rows: Sequence[Case]) -> Proportion | None:
    """Return the share of rows whose answer a row of the same input contradicts, or None."""
    conflicts = contradictory_cases(rows, task.output.type == "text")
    return FILE_ROWS_DESIGN.rate(sum(map(len, conflicts)), len(rows)) if rows else None


def common_form_share(
    task: Task, rows: Sequence[Case], missing: dict[str, str]
) -> Proportion | None:
    """Return the share of right answers in the most frequent `form_of`; None for labels."""
    if task.output.type == "label" or not rows:
        missing["one_form"] = "labels have one form" if rows else "there are no rows"
        return None
    forms = Counter(form_of(case.output, task.output.type == "number") for case in rows)
    return FILE_ROWS_DESIGN.rate(forms.most_common(1)[0][1], len(rows))


def neighbour_noise(task: Task, rows: Sequence[Case], missing: dict[str, str]) -> Proportion | None:
    """Return the share of rows whose label 4 or 5 of 5 nearest rows contradict, or None."""
    if task.output.type != "label" or not rows:
        missing["noise"] = "neighbours are compared for closed labels only"
        return None
    denied = [doubt for doubt in label_doubts(task, rows) if doubt.ground == "neighbours"]
    return FILE_ROWS_DESIGN.rate(len(denied), len(rows))


def smallest_class_size(task: Task, rows: Sequence[Case], missing: dict[str, str]) -> int | None:
    """Return how many rows the rarest class has; None (why in `missing`) unless labels."""
    if task.output.type != "label" or not rows:
        missing["fewest_of_a_class"] = "the answers are no closed set of labels"
        return None
    return min(Counter(case.output for case in rows).values())


def form_of(text: str, number: bool = False) -> str:
    """Return text that names an answer's form: JSON keys, or the markup of its lines in order.

    For a number it is the last line with every figure replaced by 0, so `12`, `#### 12` and `12 %`
    are three forms.
    """
    if text.lstrip()[:1] in {"{", "["}:
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return "broken JSON"
        return f"object {sorted(value)}" if isinstance(value, dict) else "array"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if number and lines:
        return re.sub(r"[-−+]?\d[\d.,]*", "0", lines[-1])
    return " ".join(mark for mark, _ in groupby(map(_kind_of_line, lines)))


def _kind_of_line(line: str) -> str:
    return next((name for name, mark in _PATTERN_BY_LINE_KIND if re.match(mark, line)), "text")
