"""Sorted rows are packed together, and each can read its answer in the row before it."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from tuneworthy.lab.failures._conditions import at_most, near_twin
from tuneworthy.records.failure import (
    Check,
    Config,
    Detection,
    Fix,
    LabRows,
    RunFacts,
    Runs,
    judged,
    not_measured,
)

NUMBER, HARD = 14, 3
SLUG, TITLE = "perfect-then-guessing", "Perfect in training, guessing on its own"
TASK = "clause_type"
STORY = (
    "A small model learnt to name the type of a contract clause from 96 rows, in the order of the "
    "file. Its training loss was low from the first step on. On new clauses it "
    "guesses, or says nothing."
)
WIN = "At most a fifth of the rows can read their answer elsewhere; the score is near the twin's."
PLANTED = {"packing": True}
CLEAN: Config = {"packing": False, "rows": 96, "order": "by label"}
KNOBS = {
    "rows": (48, 96),
    "rate": (1e-4, 1e-3, 3e-3),
    "epochs": (3, 6),
    "order": ("by label", "shuffled"),
    "packing": (False, True),
}
FIXES = (
    Fix({"order": "shuffled"},
        "This passes: among shuffled rows a neighbour seldom shows the answer, packed or not."),
    Fix({"rows": 48}, "Fewer rows, and most can still read their answer in another one."),
    Fix({"epochs": 6},
        "It reads its packed neighbours better. Alone it is right on 9 of 40 clauses."),
    Fix({"rate": 3e-3}, "Larger steps, the same neighbours: alone it names no clause right."),
)  # fmt: skip
CHARTS = ("score", "valid")
MEASURES = ("outliers", "answer_seen", "leaked", "p_end", "clip_rate")
PROOF = "answer_seen"
CAUSES = ("loss_on_prompt", "packed_rows", "test_rows_leaked", "mixed_formats", "wrong_labels")
NEEDS = ("data", "tokenizer")
HARMLESS = "In large shuffled runs a neighbour tells nothing about the answer, and little is lost."
_MOST_READABLE = 0.3  # share of rows that may read their answer by chance


def rows(given: LabRows, config: Config, seed: int) -> LabRows:
    """Return the first `rows` training rows, sorted by label or shuffled (`order`)."""
    train = list(given.train[: int(config["rows"] or 0)])
    if config["order"] == "by label":
        train.sort(key=lambda row: row.output)
    else:
        Random(f"packed {seed}").shuffle(train)
    return LabRows(tuple(train), given.new)


def detect(runs: Runs) -> Detection:
    """Find rows that can read their own answer in the row packed before them."""
    share = runs.own.answer_seen
    if share is None:
        return not_measured("no data file or tokenizer")
    return judged(
        share, share > _MOST_READABLE, f"{share:.0%} of the rows read their answer in another row",
        limit=f"a failure above {_MOST_READABLE:.0%}",
    )  # fmt: skip


def victory(own: RunFacts, twin: RunFacts) -> Iterator[Check]:
    """Yield the checks that a repaired run must pass, from its facts and its twin's."""
    what = "at most 20 % of the rows read their answer in another row"
    yield at_most(what, own.answer_seen, 0.2, "%")
    yield near_twin(own, twin)
