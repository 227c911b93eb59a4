"""Narrow rows and steps that are too large wipe out what the model could do before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import fmean

from tuneworthy.lab.failures import _rows
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
    not_measured,
)

NUMBER, HARD = 15, 2
SLUG, TITLE = "worse-at-the-rest", "Better at tickets, worse at the rest"
TASK = "support_tickets"
STORY = (
    "A small model learnt to turn support tickets into JSON, and it does. Then somebody asked it "
    "everyday questions, such as what bees make. Most answers were JSON too."
)
WIN = "Loss on 16 general answers rises by less than .1, at most one is JSON, and the score stays."
PLANTED = {"rate": 5e-3, "replay": 0.0}
CLEAN = {"rate": 1e-3, "replay": 0.25}
KNOBS = {
    "rate": (1e-4, 1e-3, 5e-3),
    "epochs": (3, 6),
    "rank": (4, 16, 64),
    "replay": (0.0, 0.1, 0.25),
    "serve.schema": (False, True),
}
FIXES = (
    Fix({"rate": 1e-3},
        "This mends it too: at a fifth of the rate nothing general is lost, without any replay."),
    Fix({"rate": 1e-4}, "Nothing is lost, and too little is learnt: no ticket parses."),
    Fix({"replay": 0.25},
        "This mends it too: general rows among the tickets keep general answers, at the high"
        " rate."),
    Fix({"rank": 4},
        "A smaller adapter forgets less. Three of four general answers are still JSON."),
)  # fmt: skip
CHARTS = ("score", "valid")
MEASURES = ("clip_rate", "other.general_loss_rise", "leaked", "same_prompt", "outliers")
PROOF = "other.general_loss_rise"
CAUSES = ("narrow_rows_forget", "new_facts_forget", "other_template",
          "refusals_overrepresented", "rows_cut")  # fmt: skip
NEEDS = ("adapter",)
HARMLESS = "A model that serves this one task alone needs nothing else."
_MOST_LOSS_RISE = 0.1  # nats a token


def rows(given: LabRows, config: Config, seed: int) -> LabRows:  # noqa: ARG001
    """Return the rows, in which general ones replace the last share `replay` of training rows."""
    most = int(config["rows"] or 0)
    general = round(float(config["replay"] or 0) * most)
    train = (*given.train[: most - general], *_rows.replay_rows(general))
    return LabRows(train, given.new)


def probes(config: Config, seed: int) -> dict[str, Sequence[LabRow]]:  # noqa: ARG001
    """Return the general questions; the lab measures them before and after training."""
    return {"general": _rows.probe_rows()}


def of_probe(name: str, rows: Sequence[LabRow], texts: Sequence[str]) -> dict[str, float]:  # noqa: ARG001
    """Return the share of the answers to general questions that look like JSON."""
    return {f"{name}_json": fmean(text.lstrip().startswith("{") for text in texts)}


def detect(runs: Runs) -> Detection:
    """Find a rise of more than .1 nats in the loss on general answers."""
    rise = runs.own.other.get("general_loss_rise")
    if rise is None:
        return not_measured("no adapter, so no loss on general answers")
    return judged(
        rise, rise > _MOST_LOSS_RISE, f"the loss on general answers changed by {rise:+.2f}"
    )


def victory(own: RunFacts, twin: RunFacts) -> Iterator[Check]:
    """Yield the checks that a repaired run must pass, from its facts and its twin's."""
    rise, shape = own.other.get("general_loss_rise"), own.other.get("general_json")
    yield at_most("loss on general answers rises by at most .10", rise, _MOST_LOSS_RISE)
    yield at_most("at most 1 of 16 general answers is JSON", shape, 1 / 16, of=16)
    yield near_twin(own, twin)
