"""The answers and scores of one arm, in each fold those of its best seed on dev. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from tuneworthy.core.answer import Answer, Score
from tuneworthy.core.case import Case
from tuneworthy.core.run import Run
from tuneworthy.matrix.choice import best_by_fold, best_on_dev
from tuneworthy.retrieval.tokens import words


def best_runs(runs: Sequence[Run], arm: str) -> list[Run]:
    """Return an arm's measured runs, one per fold: that of the seed that is best on dev."""
    return best_by_fold([run for run in runs if run.spec.name == arm])


def best_cells(runs: Sequence[Run], arm: str) -> dict[str, tuple[Answer, float]]:
    """Return {case id: (answer, score)} of an arm; an answer without a score counts 0."""
    return {
        answer.case: (answer, score.value if isinstance(score, Score) else 0.0)
        for run in best_runs(runs, arm)
        for answer, score in zip(run.answers, run.scores, strict=True)
    }


def best_artefact_run(runs: Sequence[Run], arm: str) -> Run | None:
    """Return the best run on dev among those of an arm that saved an artefact; None if none did.

    Ties go to the smaller fold and seed.
    """
    own = [run for run in best_runs(runs, arm) if run.artefact]
    return best_on_dev(own) if own else None


def rare_word_cases(cases: Sequence[Case], others: Sequence[Case] = ()) -> frozenset[str]:
    """Return the ids of the quarter of cases with the rarest words.

    Rarity is the mean inverse document frequency of a case's distinct words: -log of the share of
    all rows (`others` included) that contain the word. Empty below 4 cases.
    """
    rows = {case.id: set(words(case.input)) for case in (*others, *cases)}
    document_count = Counter(word for row in rows.values() for word in row)

    def rarity(case: Case) -> float:
        own = rows[case.id]
        return sum(math.log(len(rows) / document_count[w]) for w in own) / len(own) if own else 0.0

    ranked = sorted(cases, key=lambda case: (-rarity(case), case.id))
    return frozenset(case.id for case in ranked[: len(ranked) // 4])
