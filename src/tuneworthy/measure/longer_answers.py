"""Ask cut answers again with more room: could a longer answer have been right?

A score is a lower bound for what an arm can do where the token limit ended its answers. A few of
them are asked again, and the rule then knows how much the limit may have cost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tuneworthy.compare.cut_answers import lost
from tuneworthy.core.answer import Answer, Score, Unscored
from tuneworthy.core.arm import Fitted
from tuneworthy.core.case import Case, Query
from tuneworthy.core.errors import ModelError, NumericError
from tuneworthy.metrics import Metric, score_all

FIRST, MOST = 16, 60  # cut answers asked again: at first, and where one gained

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
    waiting = sorted(answer.case for answer, score in pairs if lost(answer, score) > 0)
    worth = {answer.case: lost(answer, score) for answer, score in pairs}
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


def _spread(cases: Sequence[str], most: int) -> list[str]:
    """Return up to `most` cases, evenly spread over the list."""
    if len(cases) <= most:
        return list(cases)
    return [cases[k * len(cases) // most] for k in range(most)]
