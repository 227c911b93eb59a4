"""The cells of one arm as it would be built: in each fold the seed that is best on dev. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from tuneworthy.compare.choice import best_by_fold, best_on_dev
from tuneworthy.core.answer import Answer, Score
from tuneworthy.core.case import Case
from tuneworthy.core.run import Run
from tuneworthy.retrieval.tokens import words


def best_runs(runs: Sequence[Run], arm: str) -> list[Run]:
    """Return an arm's measured runs, one a fold: best on dev, ties to the smaller seed."""
    return best_by_fold([run for run in runs if run.spec.name == arm])


def best_cells(runs: Sequence[Run], arm: str) -> dict[str, tuple[Answer, float]]:
    """Return an arm's answer and score by case; an answer without a score counts 0."""
    return {
        answer.case: (answer, score.value if isinstance(score, Score) else 0.0)
        for run in best_runs(runs, arm)
        for answer, score in zip(run.answers, run.scores, strict=True)
    }


def built(runs: Sequence[Run], arm: str) -> Run | None:
    """Return the run of an arm that left an artefact and is best on dev, None without one.

    Ties go to the smaller fold and seed.
    """
    own = [run for run in best_runs(runs, arm) if run.artefact]
    return best_on_dev(own) if own else None


def rare(cases: Sequence[Case], others: Sequence[Case] = ()) -> frozenset[str]:
    """Return the ids of the quarter of cases whose words stand in the fewest rows.

    A word weighs -log of the share of all rows (`others` too) that hold it, and a case the mean
    over its different words. Empty below 4 cases.
    """
    rows = {case.id: set(words(case.input)) for case in (*others, *cases)}
    held = Counter(word for found in rows.values() for word in found)

    def rarity(case: Case) -> float:
        found = rows[case.id]
        return sum(math.log(len(rows) / held[w]) for w in found) / len(found) if found else 0.0

    ranked = sorted(cases, key=lambda case: (-rarity(case), case.id))
    return frozenset(case.id for case in ranked[: len(ranked) // 4])
