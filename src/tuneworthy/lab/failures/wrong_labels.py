"""Three in ten training labels are wrong, so the model learns errors where it could be right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random

from tuneworthy.lab.failures._conditions import at_most, near_twin
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

NUMBER, HARD = 7, 2
SLUG, TITLE = "starts-to-argue", "It learns well, then starts to argue"
TASK = "clause_type"
STORY = (
    "A small model learns to tell types of contract clauses apart. At first it gets better. Later "
    "its training loss still falls, but it gets wrong what it had right."
)
WIN = (
    "At most 9 % of the labels are wrong, at most 2 % of the rows contradict their neighbours, and "
    "the score is at most .10 below the twin."
)
PLANTED: Config = {"labels": "one reader"}
CLEAN: Config = {"labels": "two readers agree", "rows": 240, "epochs": 6, "batch": 8}
KNOBS = {
    "labels": ("one reader", "two readers agree"),
    "rows": (64, 240),
    "epochs": (1, 3, 6),
    "rate": (1e-4, 1e-3, 3e-2),
    "rank": (4, 16),
}
FIXES = (
    Fix({"epochs": 1},
        "It stops early and learns little of either: three labels in ten are still wrong."),
    Fix({"rate": 1e-4},
        "Smaller steps learn fewer of the wrong labels, and fewer of the right ones."),
    Fix({"rows": 64},
        "Fewer rows have fewer neighbours that contradict each other. The labels are as wrong"
        " as before."),
    Fix({"rank": 4},
        "A smaller adapter learns the wrong labels too: the loss falls, the score stays."),
)  # fmt: skip
CHARTS = ("score", "valid")
MEASURES = ("conflicts", "outliers", "clip_rate", "new_loss_last", "leaked")
PROOF = "conflicts"
CAUSES = ("mixed_formats", "rate_too_high", "teacher_errors", "too_many_epochs", "wrong_labels")
NEEDS = ("data",)
HARMLESS = "Few wrong labels do little harm to a run that stops early."
WRONG_SHARE, CONFLICT_SHARE = 0.3, 0.04


def rows(rows: LabRows, config: Config, seed: int) -> LabRows:
    """Return the rows with right labels, or with those of one reader, who errs in three of ten."""
    if config["labels"] != "one reader":
        return rows
    labels = sorted({row.output for row in rows.train})
    return replace(
        rows, train=tuple(_as_one_reader_labels(row, labels, seed) for row in rows.train)
    )


def _as_one_reader_labels(row: LabRow, labels: Sequence[str], seed: int) -> LabRow:
    rng = Random(f"one reader {seed} {row.id}")
    if rng.random() >= WRONG_SHARE:
        return row
    wrong = rng.choice([label for label in labels if label != row.output])
    return replace(row, output=wrong, meta={**row.meta, "right": row.output})


def facts(rows: LabRows, texts: Sequence[str], config: Config) -> dict[str, float]:  # noqa: ARG001
    """Return as `wrong` the share of training rows whose label is wrong."""
    return {"wrong": sum("right" in row.meta for row in rows.train) / len(rows.train)}


def detect(runs: Runs) -> Detection:
    """Find that .04 or more of the training labels contradict those of similar rows."""
    share = runs.own.conflicts
    because = "" if share is None else f"{share:.0%} of the labels contradict their neighbours"
    return judged(share, (share or 0.0) >= CONFLICT_SHARE, because, "no rows with closed labels",
                  limit=f"a failure from {CONFLICT_SHARE:.0%} on")  # fmt: skip


def victory(own: RunFacts, twin: RunFacts) -> Iterator[Check]:
    """Yield the checks that a repaired run must pass, from its facts and its twin's."""
    wrong = own.other.get("wrong")
    yield at_most("at most 9 % of the labels are wrong", wrong, 0.3 * WRONG_SHARE, "%")
    yield at_most("at most 2 % of the labels contradict neighbours", own.conflicts, 0.02, "%")
    yield near_twin(own, twin)
