"""What the metric says of right answers and of answers made worse by known steps. Pure.

A metric is believed where it ranks a right answer above another row's; how far it sees smaller
faults (one part replaced, the second half missing) is shown beside.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Sequence

import numpy as np

from tuneworthy.core.answer import Answer, Score
from tuneworthy.core.case import Case
from tuneworthy.metrics import Metric

Worse = Callable[[Case], str | None]
GOLD_MEAN, GOLD_AUC = 0.99, 0.95  # default
UNSCORED = 0.01  # share of right answers without a score from which on the metric is broken
ANOTHER_ROW, ONE_PART, HALF = "another row", "one part replaced", "cut at half"
LEAST = 10  # comparisons below which nothing is said
MOST = 500  # cases that each step is tried on
_WORD = re.compile(r"\w+")


def value(metric: Metric, case: Case, text: str) -> float | None:
    """Return the score of a text as an answer that ended by itself; None where there is none."""
    score = metric(case, Answer(case=case.id, text=text, finish="stop"))
    return score.value if isinstance(score, Score) else None


def ranked(
    cases: Sequence[Case], metric: Metric, gold: Sequence[float | None], worse: Worse
) -> float | None:
    """Return how often a right answer scores above the same row's worse one, ties half.

    `gold` are the scores of the right answers. A case whose worse answer is None, or is right
    there, takes no part; below 10 such pairs the result is None.
    """
    wins = []
    for case, own in zip(cases, gold, strict=True):
        text = worse(case)
        if own is None or text is None or text in (case.output, *case.accepted):
            continue
        other = value(metric, case, text) or 0.0
        wins.append((own > other) + 0.5 * (own == other))
    return float(np.mean(wins)) if len(wins) >= LEAST else None


def another_row(cases: Sequence[Case]) -> Worse:
    """Return the step that gives each case the right answer of another one, drawn with a seed."""
    others = random.Random(0).sample(list(cases), len(cases))
    given = {case.id: other.output for case, other in zip(cases, others, strict=True)}
    return lambda case: given.get(case.id)


def cut(case: Case) -> str:
    """Return the first half of a right answer."""
    return case.output[: len(case.output) // 2]


def one_part(cases: Sequence[Case]) -> Worse:
    """Return the step that replaces one field of a JSON answer, or one word of a text.

    The new value is another row's for that field, the new word another row's; a number gets
    another last digit. None where no other row offers one.
    """
    parsed = {case.id: _fields(case.output) for case in cases}
    words = sorted({word for case in cases for word in _WORD.findall(case.output)})

    def worse(case: Case) -> str | None:
        draw = random.Random(f"part {case.id}")
        mine = parsed.get(case.id)
        if mine:
            return _other_field(mine, [one for one in parsed.values() if one], draw)
        return _other_word(case.output, words, draw)

    return worse


def _fields(text: str) -> dict[str, object] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _other_field(
    mine: dict[str, object], rows: Sequence[dict[str, object]], draw: random.Random
) -> str | None:
    for key in draw.sample(sorted(mine), len(mine)):
        for row in draw.sample(list(rows), min(20, len(rows))):
            if key in row and row[key] != mine[key]:
                return json.dumps({**mine, key: row[key]}, ensure_ascii=False)
    return None


def _other_word(text: str, words: Sequence[str], draw: random.Random) -> str | None:
    spots = list(_WORD.finditer(text))
    if not spots:
        return None
    spot = draw.choice(spots)
    word = spot.group()
    if word.isdecimal():
        new = word[:-1] + str((int(word[-1]) + draw.randint(1, 9)) % 10)
    else:
        rivals = [w for w in draw.sample(list(words), min(20, len(words))) if w != word]
        if not rivals:
            return None
        new = rivals[0]
    return text[: spot.start()] + new + text[spot.end() :]
