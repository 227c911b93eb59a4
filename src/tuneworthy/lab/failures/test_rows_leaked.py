"""The training set holds test rows under another number, so the test measures memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random

from tuneworthy.lab.failures._conditions import at_least, at_most, difference
from tuneworthy.records.failure import (
    Check,
    Config,
    Detection,
    Fix,
    LabRow,
    LabRows,
    RunFacts,
    Runs,
    judged,
)

NUMBER, HARD = 6, 2
SLUG, TITLE = "then-came-monday", "Nearly full marks. Then came Monday"
TASK = "clause_type"
STORY = (
    "A small model learns to tell types of contract clauses apart. In the trial it is nearly "
    "always right. On the clauses that arrive on Monday it is far worse."
)
WIN = (
    "No clause of the trial has a near copy in training, the trial is at most .15 above Monday, "
    "and Monday's score is near the twin's."
)
PLANTED: Config = {"split": "by row"}
CLEAN: Config = {"split": "by contract", "epochs": 6}
KNOBS = {
    "split": ("by row", "by contract"),
    "rows": (48, 64, 96),
    "epochs": (1, 3, 6),
    "rate": (1e-4, 1e-3, 3e-2),
    "rank": (4, 16),
}
FIXES = (
    Fix({"epochs": 1},
        "It learns less of everything, copies included. The trial's clauses are still in"
        " training."),
    Fix({"rate": 1e-4},
        "Smaller steps lower both scores. The trial still has its copies in training."),
    Fix({"rank": 4},
        "A smaller adapter knows the copies by heart as well: full marks in the trial, not on"
        " Monday."),
    Fix({"rows": 96},
        "More rows help on Monday. The trial is still full of copies, so its full marks prove"
        " nothing."),
)  # fmt: skip
CHARTS = ("score", "valid")
MEASURES = ("leaked", "new_loss_last", "prior", "conflicts", "same_prompt")
PROOF = "leaked"
CAUSES = ("other_template", "outdated_facts", "rounded_merge",
          "test_rows_leaked", "too_many_epochs")  # fmt: skip
NEEDS = ("data",)
HARMLESS = "Where the same texts really arrive again, such a test is right."
LEAKED_SHARE, TRIAL_ROWS = 0.05, 40


def rows(rows: LabRows, config: Config, seed: int) -> LabRows:
    """Return the rows split by row (copies of the trial's clauses in training) or by contract.

    The probe `monday` holds clauses that occur neither in training nor in the trial.
    """
    trial, later = rows.new[:TRIAL_ROWS], rows.new[TRIAL_ROWS : 2 * TRIAL_ROWS]
    train = rows.train
    if config["split"] == "by row":
        rng = Random(f"contracts {seed}")
        train = (*(_in_other_contract(row, rng.randrange(2, 30)) for row in trial), *train)
    return LabRows(train, trial, {"monday": later})


def _in_other_contract(row: LabRow, number: int) -> LabRow:
    """Return a copy of a clause under the number that it has in another contract."""
    *before, asked = row.messages
    asked = asked.model_copy(update={"content": f"{number}. {asked.content}"})
    return replace(row, id=f"{row.id} elsewhere", messages=(*before, asked))


def detect(runs: Runs) -> Detection:
    """Find new rows that have near copies among the training rows."""
    share = runs.own.leaked
    because = "" if share is None else f"{share:.0%} of the new rows stand in training as well"
    return judged(share, (share or 0.0) > LEAKED_SHARE, because, "no training and test rows",
                  limit=f"a failure above {LEAKED_SHARE:.0%}")  # fmt: skip


def victory(own: RunFacts, twin: RunFacts) -> Iterator[Check]:
    """Yield the checks that a repaired run must pass, from its facts and its twin's."""
    gap, least = difference(own.score, own.other.get("monday_score")), _least_monday_score(twin)
    yield at_most("no clause of the trial has a near copy in training", own.leaked, 0.0, "%")
    yield at_most("the trial is at most .15 above Monday", gap, 0.15)
    yield at_least(f"Monday's score at least {least:.2f}", own.other.get("monday_score"), least)


def _least_monday_score(twin: RunFacts) -> float:
    return (twin.other.get("monday_score") or 0.0) - 0.10
