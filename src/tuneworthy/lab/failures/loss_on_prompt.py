"""The loss lies on the user's turn instead of the answer, because the mask is off by one turn."""

from __future__ import annotations

from collections.abc import Iterator

from tuneworthy.lab.failures._conditions import at_least, near_twin
from tuneworthy.records.failure import Check, Detection, Fix, RunFacts, Runs, judged, not_measured

NUMBER, HARD = 10, 2
SLUG, TITLE = "talks-like-customers", "It talks like a customer"
TASK = "support_tickets"
STORY = (
    "A small model was to turn support tickets into JSON, from 64 rows and for three epochs. The "
    "training loss went down all the way. Now it answers every ticket with another ticket."
)
WIN = "The answers carry at least a tenth of the loss, and the score is at most .10 below the twin."
PLANTED = {"loss": "prompt"}
CLEAN = {"loss": "answer"}
KNOBS = {
    "rate": (1e-4, 1e-3, 3e-3),
    "epochs": (3, 6),
    "loss": ("all", "answer", "prompt"),
    "max_length": (64, 512),
    "serve.schema": (False, True),
}
FIXES = (
    Fix({"serve.schema": True},
        "The grammar turns customer talk into JSON that parses. What it says is still no"
        " answer."),
    Fix({"epochs": 6}, "It learns to write tickets even better. No answer is ever trained."),
    Fix({"loss": "all"},
        "This mends it too: a third of the loss lies on answers now, and that is enough here."),
    Fix({"rate": 1e-4},
        "It talks less like a customer, and still not like an answer: none is trained."),
)  # fmt: skip
CHARTS = ("score", "valid")
MEASURES = ("answer_share", "loss_first", "p_end", "clip_rate", "same_prompt")
PROOF = "answer_share"
CAUSES = ("adapter_not_served", "loss_on_prompt", "mixed_formats",
          "other_template", "rating_rewarded")  # fmt: skip
NEEDS = ("data", "tokenizer")
HARMLESS = "A loss on the whole row, question and answer, does little harm where answers are short."
_LEAST_ANSWER_SHARE = 0.1  # share of the loss that must lie on answers


def detect(runs: Runs) -> Detection:
    """Find a run in which the answers carry less than a tenth of the loss."""
    share = runs.own.answer_share
    if share is None:
        return not_measured("no data file or tokenizer")
    return judged(share, share < _LEAST_ANSWER_SHARE, f"{share:.0%} of the loss lies on answers",
                  limit=f"a failure below {_LEAST_ANSWER_SHARE:.0%}")  # fmt: skip


def victory(own: RunFacts, twin: RunFacts) -> Iterator[Check]:
    """Yield the checks that a repaired run must pass, from its facts and its twin's."""
    what = "answers carry at least 10 % of the loss"
    yield at_least(what, own.answer_share, _LEAST_ANSWER_SHARE, "%")
    yield near_twin(own, twin)
