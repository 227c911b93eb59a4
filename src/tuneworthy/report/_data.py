"""Data for the report's script: grid, cases and answers as plain data; each text stored once."""

from __future__ import annotations

from typing import Any

from tuneworthy.core.answer import Score
from tuneworthy.core.results import Results
from tuneworthy.report import fact_lines
from tuneworthy.report._cells import AnsweredCell, ScoreMatrix, passing_score
from tuneworthy.verdict import phrases

MOST_PROMPT_CHARACTERS = 12_000_000
MOST_PAGE_CASES = 5_000  # the most cases on a page: what a browser shows with some twenty arms
CSV_FILE = "answers.csv"  # beside the page of a study with more cases


class TextTable:
    """A list of distinct texts; `room` is the number of characters left for prompts."""

    def __init__(self, room: int = MOST_PROMPT_CHARACTERS) -> None:
        self.texts: list[str] = []
        self.room = room
        self._indexes: dict[str, int] = {}

    def text_index(self, text: str | None) -> int | None:
        """Return the index of a text, and store it if it is new."""
        if text is None:
            return None
        if text not in self._indexes:
            self._indexes[text] = len(self.texts)
            self.texts.append(text)
        return self._indexes[text]

    def prompt_indexes(self, messages: list[tuple[str, str]]) -> list[list[Any]] | int:
        """Return a prompt as (role, index) pairs, or its length if it exceeds the room."""
        new = sum(len(text) for _, text in messages if text not in self._indexes)
        if new > self.room:
            return sum(len(text) for _, text in messages)
        self.room -= new
        return [[role, self.text_index(text)] for role, text in messages]


def page_data(results: Results, matrix: ScoreMatrix) -> dict[str, Any]:
    """Return all data that the script shows, ready for JSON; an unmeasured value is null or absent.

    Of more than MOST_PAGE_CASES cases the hardest are shown; `all_cases` counts them all.
    """
    texts, hardest = TextTable(), matrix.order[:MOST_PAGE_CASES]
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


def _plain_answer(cell: AnsweredCell, texts: TextTable) -> dict[str, Any]:
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
