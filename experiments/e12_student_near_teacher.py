"""E12: does a small student come near its teacher?"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from _claim import figure, main, over_seeds, score_over_seeds
from _shared import clauses, greedy, seeds_of
from _tuning import SEEDS, Ask, answers, suite_rows

from tuneworthy.lab.claim_results import Claim, Expected, Figure
from tuneworthy.stats.power import ratio_of_means

CLAIM = Claim(
    number=12,
    name="student_near_teacher",
    claim="On a narrow task a small student comes near its teacher.",
    said="guides to distillation",
    prediction="A student that learns from the teacher's answers alone closes more than 70 % of "
    "the gap between the untouched model and the teacher.",
    refuted_if="It closes less than 30 % of the gap.",
    design="Clause types; the teacher is a classifier that learnt 150 rows and answers 120 other "
    "inputs, mistakes included; LoRA learns those answers, 3 epochs, 3 seeds; 200 test rows.",
    expects=(Expected(figure="share of the gap closed", above=0.7, fails_at=0.3),),
    holds_if=(Expected(figure="share of the gap closed", above=0.7, fails_at=0.3),),
)
COMPARES = {
    "share of the gap closed": "part of the gap, untrained to teacher, that the student closed",
}
FOUND = "On this narrow task the student closes most of the gap to its teacher."
CAVEAT = "It stays behind its teacher."
REDUCED = (
    "the teacher is a recorded classifier, not a larger language model",
    "answers only, no rationales",
)
KNOWN, TAUGHT = 150, 120


def collect() -> dict[str, Any]:
    """Return the scores of the untouched model, the teacher and its student by seed."""
    rows = suite_rows("clause_type")
    source, inputs = tuple(rows.pool[:KNOWN]), tuple(rows.pool[KNOWN : KNOWN + TAUGHT])
    wise = answers(rows, Ask("tfidf", KNOWN, train=source, extra={"inputs": inputs}))
    texts = wise["inputs"]["texts"]
    lesson = tuple(
        case.model_copy(update={"output": text}) for case, text in zip(inputs, texts, strict=True)
    )

    def student(seed: int) -> dict[str, Any]:
        return answers(rows, Ask("lora", TAUGHT, seed, {"epochs": 3}, train=lesson, tag="student"))

    return {
        "before": greedy(clauses("zero_shot", 0)),
        "teacher": greedy(wise),
        "student": seeds_of(student),
        "right_lessons": [int(c.output == t) for c, t in zip(inputs, texts, strict=True)],
    }


def figures(data: dict[str, Any]) -> list[Figure]:
    """Return the scores and the share of the gap that the student closes."""
    before, teacher, student = (
        np.array(data[key], float) for key in ("before", "teacher", "student")
    )
    n = len(before)
    share = ratio_of_means(student.mean(0) - before, teacher - before) or (0.0, -99.0, 99.0)
    return [
        figure("untouched model", score_over_seeds(before), n),
        figure("teacher", score_over_seeds(teacher), n),
        figure("student", score_over_seeds(student), n, len(SEEDS)),
        figure(
            "right among the teacher's lessons", score_over_seeds(data["right_lessons"]), TAUGHT
        ),
        figure("student - teacher", over_seeds(student - teacher), n, len(SEEDS)),
        figure("share of the gap closed", share, n, len(SEEDS), "share"),
    ]


if __name__ == "__main__":
    main(sys.modules["__main__"])
