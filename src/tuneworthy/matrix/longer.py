"""Ask cut answers again with more room: could a longer answer have been right?

A score is a lower bound for what an arm can do where the token limit ended its answers. A few of
them are asked again, and the rule then knows how much the limit may have cost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tuneworthy.core.answer import Answer, Score, Unscored
from tuneworthy.core.arm import Fitted
from tuneworthy.core.case import Case, Query
from tuneworthy.core.errors import ModelError, NumericError
from tuneworthy.core.evidence import Cut
from tuneworthy.core.run import Run
from tuneworthy.metrics import score_all
from tuneworthy.stats import bounds

FIRST, MOST = 16, 60  # cut answers asked again: at first, and where one gained
LEVEL = 0.05  # of the bound on what the answers not asked again would have gained

Metric = Callable[[Case, Answer], Score | Unscored]
Pairs = Sequence[tuple[Answer, Score | Unscored]]


def ask_longer(
    metric: Metric,
    gold: Mapping[str, Case],
    fitted: Fitted,
    scored: tuple[Pairs, Mapping[str, Query]],
    fold: int,
    note: Callable[[str], None] = lambda text: None,
) -> dict[str, float] | None:
    """Return the scores of cut answers that were asked again with more room, by case.

    None where the arm has no longer answers: the limit is not ours. A model that can't be asked any
    more leaves the rest out: they count as if more room could have made all of them right. `note`
    is told so.

    Only the first `fold` asks: a few rows take as long as many, as every further token is a step.
    `scored` holds the answers with their scores, and the queries by case. A sample is asked first;
    the rest (up to MOST) only where one of the sample gained.
    """
    pairs, queries = scored
    if fitted.longer is None:
        return None
    if fold:
        return {}
    waiting = sorted(answer.case for answer, score in pairs if _lost(answer, score) > 0)
    worth = {answer.case: _lost(answer, score) for answer, score in pairs}
    found, tried = dict[str, float](), set[str]()
    for most in (FIRST, MOST):
        rest = [case for case in _spread(waiting, most) if case not in tried]
        tried |= set(rest)
        if rest:
            try:
                answers = fitted.longer([queries[case] for case in rest])
            except (ModelError, NumericError) as error:
                note(f"cut answers were not asked again: {error.what} ({error.got})")
                break
            scores = score_all(metric, [gold[case] for case in rest], answers)
            new = zip(rest, scores, strict=True)  # one without a score shows no lack of a gain
            found |= {case: score.value for case, score in new if isinstance(score, Score)}
        if not any(value > 1 - worth[case] for case, value in found.items()):
            break
    return found


def cut(runs: Sequence[Run], cells: Mapping[str, tuple[Answer, Score | Unscored]]) -> Cut | None:
    """Return how many answers of an arm the token limit ended, and what that may have cost it.

    None where no answer was cut. `runs` say what was asked again; what was not is bounded by what
    was (all of it may have gained where nothing was asked). A limit that is not ours costs nothing:
    the arm answers like that where it runs.
    """
    ended = {case: _lost(*cell) for case, cell in cells.items() if cell[0].finish == "length"}
    if not ended:
        return None
    wrong = {case: lost for case, lost in ended.items() if lost > 0}
    ours = any(run.longer is not None for run in runs)
    again = {c: v for run in runs for c, v in (run.longer or {}).items() if c in wrong}
    gains = {case: max(0.0, value - 1 + wrong[case]) for case, value in again.items()}
    rest = sum(lost for case, lost in wrong.items() if case not in again)
    share = 1.0 if ours else 0.0
    if gains:
        shares = np.array([gain / wrong[case] for case, gain in gains.items()])
        share = float(bounds.mean_interval(shares, 2 * LEVEL)[2])
    return Cut(
        n=len(ended),
        wrong=len(wrong),
        asked=len(again),
        gained=sum(gain > 0 for gain in gains.values()),
        gain=round((sum(gains.values()) + share * rest) / len(cells), 6),
    )


def _lost(answer: Answer, score: Score | Unscored) -> float:
    """Return what a cut answer lacks to a score of 1; 0 for an answer that ended by itself."""
    return 1 - _value(score) if answer.finish == "length" else 0.0


def _value(score: Score | Unscored) -> float:
    return score.value if isinstance(score, Score) else 0.0


def _spread(cases: Sequence[str], most: int) -> list[str]:
    """Return up to `most` cases, evenly spread over the list."""
    if len(cases) <= most:
        return list(cases)
    return [cases[k * len(cases) // most] for k in range(most)]
