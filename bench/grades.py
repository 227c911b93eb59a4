"""How often a difference corrected by few grades holds the human difference, and how wide it is.

usage: grades.py DATA [draws]   DATA has `openqa_systems` (five systems' answers to open questions
with a person's verdict on each). For each of the ten pairs: `contains` on 500 questions, and the
verdicts of 30, 40 and 60 rows drawn at random among those whose answers differ, corrected as
`compare --grade` does; beside it the grades alone (the mean of the same rows by Student's t) and
the metric alone. The truth is the difference of all verdicts on those 500 questions.
"""

from __future__ import annotations

import itertools
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from _bench import write
from scipy.stats import t as student

from tuneworthy.explain.two_logs import (
    answers_to_grade,
    compare_answers,
    grading_order,
    with_grades,
)
from tuneworthy.metrics import score_all, scorer
from tuneworthy.records.answer import Answer
from tuneworthy.records.case import Case, Message, right_answers
from tuneworthy.records.task import Data, Output, Success, Task

GRADED = (30, 40, 60)


def rows(data: Path) -> list[dict[str, Any]]:
    """Return the rows of the test part: question, right answers, answers with verdicts."""
    lines = (data / "openqa_systems" / "test.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def alone(human: Sequence[float], share: float) -> tuple[float, float]:
    """Return the bounds of the human difference by graded rows alone; other rows differ by 0."""
    mean, sd = statistics.fmean(human), statistics.stdev(human)
    half = float(student.ppf(0.975, len(human) - 1)) * sd / len(human) ** 0.5
    return share * (mean - half), share * (mean + half)


def main() -> None:
    """Draw the grades, print and write coverage and widths by number of grades."""
    told = rows(Path(sys.argv[1]))
    draws = int(sys.argv[2]) if len(sys.argv) > 2 else 500
    task = Task(data=Data(), output=Output(type="text"), success=Success(metric="contains")).at(
        Path()
    )
    cases = [
        Case(id=f"q{at}", messages=(Message(role="user", content=row["input"]),),
             output=row["output"], accepted=tuple(row["meta"]["golds"][1:]))
        for at, row in enumerate(told)
    ]  # fmt: skip
    answers, verdicts = dict[str, list[Answer]](), dict[tuple[str, str, str], float]()
    for name in told[0]["meta"]["systems"]:
        given = [row["meta"]["systems"][name] for row in told]
        answers[name] = [
            Answer(case=case.id, text=one["answer"] or "", finish="stop")
            for case, one in zip(cases, given, strict=True)
        ]
        for answer, one in zip(answers[name], given, strict=True):
            verdicts[name, answer.case, answer.text.strip()] = float(one["correct"])
    scores = {name: score_all(scorer(task), cases, own) for name, own in answers.items()}
    found: dict[str, Any] = {}
    for at, (one, two) in enumerate(itertools.combinations(answers, 2)):
        found[f"{one} {two}"] = _pair(task, cases, answers, scores, verdicts, (one, two), draws, at)
        print(one, two, found[f"{one} {two}"], file=sys.stderr, flush=True)
    summary = {}
    for n in map(str, GRADED):
        for key in ("covers", "half width", "grades alone covers", "grades alone half width"):
            values = [pair[n][key] for pair in found.values()]
            summary[f"{n} grades: {key}, mean of {len(found)} pairs"] = round(
                statistics.fmean(values), 3
            )
        summary[f"{n} grades: pairs narrower than the grades alone"] = sum(
            pair[n]["half width"] < pair[n]["grades alone half width"] for pair in found.values()
        )
        summary[f"{n} grades: least coverage of a pair"] = min(
            p[n]["covers"] for p in found.values()
        )
    summary["pairs whose metric alone holds the human difference"] = sum(
        pair["metric alone holds it"] for pair in found.values()
    )
    write("grades", {"draws": draws, "pairs": found, "summary": summary})
    print(json.dumps(summary, indent=1))


def _pair(
    task: Task, cases: Sequence[Case], answers: Mapping[str, Sequence[Answer]],
    scores: Mapping[str, Any], verdicts: Mapping[tuple[str, str, str], float],
    names: tuple[str, str], draws: int, seed: int,
) -> dict[str, Any]:  # fmt: skip
    one, two = names
    sides = (answers[one], scores[one]), (answers[two], scores[two])
    plain = compare_answers(task, names, cases, *sides, {}).pair
    human = np.array([
        verdicts[two, b.case, b.text.strip()] - verdicts[one, a.case, a.text.strip()]
        for a, b in zip(answers[one], answers[two], strict=True)
    ])  # fmt: skip
    order = grading_order(cases, answers[one], answers[two])
    # What the product takes as certain is right by its text or empty: verdicts may differ there.
    truth, right = float(human.mean()), right_answers(cases)
    told: dict[str, Any] = {
        "human": round(truth, 4), "metric": [plain.mean, plain.low, plain.high],
        "metric alone holds it": plain.low <= truth <= plain.high, "rows that differ": len(order),
    }  # fmt: skip
    rng = np.random.default_rng(seed)
    for n in GRADED:
        inside, width, by_grades, wide = 0, [], 0, []
        for _ in range(draws):
            chosen = rng.choice(order, n, replace=False)
            grades = {
                (answer.case, answer.text.strip()): verdicts[name, answer.case, answer.text.strip()]
                for at in chosen for name in names
                for answer in answers_to_grade([answers[name][at]], right)
            }  # fmt: skip
            pair = with_grades(task, cases, sides, {}, grades)
            inside += pair.low <= truth <= pair.high
            width.append((pair.high - pair.low) / 2)
            low, high = alone(human[chosen].tolist(), len(order) / len(cases))
            by_grades += low <= truth <= high
            wide.append((high - low) / 2)
        told[str(n)] = {
            "covers": inside / draws, "half width": round(statistics.fmean(width), 4),
            "grades alone covers": by_grades / draws,
            "grades alone half width": round(statistics.fmean(wide), 4),
        }  # fmt: skip
    return told


if __name__ == "__main__":
    main()
