"""The model is served with another chat template than in training."""

from __future__ import annotations

from collections.abc import Iterator

from tuneworthy.lab.failures._conditions import at_least, near_twin
from tuneworthy.records.failure import Check, Detection, Fix, RunFacts, Runs, judged, not_measured

NUMBER, HARD = 11, 2
SLUG, TITLE = "lost-in-production", "Fine in training, lost in production"
TASK = "support_tickets"
STORY = (
    "A small model learnt to turn support tickets into JSON. The loss on new rows is as low as "
    "that of the clean twin, step by step. Yet the answers that customers get are far worse."
)
WIN = "All prompts have the tokens of training, and the score is at most .10 below the clean twin."
PLANTED = {"serve.template": "no reply header"}
CLEAN = {"serve.template": "chat"}
KNOBS = {
    "rate": (1e-4, 1e-3, 3e-3),
    "epochs": (3, 6),
    "serve.adapter": (True, False),
    "serve.template": ("chat", "no reply header", "brackets", "plain"),
    "serve.schema": (False, True),
}
FIXES = (
    Fix({"serve.schema": True},
        "The grammar brings the answers back. The served prompts still have other tokens than"
        " training."),
    Fix({"serve.template": "brackets"},
        "Another model family's template has other tokens too: most answers stop after a few."),
    Fix({"serve.template": "plain"},
        "Plain text happens to score as well as the chat template. Its tokens are still not"
        " those of training."),
    Fix({"epochs": 6}, "The loss in training falls further. The served prompts did not change."),
)  # fmt: skip
CHARTS = ("score", "valid")
MEASURES = ("same_prompt", "valid", "length", "new_loss_last", "leaked")
PROOF = "same_prompt"
CAUSES = ("adapter_not_served", "other_template", "rounded_merge", "rows_cut", "test_rows_leaked")
NEEDS = ("data", "tokenizer")
HARMLESS = "Some other templates do no harm: here plain text without any turns scores as well."
_SAME_PROMPT_SHARE = 0.95  # share of served prompts that must have the tokens of training


def detect(runs: Runs) -> Detection:
    """Find served prompts whose token ids differ from those of training."""
    same = runs.own.same_prompt
    if same is None:
        return not_measured("no served prompts, no data file or no tokenizer")
    return judged(
        same, same < _SAME_PROMPT_SHARE, f"{same:.0%} of the prompts have the tokens of training"
    )


def victory(own: RunFacts, twin: RunFacts) -> Iterator[Check]:
    """Yield the checks that a repaired run must pass, from its facts and its twin's."""
    yield at_least("every served prompt has the tokens of training", own.same_prompt, 1, "%")
    yield near_twin(own, twin)
