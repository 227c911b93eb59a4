"""Generate cut answers again with more tokens, to bound what the token limit cost.

The score of an arm whose answers were cut is a lower bound. A sample of the cut answers is
generated again with a higher limit; the gain bounds the cost of the limit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tuneworthy.compare.arm_figures import score_shortfall
from tuneworthy.core.answer import Answer, Score, Unscored
from tuneworthy.core.arm import Fitted
from tuneworthy.core.case import Case, Query
from tuneworthy.core.errors import ModelError, NumericError
from tuneworthy.metrics import Metric, score_all

# Cut answers generated again: the sample, and the most if one gained.
SAMPLE_ANSWERS, MOST_LONGER_ANSWERS = 16, 60

ScoredAnswers = Sequence[tuple[Answer, Score | Unscored]]


def rescore_cut_answers(
    metric: Metric,
    gold: Mapping[str, Case],
    fitted: Fitted,
    scored: tuple[ScoredAnswers, Mapping[str, Query]],
    fold: int,
    note: Callable[[str], None] = lambda text: None,
) -> dict[str, float] | None:
    """Return the scores of cut answers generated again with a higher token limit, by case.

    None if the arm cannot generate longer answers (the limit is not ours). If the model fails, the
    remaining cases are left out (they count as if a longer answer were right) and `note` gets a
    line about it.

    Only fold 0 generates again: each further token is a decoding step, so a few rows take as long
    as many. `scored` is (answers with scores, queries by case). The rest of the cut answers (up to
    MOST_LONGER_ANSWERS) follows only if one of the sample gained.
    """
    pairs, queries = scored
    if fitted.longer is None:
        return None
    if fold:
        return {}
    waiting = sorted(answer.case for answer, score in pairs if score_shortfall(answer, score) > 0)
    shortfall = {answer.case: score_shortfall(answer, score) for answer, score in pairs}
    rescored, tried = dict[str, float](), set[str]()
    for limit in (SAMPLE_ANSWERS, MOST_LONGER_ANSWERS):
        rest = [case for case in _evenly_spaced(waiting, limit) if case not in tried]
        tried |= set(rest)
        if rest:
            try:
                answers = fitted.longer([queries[case] for case in rest])
            except (ModelError, NumericError) as error:
                note(f"cut answers were not asked again: {error.what} ({error.got})")
                break
            scores = score_all(metric, [gold[case] for case in rest], answers)
            new = zip(rest, scores, strict=True)  # an unscored answer may have gained
            rescored |= {case: score.value for case, score in new if isinstance(score, Score)}
        if not any(value > 1 - shortfall[case] for case, value in rescored.items()):
            break
    return rescored


def _evenly_spaced(cases: Sequence[str], most: int) -> list[str]:
    """Return up to `most` cases, evenly spread over the list."""
    if len(cases) <= most:
        return list(cases)
    return [cases[k * len(cases) // most] for k in range(most)]
