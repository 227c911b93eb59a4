"""Test the metric on right answers and on answers degraded in known steps. Pure.

A metric is accepted if it ranks a row's right answer above another row's. Its sensitivity to
smaller faults (one part replaced, the second half missing) is only reported.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Sequence

import numpy as np

from tuneworthy.arms.prompt.notes import json_object
from tuneworthy.metrics import Metric
from tuneworthy.records.answer import Answer, Score, Unscored
from tuneworthy.records.audit_report import Audit
from tuneworthy.records.case import Case
from tuneworthy.records.task import Task

_DegradingStep = Callable[[Case], str | None]  # returns a worse answer to a case

LEAST_GOLD_MEAN, LEAST_GOLD_AUC = 0.99, 0.95  # of a working metric
MOST_UNSCORED_GOLD = 0.01  # share of unscored right answers above which the metric is broken
# Names of the steps.
ANOTHER_ROW, ONE_PART, HALF = "another row", "one part replaced", "cut at half"

_LEAST_COMPARISONS = 10  # the fewest comparisons that give a result
MOST_CASES = 500  # the most cases per step
_WORD = re.compile(r"\w+")


def score_of_text(metric: Metric, case: Case, text: str) -> float | None:
    """Return the score of a text as a complete answer; None if it gets no score."""
    score = metric(case, Answer(case=case.id, text=text, finish="stop"))
    return score.value if isinstance(score, Score) else None


def ranking_auc(
    cases: Sequence[Case], metric: Metric, gold: Sequence[float | None], worse: _DegradingStep
) -> float | None:
    """Return the AUC of right answers against degraded ones of the same row (ties count half).

    `gold` are the scores of the right answers. A case whose degraded answer is None, still right
    or without a score is left out; below 10 pairs the result is None.
    """
    wins = []
    for case, own in zip(cases, gold, strict=True):
        text = worse(case)
        if own is None or text is None or text in (case.output, *case.accepted):
            continue
        other = score_of_text(metric, case, text)
        if other is not None:
            wins.append((own > other) + 0.5 * (own == other))
    return float(np.mean(wins)) if len(wins) >= _LEAST_COMPARISONS else None


def another_row(cases: Sequence[Case]) -> _DegradingStep:
    """Return a function: case to another case's right answer, drawn at random (fixed seed)."""
    others = random.Random(0).sample(list(cases), len(cases))
    given = {case.id: other.output for case, other in zip(cases, others, strict=True)}
    return lambda case: given.get(case.id)


def first_half(case: Case) -> str:
    """Return the first half of a case's right answer: a worse answer to test the metric with."""
    return case.output[: len(case.output) // 2]


def replace_one_part(cases: Sequence[Case]) -> _DegradingStep:
    """Return a function: case to its right answer with one JSON field or word replaced, or None.

    The new value or word comes from another row; a number gets another last digit. The step
    returns None if no other row has one.
    """
    parsed = {case.id: json_object(case.output) for case in cases}
    words = sorted({word for case in cases for word in _WORD.findall(case.output)})

    def worse(case: Case) -> str | None:
        draw = random.Random(f"part {case.id}")
        fields = parsed.get(case.id)
        if fields:
            return _with_other_field(fields, [row for row in parsed.values() if row], draw)
        return _with_other_word(case.output, words, draw)

    return worse


def _with_other_field(
    mine: dict[str, object], rows: Sequence[dict[str, object]], draw: random.Random
) -> str | None:
    for key in draw.sample(sorted(mine), len(mine)):
        for row in draw.sample(list(rows), min(20, len(rows))):
            if key in row and row[key] != mine[key]:
                return json.dumps({**mine, key: row[key]}, ensure_ascii=False)
    return None


def _with_other_word(text: str, words: Sequence[str], draw: random.Random) -> str | None:
    matches = list(_WORD.finditer(text))
    if not matches:
        return None
    match = draw.choice(matches)
    word = match.group()
    if word.isdecimal():
        new = word[:-1] + str((int(word[-1]) + draw.randint(1, 9)) % 10)
    else:
        candidates = [w for w in draw.sample(list(words), min(20, len(words))) if w != word]
        if not candidates:
            return None
        new = candidates[0]
    return text[: match.start()] + new + text[match.end() :]


TOLERATED_UNSCORED = 1  # unscored rows that do not block: a metric can time out once


def blocking_reasons(
    task: Task, audit: Audit, cases: Sequence[Case], metric: Metric
) -> tuple[str, ...]:
    """Return sentences on what forbids a verdict (audit, contradictions, broken metric); or ()."""
    reasons = [
        observation.text for observation in audit.observations if observation.level == "blocked"
    ]
    if audit.conflict_share >= task.success.margin:
        share = f"{audit.conflict_share:.0%} of the scored rows"
        reasons.append(f"the same input has contradictory answers in {share}")
    # A judge is checked on human grades instead, and validity needs no right answer.
    if task.success.judge is None and not task.lacks_answers:
        reasons += why_metric_is_broken(cases, metric)
    return tuple(dict.fromkeys(reasons))


def why_metric_is_broken(cases: Sequence[Case], metric: Metric) -> list[str]:
    """Return [why a metric is broken, judged by its scores of gold answers]; [] if it works.

    The metric is broken if the mean gold score is below .99, if the AUC of gold against another
    row's gold is below .95, or if more than one row and more than 1 % of the rows get no score.
    """
    if not cases:
        return []
    gold = [score_of_text(metric, case, case.output) for case in cases]
    scored = [score for score in gold if score is not None]
    unscored = len(gold) - len(scored)
    if not scored or unscored > max(TOLERATED_UNSCORED, MOST_UNSCORED_GOLD * len(gold)):
        case = cases[gold.index(None)]
        lost = metric(case, Answer(case=case.id, text=case.output, finish="stop"))
        why = f": {lost.reason}" if isinstance(lost, Unscored) else ""
        return [f"the metric gives no score to {unscored} of {len(gold)} gold answers{why}"]
    mean = float(np.mean(scored))
    if mean < LEAST_GOLD_MEAN:
        return [f"the metric is broken: gold answers score {mean:.2f} on average, not 1"]
    auc = ranking_auc(cases, metric, gold, another_row(cases))
    if auc is not None and auc < LEAST_GOLD_AUC:
        return [f"the metric is broken: it tells gold from another row's gold with AUC {auc:.2f}"]
    return []
