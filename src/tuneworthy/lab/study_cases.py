"""The cases of a finished study: the matrix with its filters, and one case with every answer.

Only cases of the results are shown, as the report shows them: the study opened them for scoring.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tuneworthy.core.answer import Answer, Score, Unscored
from tuneworthy.core.record import digest
from tuneworthy.core.results import Results
from tuneworthy.core.task import TRAINED_TOOLS
from tuneworthy.lab.problem import Problem
from tuneworthy.report import _words as words
from tuneworthy.report._cells import AnsweredCell, ScoreMatrix, score_matrix

PAGE_ROWS = 25  # rows of a page
MOST_MESSAGE_CHARACTERS = 20_000  # characters of one message
FILTERS = (("all", "All"), ("failures", "Failures"), ("different", "Different"))
SCORE_SHADES = (("s0", "wrong", "✕"), ("s2", "partly right", "~"), ("s4", "right", "✓"))


@dataclass(frozen=True)
class Filter:
    """The filter of the matrix of cases, from the query of the address."""

    show: str = "all"
    cause: str = ""
    page: int = 1

    def query(self, page: int = 1) -> str:
        """Return the address's query for this filter and a page; "" for all cases."""
        parts = {"show": self.show if self.show != "all" else "", "cause": self.cause,
                 "page": str(page) if page > 1 else ""}  # fmt: skip
        text = "&".join(f"{name}={value}" for name, value in parts.items() if value)
        return f"?{text}" if text else ""


def case_key(name: str) -> str:
    """Return a case's id in addresses: a hash, as a row's id may be any text."""
    return digest(name, 16)


class _ByIdentity:
    """A cache key for results: compared by identity, as hashing their content is slow."""

    def __init__(self, results: Results) -> None:
        self.results = results

    def __hash__(self) -> int:
        return id(self.results)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ByIdentity) and other.results is self.results


def matrix_of(results: Results) -> ScoreMatrix:
    """Return a study's matrix of scores; the last three are cached."""
    return _cached_cells(_ByIdentity(results))


@lru_cache(maxsize=3)
def _cached_cells(same: _ByIdentity) -> ScoreMatrix:
    return score_matrix(same.results)


def arm_columns(results: Results, matrix: ScoreMatrix) -> list[str]:
    """Return the names of the arms with answers, in ladder order, placebos last."""
    listed = [a.name for a in words.ladder_order(results.evidence.arms) if a.name in matrix.values]
    return [*listed, *(name for name in matrix.values if name not in listed)]


def causes_by_case(results: Results) -> dict[str, str]:
    """Return {case: cause} of the diagnosed cases; empty for a blocked study."""
    diagnosis = results.evidence.diagnosis
    blocked = results.verdict.status == "blocked"
    return dict(diagnosis.cause) if diagnosis and not blocked else {}


def filtered_positions(results: Results, matrix: ScoreMatrix, by: Filter) -> list[int]:
    """Return the positions of the cases that pass a filter, the hardest first.

    `failures` are cases that the named arm fails (without one: any candidate); `different` are
    cases on which the candidates' scores differ.
    """
    least, cause = results.task.success.passes_from, causes_by_case(results)
    arms = {arm.name: arm for arm in results.evidence.arms}
    compared = [name for name in matrix.values if name in arms and arms[name].role == "candidate"]
    named = results.verdict.arm
    failing = [named] if named in matrix.values else compared

    def wanted(i: int) -> bool:
        if by.cause and cause.get(results.cases[i].id) != by.cause:
            return False
        if by.show == "failures":
            return any(_fails(matrix.values[name][i], least) for name in failing)
        if by.show == "different":
            known = [v for name in compared if (v := matrix.values[name][i]) is not None]
            return len(set(known)) > 1
        return True

    return [i for i in matrix.order if wanted(i)]


def matrix_page(results: Results, matrix: ScoreMatrix, by: Filter) -> dict[str, Any]:
    """Return a page of the matrix. Raises Problem (404) for an unknown page or cause."""
    found, names = filtered_positions(results, matrix, by), arm_columns(results, matrix)
    pages = max(1, -(-len(found) // PAGE_ROWS))
    if by.page > pages:
        raise Problem(404, "the matrix has no such page", where="page", got=by.page,
                      fix=f"it has {pages}")  # fmt: skip
    kinds = sorted(set(causes_by_case(results).values()))
    if by.cause and by.cause not in kinds:
        raise Problem(404, "no case of this study has this cause", where="cause", got=by.cause,
                      fix=f"one of: {', '.join(kinds)}" if kinds else "leave it out")  # fmt: skip
    rows = [
        _matrix_row(results, matrix, names, i)
        for i in found[(by.page - 1) * PAGE_ROWS :][:PAGE_ROWS]
    ]
    roles = {arm.name: arm.role for arm in results.evidence.arms}
    return {
        "arms": [{"name": name, "named": name == results.verdict.arm,
                  "role": roles.get(name, "placebo")} for name in names],
        "rows": rows,
        "found": len(found),
        "of": len(results.cases),
        "pages": pages,
        "causes": kinds,
    }  # fmt: skip


def _matrix_row(
    results: Results, matrix: ScoreMatrix, names: Sequence[str], i: int
) -> dict[str, Any]:
    case = results.cases[i]
    least = results.task.success.passes_from
    values = [matrix.values[name][i] for name in names]
    fails = sum(_fails(value, least) for value in values)
    asked = sum(value is not None for value in values)
    return {
        "key": case_key(case.id),
        "id": case.id,
        "input": excerpt(case.input),
        "target": excerpt(case.output),
        "squares": [score_square(value) for value in values],
        "said": f"{fails} of {asked} arms fail" if asked else "no arm has a score",
    }


def score_square(value: float | None) -> tuple[str, str, str]:
    """Return (CSS class, words, sign) of a score, so that colour is not the only cue."""
    if value is None:
        return "none", "not asked or not scored", "·"
    return SCORE_SHADES[0 if value <= 0 else 2 if value >= 1 else 1]


def find_case(results: Results, key: str) -> int:
    """Return the position of the case with this key. Raises Problem (404) if there is none."""
    for i, case in enumerate(results.cases):
        if case_key(case.id) == key:
            return i
    raise Problem(404, "this study has no such case", where="the address", got=key,
                  fix="choose one on the study's page of results")  # fmt: skip


def case_page(results: Results, matrix: ScoreMatrix, key: str, by: Filter) -> dict[str, Any]:
    """Return the page data of one case: input, right answer, cause, every arm's answers."""
    at = find_case(results, key)
    case, order = results.cases[at], filtered_positions(results, matrix, by)
    place = order.index(at) if at in order else None
    near = {
        "before": order[place - 1] if place else None,
        "after": order[place + 1] if place is not None and place + 1 < len(order) else None,
    }
    sides = side_by_side_arms(results, matrix)
    return {
        "case": case,
        "key": key,
        "cause": causes_by_case(results).get(case.id, ""),
        "turns": [(m.role, m.content) for m in case.messages],
        "position": None if place is None else place + 1,
        "of": len(order),
        **{side: None if i is None else case_key(results.cases[i].id) for side, i in near.items()},
        "sides": [_arm_answers(results, matrix, name, at) for name in sides],
        "others": [_arm_answers(results, matrix, name, at) for name in arm_columns(results, matrix)
                   if name not in sides],
    }  # fmt: skip


def side_by_side_arms(results: Results, matrix: ScoreMatrix) -> list[str]:
    """Return the arms to show side by side: the base, and the best trained or named arm."""
    arms = [a for a in words.ladder_order(results.evidence.arms)
            if a.name in matrix.values and a.role == "candidate"]  # fmt: skip
    names = [arm.name for arm in arms]
    diagnosis = results.evidence.diagnosis
    plain = [arm.name for arm in arms if arm.tool in ("prompt", "keep")]
    base = diagnosis.arm if diagnosis and diagnosis.arm in names else (plain or names)[:1]
    left = base if isinstance(base, str) else next(iter(base), "")
    scored = [arm for arm in arms if arm.score and arm.name != left]
    best = sorted(scored, key=lambda arm: -(arm.score.mean if arm.score else 0.0))
    tuned = [arm.name for arm in best if arm.tool in TRAINED_TOOLS]
    named = [name for name in (results.verdict.arm,) if name in names and name != left]
    right = [*tuned, *named, *(arm.name for arm in best)][:1]
    return [name for name in (left, *right) if name]


def _arm_answers(results: Results, matrix: ScoreMatrix, name: str, at: int) -> dict[str, Any]:
    arm = next((a for a in results.evidence.arms if a.name == name), None)
    return {
        "name": name,
        "tool": (arm.tool if arm else None) or (arm.role if arm else "placebo"),
        "named": name == results.verdict.arm,
        "square": score_square(matrix.values[name][at]),
        "answers": [_answer_data(cell) for cell in matrix.answers[name][at]],
    }


def _answer_data(cell: AnsweredCell) -> dict[str, Any]:
    run, answer, scored = cell
    return {
        "text": answer.text,
        "error": answer.error,
        "score": scored.value if isinstance(scored, Score) else None,
        "square": score_square(scored.value if isinstance(scored, Score) else None),
        "extracted": scored.extracted if isinstance(scored, Score) else None,
        "why": _score_reason(scored),
        "facts": list(_answer_facts(answer, scored, run.seed, run.fold)),
        "prompt": [_clipped_message(m.role, m.content) for m in answer.prompt],
    }


def _score_reason(scored: Score | Unscored | None) -> str:
    if isinstance(scored, Score):
        return scored.why
    return scored.reason if scored else "no score was stored"


def _answer_facts(
    answer: Answer, scored: Score | Unscored | None, seed: int, fold: int | None
) -> Iterator[str]:
    if isinstance(scored, Score) and scored.valid is not None:
        yield "valid" if scored.valid else "not valid"
    if answer.finish == "length":
        yield "cut by the token limit"
    if answer.tokens_in is not None:
        yield f"{answer.tokens_in:,} tokens in"
    if answer.tokens_out is not None:
        yield f"{answer.tokens_out:,} out"
    if answer.seconds is not None:
        yield words.duration(answer.seconds)
    if answer.usd is not None:
        yield f"${words.amount(answer.usd)}"
    yield f"seed {seed}" if fold is None else f"seed {seed}, fold {fold}"


def _clipped_message(role: str, text: str) -> tuple[str, str, int]:
    """Return (role, text, number of characters left out)."""
    return role, text[:MOST_MESSAGE_CHARACTERS], max(0, len(text) - MOST_MESSAGE_CHARACTERS)


def _fails(value: float | None, least: float) -> bool:
    return value is not None and value < least


def excerpt(text: str, most: int = 160) -> str:
    """Return the start of a text in one line."""
    line = " ".join(text[: 4 * most].split())
    return line if len(line) <= most else line[: most - 1] + "…"
