"""Data for the report's script: grid, cases and answers as plain data; each text stored once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tuneworthy.records.answer import HALF_OF_REPEATS, Answer, Score, Unscored
from tuneworthy.records.results import Results
from tuneworthy.records.run import Run
from tuneworthy.report import fact_lines
from tuneworthy.verdict import phrases

_MOST_PROMPT_CHARACTERS = 12_000_000

MOST_SHOWN_CASES = 5_000  # the most cases on a page: what a browser shows with some twenty arms

CSV_FILE = "answers.csv"  # beside the page of a study with more cases


class TextTable:
    """A list of distinct texts; `room` is the number of characters left for prompts."""

    def __init__(self, room: int = _MOST_PROMPT_CHARACTERS) -> None:
        self.texts: list[str] = []
        self.room = room
        self._indexes: dict[str, int] = {}

    def text_index(self, text: str | None) -> int | None:
        """Store a text if it is new, and return its index in `texts`; None for None."""
        if text is None:
            return None
        if text not in self._indexes:
            self._indexes[text] = len(self.texts)
            self.texts.append(text)
        return self._indexes[text]

    def prompt_indexes(self, messages: list[tuple[str, str]]) -> list[list[Any]] | int:
        """Store a prompt's texts; return [role, index] pairs, or its length beyond the room."""
        new = sum(len(text) for _, text in messages if text not in self._indexes)
        if new > self.room:
            return sum(len(text) for _, text in messages)
        self.room -= new
        return [[role, self.text_index(text)] for role, text in messages]


def page_data(results: Results, matrix: ScoreMatrix) -> dict[str, Any]:
    """Return all data that the page's script shows, JSON-ready; null or absent if unmeasured.

    Of more than MOST_SHOWN_CASES cases the hardest are shown; `all_cases` counts them all.
    """
    texts, hardest = TextTable(), matrix.order[:MOST_SHOWN_CASES]
    shown = sorted(hardest)
    place = {case: at for at, case in enumerate(shown)}
    arms = [a for a in fact_lines.ladder_order(results.evidence.arms) if a.name in matrix.values]
    listed = [a.name for a in arms]
    placebos = [name for name in matrix.values if name not in listed]
    roles = {run.spec.name: run.spec.role for run in results.runs}
    tools = {run.spec.name: run.spec.tool for run in results.runs}
    names = [*listed, *placebos]
    diagnosis = results.evidence.diagnosis
    cause = dict(diagnosis.cause) if diagnosis and results.verdict.status != "blocked" else {}
    return {
        "arms": [{"name": n, "tool": tools.get(n), "role": roles.get(n, "")} for n in names],
        "named": results.verdict.arm,
        "finalists": [a.name for a in arms if a.finalist],
        "pass": passing_score(results),
        "order": [place[case] for case in hardest],
        "all_cases": len(results.cases),
        "cases": [
            {
                "id": case.id,
                "turns": [[m.role, texts.text_index(m.content)] for m in case.messages],
                "target": texts.text_index(case.output),
                "accepted": [texts.text_index(text) for text in case.accepted],
                "group": case.group,
                "time": case.time,
                "where": case.where,
                **({"cause": cause[case.id]} if case.id in cause else {}),
            }
            for case in map(results.cases.__getitem__, shown)
        ],
        "values": [[_rounded(matrix.values[n][i]) for i in shown] for n in names],
        "answers": [
            [[_plain_answer(c, texts) for c in matrix.answers[n][i]] for i in shown] for n in names
        ],
        "texts": texts.texts,
        **_slider_data(results),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _plain_answer(cell: _AnsweredCell, texts: TextTable) -> dict[str, Any]:
    run, answer, scored = cell
    out: dict[str, Any] = {"seed": run.seed, "text": texts.text_index(answer.text)}
    if run.fold is not None:
        out["fold"] = run.fold
    if isinstance(scored, Score):
        out |= {"score": _rounded(scored.value), "why": scored.why, "valid": scored.valid}
        if scored.extracted is not None:
            out["extracted"] = texts.text_index(scored.extracted)
    elif scored is not None:
        out["why"] = scored.reason
    out |= {"error": answer.error, "finish": answer.finish, "in": answer.tokens_in,
            "out": answer.tokens_out, "seconds": answer.seconds, "usd": answer.usd}  # fmt: skip
    if answer.prompt:
        out["prompt"] = texts.prompt_indexes([(m.role, m.content) for m in answer.prompt])
    return {key: value for key, value in out.items() if value is not None}


def _slider_data(results: Results) -> dict[str, Any]:
    """Return the data of the margin and volume sliders: precomputed verdicts, their headlines."""
    pairs = sorted({(p.use, p.status) for p in results.grid})
    return {
        "grid": [
            [p.margin, p.requests_per_month, p.use, p.arm, p.status, p.left] for p in results.grid
        ],
        "own": {
            "margin": results.task.success.margin,
            "volume": results.task.economics.requests_per_month,
        },
        "headlines": {f"{use} {status}": phrases.headline(use, status) for use, status in pairs},
    }


_AnsweredCell = tuple[Run, Answer, Score | Unscored | None]


@dataclass(frozen=True)
class ScoreMatrix:
    """Scores by arm and case position; `order` lists case positions, hardest first.

    `values[arm][i]` is the score of the artefact's seed (without one: the mean over the seeds),
    None if the arm has no score for the case. `answers[arm][i]` holds every seed's answer.
    """

    order: tuple[int, ...]
    values: dict[str, list[float | None]]
    answers: dict[str, list[list[_AnsweredCell]]]


def score_matrix(results: Results) -> ScoreMatrix:
    """Return a study's scores by arm and case, with all answers and cases sorted by hardness."""
    place = {case.id: i for i, case in enumerate(results.cases)}
    answers: dict[str, list[list[_AnsweredCell]]] = {}
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
    """Return the score from which a case passes; at most half for repeated right or wrong ones."""
    scores = (score for run in results.runs for score in run.scores if isinstance(score, Score))
    drawn, least = {v for score in scores for v in score.repeats}, results.task.success.passes_from
    return min(least, HALF_OF_REPEATS) if drawn and drawn <= {0, 1} else least


def _combine_seeds(cell: Sequence[_AnsweredCell], seed: int | None) -> float | None:
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
    """Return the means of at most `width` equal bins of scores, None for a bin without a score."""
    n = len(values)
    width = min(width, n)
    out: list[float | None] = []
    for at in range(width):
        part = [v for v in values[at * n // width : (at + 1) * n // width] if v is not None]
        out.append(sum(part) / len(part) if part else None)
    return out


def scores_hardest_first(matrix: ScoreMatrix, arm: str) -> list[float | None]:
    """Return an arm's scores (None: no score), hardest case first; [] for no such arm."""
    row = matrix.values.get(arm)
    return [row[i] for i in matrix.order] if row else []
