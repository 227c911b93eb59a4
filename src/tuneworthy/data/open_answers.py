"""What rows with open answers ask to be scored by: demands, a fixed layout, Python."""

from __future__ import annotations

import ast
import re
import warnings
from collections import Counter
from collections.abc import Sequence

from tuneworthy.core.case import Case
from tuneworthy.data.raw import Fault

MUST_SAY = "must_say"
MOST = 0.9  # of the rows that must share a form before it is proposed
_READ = 300  # rows that are looked at
_HEADING = re.compile(r"^#{1,6}[ \t]+(\S.*)$", re.MULTILINE)


def demands(case: Case) -> bool:
    """Say whether a row demands or forbids that something is said."""
    return bool(case.must_say or case.must_not_say)


def silent(case: Case) -> Fault:
    """Return the fault of a row that demands nothing under a metric of demands."""
    fix = "write `must_say` or `must_not_say` in every row, or name another metric"
    return Fault(case.where, "the row demands nothing", "no `must_say`, no `must_not_say`", fix,
                 MUST_SAY, case.id)  # fmt: skip


def proposed(cases: Sequence[Case]) -> tuple[str, str] | None:
    """Return a metric for free text and why, or None where nothing speaks for another than words.

    Python answers: `code`; the same headings in nine of ten answers: `outline`; each joined with
    one that reads the content: `must_say` where every row has demands, else words in common.
    """
    some = cases[:_READ]
    said = bool(cases) and all(map(demands, cases))
    if some and sum(_python(case.output) for case in some) >= MOST * len(some):
        end = MUST_SAY if said else "rouge_l"
        return f"code+{end}", "the answers are Python: it must parse and define the same names"
    forms = Counter(tuple(_headings(case.output)) for case in some)
    titles, count = forms.most_common(1)[0] if forms else ((), 0)
    if titles and count >= MOST * len(some):
        end = MUST_SAY if said else "token_f1"
        return f"outline+{end}", "the answers share their headings"
    return (MUST_SAY, "share of each row's `must_say` that is said") if said else None


def _headings(text: str) -> list[str]:
    """Return the headings of a text without the marks that some write behind them too."""
    return [title.rstrip().rstrip("#").rstrip() for title in _HEADING.findall(text)]


def _python(text: str) -> bool:
    """Say whether a text is Python that defines something; plain words may be Python too."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return any(isinstance(node, kinds) for node in tree.body)
