"""The learning rate, one for full fine-tuning, is so low that the LoRA adapter stays near zero."""

from __future__ import annotations

from collections.abc import Iterator

from tuneworthy.lab.failures._conditions import at_least, near_twin
from tuneworthy.records.failure import Check, Detection, Fix, RunFacts, Runs, judged, not_measured

NUMBER, HARD = 2, 1
SLUG, TITLE = "nothing-changed", "All that training, and nothing changed"
TASK = "clause_type"
STORY = (
    "A small model reads 64 contract clauses three times to learn their types. Every step runs, "
    "nothing fails. Afterwards it is no better than before."
)
WIN = "The change of the weights is at least half that of the twin, the score at most .10 below."
PLANTED = {"rate": 1e-5}
CLEAN = {"rate": 1e-3}
KNOBS = {
    "rate": (1e-5, 1e-4, 1e-3),
    "epochs": (1, 3, 6),
    "rank": (4, 16),
    "loss": ("answer", "all"),
    "serve.adapter": (False, True),
}
FIXES = (
    Fix({"epochs": 6},
        "Twice the steps move the weights twice as far, which is still next to nothing."),
    Fix({"rate": 1e-4},
        "The loss falls at last. The weights moved about a seventh as far as the twin's, too"
        " little to score."),
    Fix({"rank": 4}, "Fewer numbers to train move the weights even less."),
    Fix({"loss": "all"},
        "The loss counts the prompt too and looks lower. The weights moved no further."),
)  # fmt: skip
CHARTS = ("score", "p_end")
MEASURES = ("change", "same_as_base", "outliers", "clip_rate", "answer_share")
PROOF = "change"
CAUSES = ("adapter_not_served", "loss_on_prompt", "model_too_small", "rank_too_low", "rate_too_low")
NEEDS = ("log", "adapter")
HARMLESS = "A long run at a low rate catches up in part; a small change may be all a task needs."
LEAST_CHANGE = 1e-3  # of the norm of the weights
# Fall of the loss as a share of the first; the second if the change of the weights is unknown.
LEAST_FALL, FALL_ALONE = 0.2, 0.05


def detect(runs: Runs) -> Detection:
    """Find weights that hardly changed and a loss that hardly fell; one suffices if alone."""
    change, first, last = runs.own.change, runs.own.loss_first, runs.own.loss_last
    fall = None if not first or last is None else 1 - last / first
    if change is None and fall is None:
        return not_measured("no log and no adapter")
    least = FALL_ALONE if change is None else LEAST_FALL
    found = (change is None or change < LEAST_CHANGE) and (fall is None or abs(fall) < least)
    told = [] if change is None else [f"the weights changed by {change:.1e} of their norm"]
    if fall is not None:
        told.append(f"the loss {'fell' if fall >= 0 else 'rose'} by {abs(fall):.0%}")
    small = "" if change is None else f"a change of the weights below {LEAST_CHANGE:g}, with "
    return judged(
        fall if change is None else change, found, ", ".join(told),
        limit=f"a failure: {small}a loss that moved by less than {least:.0%}",
        explained="" if change is None or change >= LEAST_CHANGE else "the loss moved all the same",
    )  # fmt: skip


def victory(own: RunFacts, twin: RunFacts) -> Iterator[Check]:
    """Yield the checks that a repaired run must pass, from its facts and its twin's."""
    least = (twin.change or 0.0) / 2
    yield at_least(f"the weights changed by at least {least:.1e}", own.change, least)
    yield near_twin(own, twin)
