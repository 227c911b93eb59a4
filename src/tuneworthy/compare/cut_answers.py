"""Answers that the token limit ended: how many, and what the limit may have cost the arm. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tuneworthy.core.answer import Answer, Score, Unscored
from tuneworthy.core.evidence import Cut
from tuneworthy.core.run import Run
from tuneworthy.stats import bounds

LEVEL = 0.05  # of the bound on what the answers not asked again would have gained


def cut(runs: Sequence[Run], cells: Mapping[str, tuple[Answer, Score | Unscored]]) -> Cut | None:
    """Return how many answers of an arm the token limit ended, and what that may have cost it.

    None where no answer was cut. `runs` say what was asked again; what was not is bounded by what
    was (all of it may have gained where nothing was asked). A limit that is not ours costs nothing:
    the arm answers like that where it runs.
    """
    ended = {case: lost(*cell) for case, cell in cells.items() if cell[0].finish == "length"}
    if not ended:
        return None
    wrong = {case: lack for case, lack in ended.items() if lack > 0}
    ours = any(run.longer is not None for run in runs)
    again = {c: v for run in runs for c, v in (run.longer or {}).items() if c in wrong}
    gains = {case: max(0.0, value - 1 + wrong[case]) for case, value in again.items()}
    rest = sum(lack for case, lack in wrong.items() if case not in again)
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


def lost(answer: Answer, score: Score | Unscored) -> float:
    """Return what a cut answer lacks to a score of 1; 0 for an answer that ended by itself."""
    return 1 - _value(score) if answer.finish == "length" else 0.0


def _value(score: Score | Unscored) -> float:
    return score.value if isinstance(score, Score) else 0.0
