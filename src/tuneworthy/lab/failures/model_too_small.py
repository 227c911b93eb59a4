"""The base model is not up to it: before any training it finds plain sentences unlikely."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tuneworthy.lab.failures import _rows
from tuneworthy.lab.failures._conditions import at_most, near_twin
from tuneworthy.records.failure import (
    Check,
    Config,
    Detection,
    Fix,
    LabRow,
    RunFacts,
    Runs,
    judged,
    not_measured,
)

NUMBER, HARD = 26, 2
SLUG, TITLE = "never-gets-there", "Right rows, right rate, and it never gets there"
TASK = "support_tickets"
STORY = (
    "A small model learns to turn support tickets into JSON from 64 rows. The rows are clean and "
    "the settings are those of a run that worked. The loss falls, and the answers stay wrong."
)
WIN = (
    "Before training the base's loss on general answers is at most 4, and the score is at most "
    ".10 below the clean twin."
)
PLANTED: Config = {"layers": 10}
CLEAN: Config = {"layers": 30}
KNOBS = {
    "layers": (10, 15, 30),
    "rows": (64, 240),
    "epochs": (3, 6),
    "rate": (1e-4, 1e-3, 3e-3),
    "rank": (4, 16, 64),
    "serve.schema": (False, True),
}
FIXES = (
    Fix({"layers": 15}, "Half of the layers write no plain sentence either."),
    Fix({"epochs": 6}, "The form comes with more reading. What it says is still mostly wrong."),
    Fix({"rank": 64},
        "A larger adapter learns some of the form. It can't replace the layers that are"
        " missing."),
    Fix({"rate": 3e-3}, "Larger steps lower the loss. The answers stay wrong."),
    Fix({"serve.schema": True}, "Every answer parses. Hardly one says what the ticket says."),
)  # fmt: skip
CHARTS = ("score", "valid")
MEASURES = ("other.general_loss_before", "clip_rate", "cut_rows", "same_prompt", "outliers")
PROOF = "other.general_loss_before"
CAUSES = ("model_too_small", "packed_rows", "rank_too_low", "rate_too_low", "wrong_labels")
NEEDS = ("adapter",)
HARMLESS = "A label or a fixed form can be learnt by a base that writes no sentence."
_MOST_LOSS = 4.0  # nats a token on plain sentences; a base that writes them is near 2


def probes(config: Config, seed: int) -> dict[str, Sequence[LabRow]]:  # noqa: ARG001
    """Return the general questions; the lab measures them before and after training."""
    return {"general": _rows.probe_rows()}


def detect(runs: Runs) -> Detection:
    """Find a base whose loss on general answers, before training, is above 4 nats a token."""
    loss = runs.own.other.get("general_loss_before")
    if loss is None:
        return not_measured("no base model, so no loss on general answers")
    said = f"before training, general answers have a loss of {loss:.1f} nats a token"
    return judged(loss, loss > _MOST_LOSS, said)


def victory(own: RunFacts, twin: RunFacts) -> Iterator[Check]:
    """Yield the checks that a repaired run must pass, from its facts and its twin's."""
    loss = own.other.get("general_loss_before")
    yield at_most("the base's loss on general answers is at most 4", loss, _MOST_LOSS)
    yield near_twin(own, twin)
