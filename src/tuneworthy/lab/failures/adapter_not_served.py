"""The adapter was trained and saved, but the server answers with the base model alone."""

from __future__ import annotations

from collections.abc import Iterator

from tuneworthy.lab.failures._conditions import at_most, near_twin
from tuneworthy.records.failure import Check, Detection, Fix, RunFacts, Runs, judged, not_measured

NUMBER, HARD = 4, 2
SLUG, TITLE = "same-old-answers", "A perfect curve, the same old answers"
TASK = "support_tickets"
STORY = (
    "A small model learns to turn support tickets into JSON from 64 rows. Both losses fall as in "
    "the clean twin. Yet it answers as it did before the training."
)
WIN = "At most 2 of 40 answers equal those before training, the score at most .10 below the twin."
PLANTED = {"serve.adapter": False}
CLEAN = {"serve.adapter": True}
KNOBS = {
    "rate": (1e-5, 1e-3, 3e-2),
    "epochs": (1, 3, 6),
    "rank": (1, 4, 16),
    "serve.adapter": (False, True),
    "serve.schema": (False, True),
    "serve.temperature": (0.0, 0.7),
}
FIXES = (
    Fix({"epochs": 6},
        "The loss falls further, and the server still loads no adapter: every answer is the"
        " base's."),
    Fix({"rate": 3e-2},
        "Now training is broken as well. The answers cannot tell: they are the base's either"
        " way."),
    Fix({"serve.schema": True},
        "The answers parse now, because the grammar writes the form. They are still the base's."),
    Fix({"serve.temperature": 0.7},
        "The answers are drawn at random now, and each is what the base draws with the same"
        " seed."),
)  # fmt: skip
CHARTS = ("score", "length")
MEASURES = ("same_as_base", "change", "valid", "ended", "same_prompt")
PROOF = "same_as_base"
CAUSES = ("adapter_not_served", "loss_on_prompt", "other_template", "rate_too_low", "rounded_merge")
NEEDS = ("log", "adapter")
HARMLESS = "A base that already answers right gives the same answers after training."
# Share of equal answers; last loss as a share of the first; change as a share of the weights' norm.
SAME_SHARE, LOSS_FALL, LEAST_CHANGE = 0.9, 0.5, 1e-3


def detect(runs: Runs) -> Detection:
    """Find answers equal to the base's although training changed the weights and the loss."""
    own = runs.own
    same, first, last = own.same_as_base, own.loss_first, own.loss_last
    if same is None:
        return not_measured("no answers of the served model beside those of its base")
    learned = first is not None and last is not None and last < LOSS_FALL * first
    moved = own.change is None or own.change >= LEAST_CHANGE
    if first is None and own.change is None:
        return not_measured("no log and no adapter")
    found = same >= SAME_SHARE and moved and (learned or first is None)
    return judged(same, found, f"{same:.0%} of the answers equal those of the base model")


def victory(own: RunFacts, twin: RunFacts) -> Iterator[Check]:
    """Yield the checks that a repaired run must pass, from its facts and its twin's."""
    yield at_most("at most 2 of 40 answers equal the base's", own.same_as_base, 0.05, of=40)
    yield near_twin(own, twin)
