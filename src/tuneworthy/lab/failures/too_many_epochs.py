"""Few rows are read so often that the model learns them by heart and unlearns everything else."""

from __future__ import annotations

from collections.abc import Iterator

from tuneworthy.lab.failures._conditions import at_most, difference, near_twin
from tuneworthy.records.failure import Check, Detection, Fix, RunFacts, Runs, judged

NUMBER, HARD = 5, 1
SLUG, TITLE = "zero-and-worse", "Training loss zero, and it gets worse"
TASK = "clause_type"
STORY = (
    "A small model learns to tell types of contract clauses apart from 30 of them. Its training "
    "loss falls to zero. On clauses that it has never seen, the loss turns round and climbs."
)
WIN = "The loss on new rows ends at most .05 above its lowest, the score at most .10 below."
PLANTED = {"epochs": 20}
CLEAN = {"epochs": 5, "rows": 30}
KNOBS = {
    "rows": (15, 30, 60),
    "epochs": (1, 5, 20),
    "rate": (1e-4, 1e-3, 3e-2),
    "rank": (4, 16),
    "batch": (2, 4, 8),
}
FIXES = (
    Fix({"epochs": 1}, "No climb any more, because it stops before it has learnt anything."),
    Fix({"rate": 1e-4},
        "A narrow pass: smaller steps take twenty readings less far, and the score just holds."),
    Fix({"rank": 4},
        "This passes here: a smaller adapter learns the 30 rows by heart less. It is one run."),
    Fix({"rows": 60},
        "Twice the rows help the score. Twenty readings still turn the loss on new rows"
        " upwards."),
)  # fmt: skip
CHARTS = ("score", "p_end")
MEASURES = ("new_loss_last", "conflicts", "leaked", "clip_rate", "outliers")
PROOF = "new_loss_last"
CAUSES = ("narrow_rows_forget", "rate_too_high", "test_rows_leaked",
          "too_many_epochs", "wrong_labels")  # fmt: skip
NEEDS = ("log",)
HARMLESS = "Answers of a fixed form may still gain: their score can rise while the loss climbs."
LOSS_RISE = 0.3  # nats a token


def detect(runs: Runs) -> Detection:
    """Find a loss on new rows that ends far above its lowest while the training loss is lower."""
    own = runs.own
    rise = difference(own.new_loss_last, own.new_loss_least)
    gap = difference(own.new_loss_last, own.loss_last)
    found = rise is not None and rise >= LOSS_RISE and (gap is None or gap >= LOSS_RISE)
    because = "" if rise is None else f"the loss on new rows ends {rise:.2f} nats above its lowest"
    high = rise is not None and rise >= LOSS_RISE
    return judged(
        rise, found, because, "no log of the loss on new rows",
        limit=f"a failure from {LOSS_RISE} nats on, with a training loss as much lower",
        explained=f"the training loss ends as high, at {own.loss_last:.2f} nats: nothing was learnt"
        " by heart" if high and own.loss_last is not None else "",
    )  # fmt: skip


def victory(own: RunFacts, twin: RunFacts) -> Iterator[Check]:
    """Yield the checks that a repaired run must pass, from its facts and its twin's."""
    rise = difference(own.new_loss_last, own.new_loss_least)
    yield at_most("the loss on new rows ends at most .05 above its lowest", rise, 0.05)
    yield near_twin(own, twin)
