"""Was a strong prompt measured, so that working on it more brings no more?"""

from __future__ import annotations

from functools import partial

from tuneworthy.explain.questions._findings import finding, rows_needed_clause, ticked, unmeasured
from tuneworthy.records.counting import percent_with_bounds, points_with_bounds
from tuneworthy.records.evidence import Evidence
from tuneworthy.records.further import PromptSearch
from tuneworthy.records.task import Task
from tuneworthy.records.verdict import Finding

QUESTION = "Is prompting exhausted: was a strong prompt measured?"
PRIOR = "a good prompt reaches 80 to 90 % of the gain"
WRONG = (
    "While a better prompt still gains, the prompt is the cheaper thing to work on: push it before"
    " anything is trained."
)
UNIT = "points"
_finding = partial(finding, "prompt_exhausted", PRIOR)


def ask(evidence: Evidence, task: Task) -> Finding:
    """Answer yes if doubling the prompt budget is shown to gain less than the margin.

    `value` is the gain of the last doubling of the budget on dev rows.
    """
    search, margin = evidence.search, task.success.margin
    if search is None or not search.optimised:
        why = (search.because if search else "") or "no search for a better prompt was run"
        step = "let the search for a better prompt run"
        return _finding("not_measured", unmeasured(evidence.missing, "search", why), step)
    if search.gain is None:
        why = search.because or "the budget was not doubled"
        return _finding("not_measured", unmeasured({}, "", why), "double the prompt budget")
    gain, n = search.gain, max((step.n for step in search.steps), default=0)
    said = (
        f"the last doubling to {search.budget:,} prompts gained {ticked(search.arm)}"
        f" {points_with_bounds(gain, f'n = {n:,} dev rows')}{_reached_clause(search)}"
    )
    if gain.high < margin:
        return _finding("yes", said, "", gain)
    if gain.low > 0:
        return _finding("no", said, "double the prompt budget", gain)
    need = rows_needed_clause(gain, n, margin, 0.0, "dev rows")
    return _finding("not_measured", f"{need}; {said}", "double the prompt budget", gain)


def _reached_clause(search: PromptSearch) -> str:
    """Return a clause on the share of tuning's gain that the prompt reaches, or ""."""
    if search.rho is None:
        return ""
    return f"; it reaches {percent_with_bounds(search.rho)} of what tuning gains"
