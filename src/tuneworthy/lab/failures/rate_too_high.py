"""The learning rate is so high that each step overshoots: the loss rises and stays up."""

from __future__ import annotations

from collections.abc import Iterator

from tuneworthy.lab.failures._conditions import at_most, difference, near_twin
from tuneworthy.records.failure import Check, Detection, Fix, RunFacts, Runs, judged

NUMBER, HARD = 1, 2
SLUG, TITLE = "off-a-cliff", "The loss fell, then jumped off a cliff"
TASK = "support_tickets"
STORY = (
    "A small model learns to turn support tickets into JSON from 64 rows. The first steps help. "
    "Then the training loss jumps, and the answers are no longer language."
)
WIN = "The loss ends less than .1 above its lowest step, the score at most .10 below the twin."
PLANTED = {"rate": 3e-2}
CLEAN = {"rate": 1e-3}
KNOBS = {
    "rate": (1e-4, 1e-3, 3e-2),
    "rank": (4, 16),
    "batch": (2, 4, 8),
    "max_length": (64, 512),
    "pad_token": ("<|im_end|>", "<|endoftext|>"),
}
FIXES = (
    Fix({"rate": 1e-4},
        "The cliff is gone. At a tenth of the clean rate, three epochs end before the model"
        " writes JSON."),
    Fix({"rank": 4}, "A smaller adapter takes the same oversized steps: the loss jumps again."),
    Fix({"batch": 8}, "Larger batches make the steps smoother, not smaller. The loss still jumps."),
    Fix({"max_length": 64},
        "Shorter rows leave the size of a step as it is, and now the answers are cut as well."),
)  # fmt: skip
CHARTS = ("score", "length")
MEASURES = ("loss_last", "clip_rate", "valid", "p_end", "end_trained")
PROOF = "loss_last"
CAUSES = ("end_not_trained", "model_too_small", "packed_rows", "rate_too_high", "too_many_epochs")
NEEDS = ("log",)
HARMLESS = (
    "LoRA tolerates about ten times the learning rate of full fine-tuning: a rate that is too high "
    "for all weights may be right for an adapter."
)
LOSS_RISE = 0.5  # nats a token
# Nats a token if all tokens were equally likely, in the largest vocabularies (2**18 tokens).
_GUESSING_LOSS = 12.5


def detect(runs: Runs) -> Detection:
    """Find a training loss that ends far above its lowest step, or a training that broke off.

    Or one that rose on the way beyond that of guessing: such steps wreck the model, even if it
    recovers in part and ends near the lowest step that is left.
    """
    own = runs.own
    if own.refused:
        return Detection(found=True, because=f"training was stopped: {own.refused}")
    start, peak = own.loss_first, own.loss_peak
    if start is not None and peak is not None and start < _GUESSING_LOSS < peak:
        why = f"the loss rose from {start:.2f} to {peak:.1f} nats a token, worse than guessing"
        return Detection(found=True, value=peak, because=why)
    rise = difference(own.loss_last, own.loss_least)
    because = "" if rise is None else f"the loss ends {rise:.2f} nats above its lowest step"
    return judged(rise, (rise or 0.0) >= LOSS_RISE, because, "no log of the loss",
                  limit=f"a failure from {LOSS_RISE} nats on")  # fmt: skip


def victory(own: RunFacts, twin: RunFacts) -> Iterator[Check]:
    """Yield the checks that a repaired run must pass, from its facts and its twin's."""
    rise = difference(own.loss_last, own.loss_least)
    yield at_most("the loss ends at most .1 above its lowest step", rise, 0.1)
    yield near_twin(own, twin)
