"""Count answers cut off by the token limit and bound what the limit cost the arm. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tuneworthy.core.answer import Answer, Score, Unscored, value_or_zero
from tuneworthy.core.evidence import TruncatedAnswers
from tuneworthy.core.interval import ALPHA
from tuneworthy.core.run import Run
from tuneworthy.matrix.design import Design


def cut_summary(
    runs: Sequence[Run],
    cells: Mapping[str, tuple[Answer, Score | Unscored]],
    design: Design,
) -> TruncatedAnswers | None:
    """Return the counts of an arm's cut answers, and an upper bound on what the limit cost it.

    None if the token limit cut no answer. `Run.longer` has the scores of cut answers that were
    generated again with more tokens; their mean gain bounds that of the others (a full gain is
    assumed if none was generated again). A recorded system's own limit costs nothing: its answers
    are cut in production too.
    """
    shortfall = {
        case: score_shortfall(*cell) for case, cell in cells.items() if cell[0].finish == "length"
    }
    if not shortfall:
        return None
    wrong = {case: lack for case, lack in shortfall.items() if lack > 0}
    ours = any(run.longer is not None for run in runs)
    rescored = {c: v for run in runs for c, v in (run.longer or {}).items() if c in wrong}
    gains = {case: max(0.0, value - 1 + wrong[case]) for case, value in rescored.items()}
    rest = sum(lack for case, lack in wrong.items() if case not in rescored)
    share = 1.0 if ours else 0.0
    if gains:
        share = design.mean({i: gain / wrong[i] for i, gain in gains.items()}, 2 * ALPHA).high
    return TruncatedAnswers(
        n=len(shortfall),
        wrong=len(wrong),
        asked=len(rescored),
        gained=sum(gain > 0 for gain in gains.values()),
        gain=round((sum(gains.values()) + share * rest) / len(cells), 6),
    )


def score_shortfall(answer: Answer, score: Score | Unscored) -> float:
    """Return 1 - score of a cut answer; 0 for an answer that ended by itself."""
    return 1 - value_or_zero(score) if answer.finish == "length" else 0.0
