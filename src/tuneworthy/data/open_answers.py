"""Choose a metric for rows with open answers: demands, a fixed layout, or Python code."""

from __future__ import annotations

import ast
import re
import warnings
from collections import Counter
from collections.abc import Sequence

from tuneworthy.core.case import Case
from tuneworthy.data.raw import RowFault

MUST_SAY = "must_say"
MIN_SHARE = 0.9  # share of rows that must have a form before its metric is proposed
_READ_ROWS = 300  # rows to inspect
_HEADING = re.compile(r"^#{1,6}[ \t]+(\S.*)$", re.MULTILINE)


def has_demands(case: Case) -> bool:
    """Return whether a row has `must_say` or `must_not_say`."""
    return bool(case.must_say or case.must_not_say)


def no_demand_fault(case: Case) -> RowFault:
    """Return the fault of a row without `must_say` and `must_not_say`, which its metric needs."""
    fix = "write `must_say` or `must_not_say` in every row, or name another metric"
    return RowFault(case.where, "the row demands nothing", "no `must_say`, no `must_not_say`", fix,
                 MUST_SAY, case.id)  # fmt: skip


def propose_metric(cases: Sequence[Case]) -> tuple[str, str] | None:
    """Return (metric, reason) for free text, or None for the default, word overlap.

    Python answers: `code`; the same headings in nine of ten answers: `outline`; each joined with a
    content metric: `must_say` if every row has demands, else word overlap.
    """
    sample = cases[:_READ_ROWS]
    demanding = bool(cases) and all(map(has_demands, cases))
    if sample and sum(_is_python(case.output) for case in sample) >= MIN_SHARE * len(sample):
        end = MUST_SAY if demanding else "rouge_l"
        return f"code+{end}", "the answers are Python: it must parse and define the same names"
    forms = Counter(tuple(_headings(case.output)) for case in sample)
    titles, count = forms.most_common(1)[0] if forms else ((), 0)
    if titles and count >= MIN_SHARE * len(sample):
        end = MUST_SAY if demanding else "token_f1"
        return f"outline+{end}", "the answers share their headings"
    return (MUST_SAY, "share of each row's `must_say` that is said") if demanding else None


def _headings(text: str) -> list[str]:
    """Return the headings of a text, without any closing `#` marks."""
    return [title.rstrip().rstrip("#").rstrip() for title in _HEADING.findall(text)]


def _is_python(text: str) -> bool:
    """Return whether a text is Python that defines something; plain words can parse as well."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return any(isinstance(node, kinds) for node in tree.body)
