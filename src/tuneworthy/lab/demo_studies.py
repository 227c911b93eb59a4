"""The three studies of `demo --recorded` with their results, so that the start page has a verdict.

tools/record_demo.py runs them and writes the results; a test runs them again and compares.
"""

from __future__ import annotations

import gzip
from functools import lru_cache

from tuneworthy.lab.problem import Problem
from tuneworthy.records.counting import count_noun
from tuneworthy.records.results import Results
from tuneworthy.suite import RECORDED_FOLDER, STUDIES
from tuneworthy.verdict import phrases

_SUBJECTS = {
    "clause_type": "Keyword rules run today; would a classifier or a tuned model do better?",
    "support_tickets": "Two versions of a rule system: is the second one better?",
    "open_clauses": "Two systems and forty right answers: may the second one replace the first?",
}


@lru_cache(maxsize=len(STUDIES))
def demo_results(name: str) -> Results:
    """Return the results of a demo study. Raises Problem (404) for an unknown name."""
    if name not in STUDIES:
        raise Problem(404, "there is no such demo study", where="the address", got=name,
                      fix=f"there are: {', '.join(STUDIES)}")  # fmt: skip
    packed = (RECORDED_FOLDER / f"{name}.results.json.gz").read_bytes()
    return Results.model_validate_json(gzip.decompress(packed))


def demo_cards() -> list[dict[str, str]]:
    """Return what the start page says of each demo study: its name, question and verdict."""
    cards = []
    for name, subject in _SUBJECTS.items():
        verdict = demo_results(name).verdict
        rows = max(arm.n for arm in verdict.arms)
        cards.append({"name": name, "subject": subject,
                      "verdict": phrases.headline_and_arm(verdict),
                      "status": f"{verdict.status} · {count_noun(rows, 'row')}"})  # fmt: skip
    return cards
