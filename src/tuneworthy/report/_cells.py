"""The matrix of scores for display: arms x cases, seeds combined, the hardest case first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tuneworthy.core.answer import HALF_OF_REPEATS, Answer, Score, Unscored
from tuneworthy.core.results import Results
from tuneworthy.core.run import Run

AnsweredCell = tuple[Run, Answer, Score | Unscored | None]


@dataclass(frozen=True)
class ScoreMatrix:
    """Scores by arm and case position; `order` lists case positions, hardest first.

    `values[arm][i]` is the score of the artefact's seed (without one: the mean over the seeds),
    None if the arm has no score for the case. `answers[arm][i]` holds every seed's answer.
    """

    order: tuple[int, ...]
    values: dict[str, list[float | None]]
    answers: dict[str, list[list[AnsweredCell]]]


def score_matrix(results: Results) -> ScoreMatrix:
    """Return a study's matrix of scores; candidates alone decide how hard a case is."""
    place = {case.id: i for i, case in enumerate(results.cases)}
    answers: dict[str, list[list[AnsweredCell]]] = {}
    for run in results.runs:
        row = answers.setdefault(run.spec.name, [[] for _ in place])
        for i, answer in enumerate(run.answers):
            if answer.case in place:
                scored = run.scores[i] if i < len(run.scores) else None
                row[place[answer.case]].append((run, answer, scored))
    seeds = {arm.name: arm.seed for arm in results.evidence.arms}
    values = {
        name: [_combine_seeds(cell, seeds.get(name)) for cell in row]
        for name, row in answers.items()
    }
    return ScoreMatrix(_hardest_first(results, values), values, answers)


def passing_score(results: Results) -> float:
    """Return the score from which a case passes; half, of several right or wrong answers."""
    scores = (score for run in results.runs for score in run.scores if isinstance(score, Score))
    drawn, least = {v for score in scores for v in score.repeats}, results.task.success.passes_from
    return min(least, HALF_OF_REPEATS) if drawn and drawn <= {0, 1} else least


def _combine_seeds(cell: Sequence[AnsweredCell], seed: int | None) -> float | None:
    """Return one score for a cell: that of the artefact's seed, else the mean over the seeds."""
    scores = [(run.seed, s.value) for run, _, s in cell if isinstance(s, Score)]
    own = [value for at, value in scores if at == seed]
    kept = own or [value for _, value in scores]
    return sum(kept) / len(kept) if kept else None


def _hardest_first(results: Results, values: dict[str, list[float | None]]) -> tuple[int, ...]:
    """Return case positions by rising mean score of the candidates; ties keep their order."""
    rows = [
        values[arm.name]
        for arm in results.evidence.arms
        if arm.role == "candidate" and arm.name in values
    ]

    def ease(i: int) -> float:
        known = [v for row in rows if (v := row[i]) is not None]
        return sum(known) / len(known) if known else 2.0

    return tuple(sorted(range(len(results.cases)), key=ease))


def bin_means(values: Sequence[float | None], width: int) -> list[float | None]:
    """Return the means of at most `width` equal bins of scores; None for a bin without a score."""
    n = len(values)
    width = min(width, n)
    out: list[float | None] = []
    for at in range(width):
        part = [v for v in values[at * n // width : (at + 1) * n // width] if v is not None]
        out.append(sum(part) / len(part) if part else None)
    return out


def scores_hardest_first(matrix: ScoreMatrix, arm: str) -> list[float | None]:
    """Return an arm's scores, hardest case first (empty if it has none)."""
    row = matrix.values.get(arm)
    return [row[i] for i in matrix.order] if row else []
