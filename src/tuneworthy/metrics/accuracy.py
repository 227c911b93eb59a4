"""1 if the answer is the right label, ignoring outer space, case and Unicode form; else 0.

Only the whole answer counts: a label inside a sentence is no label. If two labels of the task
differ only in case, case counts. With `success.costs` a wrong label scores 1 minus its cost as a
share of the dearest mistake.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from tuneworthy.metrics._writing import fold, match_label, spelling
from tuneworthy.records.answer import Answer, Score, Unscored
from tuneworthy.records.case import Case
from tuneworthy.records.escape import quoted
from tuneworthy.records.mistake_costs import cost_of, dearest

TYPE = "label"
BINARY = True


def score(case: Case, answer: Answer, options: dict[str, Any]) -> Score | Unscored:
    """Return 1 if the answer is the right label or an accepted one, else 0 or what it costs."""
    found = _right_or_wrong(case, answer, tuple(options.get("labels") or ()))
    costs = options.get("costs")
    if found.value or not costs:
        return found
    cost = cost_of(costs, case.output.strip(), found.extracted)
    return found.model_copy(
        update={"value": 1 - cost / dearest(costs), "why": f"{found.why}: costs {cost:g}"}
    )


def _right_or_wrong(case: Case, answer: Answer, labels: tuple[str, ...]) -> Score:
    said = spelling(answer.text)
    if not said:
        return Score(value=0, why="the answer is empty")
    found = match_label(said, labels) if labels else said
    clash = Counter(fold(label) for label in set(map(spelling, labels)))[fold(said)] > 1
    for right in map(spelling, (case.output, *case.accepted)):
        if said == right or (not clash and fold(said) == fold(right)):
            return Score(value=1, why="the right label", extracted=found)
    if labels and found is None:
        return Score(value=0, why=f"“{quoted(said, 80)}” is none of the labels")
    why = f"“{quoted(said, 80)}” instead of “{quoted(case.output.strip(), 80)}”"
    return Score(value=0, why=why, extracted=found)
