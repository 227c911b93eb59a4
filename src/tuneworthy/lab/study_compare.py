"""Compare two studies of the lab's folder: paired differences, and cases that differ.

The differences are those of `tuneworthy compare`. Knows no HTTP library.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tuneworthy.compare.same_scoring import Scoring, other_tasks_line, unknown_source
from tuneworthy.compare.two_studies import (
    compare_studies,
    ids_with_other_inputs,
    scores_by_arm,
    slices_of_pair,
    why_uncorrected,
)
from tuneworthy.core.errors import TuneworthyError
from tuneworthy.core.evidence import Pair
from tuneworthy.core.results import Results
from tuneworthy.lab.problem import Problem, problem_of
from tuneworthy.lab.studies import StudyPlace, find_studies, results_of
from tuneworthy.lab.study_cases import case_key, excerpt, score_square
from tuneworthy.report import _charts as charts
from tuneworthy.report import _words as words
from tuneworthy.report._robust import slices_table

PAGE_CASES = 50  # the most cases on a page
Side = Literal["all", "gained", "lost"]
SIDES: tuple[tuple[Side, str], ...] = (
    ("all", "All"), ("gained", "B is better"), ("lost", "A is better"),
)  # fmt: skip


@dataclass(frozen=True)
class CompareQuery:
    """The query of the compare page: two study ids, a pair of arms, the side that is better.

    `pair` is the pair's number; None: the pair with the most differing cases.
    """

    a: str = ""
    b: str = ""
    pair: int | None = None
    side: Side = "all"

    def query(self, **change: Any) -> str:
        """Return the query of this page with some parts changed."""
        parts = {"a": self.a, "b": self.b, "pair": self.pair,
                 "side": "" if self.side == "all" else self.side, **change}  # fmt: skip
        return "?" + "&".join(
            f"{name}={value}" for name, value in parts.items() if value not in (None, "")
        )


def comparison_values(working: Path, asked: CompareQuery) -> dict[str, Any]:
    """Return the page's values: all finished studies, the two chosen ones, their differences.

    `problem` is why they can't be compared; None if they can, or if fewer than two are chosen.
    """
    places = [place for place in find_studies(working) if place.finished]
    shown: dict[str, Any] = {"places": places, "asked": asked, "problem": None, "told": None}
    chosen = {key: next((p for p in places if p.id == key), None) for key in (asked.a, asked.b)}
    first, second = chosen[asked.a], chosen[asked.b]
    unknown = next((key for key in (asked.a, asked.b) if key and chosen[key] is None), "")
    if unknown:
        shown["problem"] = Problem(
            404, "no finished study of this folder has this id", where="a, b", got=unknown,
            fix="choose two of those below",
        )  # fmt: skip
    elif first and second:
        try:
            shown["told"] = _compare_two(first, second, asked)
        except Problem as problem:
            shown["problem"] = problem
        except TuneworthyError as error:
            shown["problem"] = problem_of(error)
    return {**shown, "first": first, "second": second}


def _compare_two(first: StudyPlace, second: StudyPlace, asked: CompareQuery) -> dict[str, Any]:
    if first == second:
        raise Problem(422, "this is the same study twice", got=first.name,
                      fix="choose another one beside it")  # fmt: skip
    one, two = results_of(first), results_of(second)
    pairs = compare_studies(one, two)
    apart, _ = ids_with_other_inputs(one, two)
    most = max(range(len(pairs)), key=lambda at: (pairs[at].differ, -at), default=0)
    at = most if asked.pair is None else asked.pair
    if pairs and at >= len(pairs):
        raise Problem(404, "these studies have no such pair", where="pair", got=at,
                      fix=f"0 to {len(pairs) - 1}")  # fmt: skip
    margin = max(one.task.success.margin, two.task.success.margin)
    scale = charts.pair_scale(pairs, margin)
    parts = slices_of_pair(one, two, pairs[at]) if pairs else None
    return {
        "one": one,
        "two": two,
        "notes": list(_note_lines(one, two, len(apart), pairs)),
        "pairs": [_pair_row(pair, at, scale, margin) for at, pair in enumerate(pairs)],
        "axis": charts.tick_labels(scale, "points") if pairs else "",
        "margin": words.points(margin),
        "at": at,
        "n": {pair.n for pair in pairs},
        "parts": slices_table(parts) if parts and parts.slices else None,
        "cases": _differing_cases((one, two), pairs[at], asked.side, apart) if pairs else None,
    }


def _pair_row(pair: Pair, number: int, scale: Any, margin: float) -> dict[str, Any]:
    """Return a row of the table of differences: B's arm minus A's, with drawings and counts."""
    which = "B is better" if pair.low > 0 else "A is better" if pair.high < 0 else "open"
    name = pair.arm if pair.arm == pair.versus else f"B {pair.arm} − A {pair.versus}"
    return {
        "number": number,
        "name": name,
        "pair": pair,
        "row": charts.pair_row(pair, scale, margin),
        "counts": charts.pair_counts_bar(pair),
        "span": words.span(pair),
        "which": which,
        "ties": pair.n - pair.wins - pair.losses,
    }


def _note_lines(one: Results, two: Results, left_out: int, pairs: list[Pair]) -> Any:
    for name, study in (("A", one), ("B", two)):
        if study.verdict.status == "blocked":
            yield f"{name} is blocked ({study.verdict.because}): a difference may mislead."
    scorings = Scoring.of(one), Scoring.of(two)
    yield from filter(None, (other_tasks_line(*scorings), unknown_source(*scorings)))
    if left_out:
        yield f"{words.counted(left_out, 'case')} left out: the same id, another input."
    if caution := why_uncorrected(one, two):
        yield f"{caution[0].upper()}{caution[1:]}."
    if not pairs:
        yield "No case was answered in both studies: nothing can be paired."


def _differing_cases(
    studies: tuple[Results, Results], pair: Pair, side: Side, apart: frozenset[str]
) -> dict[str, Any]:
    """Return the cases on which the arms of a pair differ, the largest difference first."""
    one, two = studies
    old = scores_by_arm(one, apart)[pair.versus]
    new = scores_by_arm(two, apart)[pair.arm]
    rows: list[dict[str, Any]] = [
        {"id": case.id, "key": case_key(case.id), "input": excerpt(case.input),
         "target": excerpt(case.output), "a": score_square(old[case.id]),
         "b": score_square(new[case.id]),
         "difference": new[case.id] - old[case.id]}
        for case in two.cases
        if case.id in old and case.id in new and old[case.id] != new[case.id]
    ]  # fmt: skip
    wanted = {"all": rows, "gained": [r for r in rows if r["difference"] > 0],
              "lost": [r for r in rows if r["difference"] < 0]}  # fmt: skip
    found = sorted(wanted[side], key=lambda row: (-abs(row["difference"]), row["id"]))
    return {
        "rows": found[:PAGE_CASES],
        "found": len(found),
        "of": pair.n,
        "counts": {name: len(some) for name, some in wanted.items()},
    }
