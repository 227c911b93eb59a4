"""Score dev answers, and say how many of them are missing for now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tuneworthy.core.answer import LOST_WORDS, Answer, Score
from tuneworthy.core.case import Case
from tuneworthy.metrics import Metric, score_all


def dev_score(
    metric: Metric, cases: Sequence[Case], answers: Mapping[str, Answer]
) -> tuple[float | None, tuple[str, ...]]:
    """Return the mean score of the answers to these cases, and a note if some failed for now.

    An unscored answer counts as wrong.
    """
    scores = score_all(metric, cases, [answers[case.id] for case in cases])
    values = [score.value if isinstance(score, Score) else 0.0 for score in scores]
    lost = sum(answers[case.id].lost == "for now" for case in cases)
    note = f"{lost} of {len(cases)} dev answers did not come, and count as wrong"
    notes = (LOST_WORDS["for now"] + note,) if lost else ()
    return (sum(values) / len(values) if values else None), notes
