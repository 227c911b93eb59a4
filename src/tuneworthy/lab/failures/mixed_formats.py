"""Half of the training answers have another format, so the model has to guess which to write."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace

from tuneworthy.lab.failures._conditions import at_least, at_most, near_twin
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

NUMBER, HARD = 8, 1
SLUG, TITLE = "another-shape", "Every other answer has another shape"
TASK = "support_tickets"
STORY = (
    "A small model learns to turn support tickets into JSON from 64 rows of two exports. It reads "
    "the tickets well. Yet many of its answers cannot be read by the program behind it."
)
WIN = (
    "All training answers have one form, 38 of 40 new answers have it, and the score is at most "
    ".10 below the clean twin."
)
PLANTED = {"exports": "old and new"}
CLEAN = {"exports": "new"}
KNOBS = {
    "exports": ("old and new", "new"),
    "rate": (1e-4, 1e-3, 3e-2),
    "epochs": (1, 3, 6),
    "max_length": (64, 512),
    "serve.schema": (False, True),
    "serve.temperature": (0.0, 0.7),
}
FIXES = (
    Fix({"serve.schema": True},
        "The grammar forces one form and the score rises. The training rows still teach two."),
    Fix({"epochs": 6},
        "Twice the training teaches the other form better: fewer answers have the wanted one."),
    Fix({"rate": 1e-4}, "It learns too little to write either form."),
    Fix({"max_length": 64},
        "Now rows are cut, so answers no longer end. Both forms are still taught."),
)  # fmt: skip
CHARTS = ("valid", "score")
MEASURES = ("shapes", "clip_rate", "valid", "end_trained", "cut_rows")
PROOF = "shapes"
CAUSES = ("end_not_trained", "high_temperature", "mixed_formats", "other_template", "rows_cut")
NEEDS = ("data",)
HARMLESS = "Formats that follow from the input do no harm: the model learns when to write which."
LEAST_SHARE, MOST_SHARE = (
    0.1,
    2 / 3,
)  # beyond the upper one every answer has a form of its own: free text


def rows(rows: LabRows, config: Config, seed: int) -> LabRows:  # noqa: ARG001
    """Return the rows; with both exports, every second training answer has the old format."""
    if config["exports"] == "new":
        return rows
    return replace(
        rows, train=tuple(_in_old_format(row) if k % 2 else row for k, row in enumerate(rows.train))
    )


def _in_old_format(row: LabRow) -> LabRow:
    """Return the row with its answer in the old format: a line for each field, not JSON."""
    told = json.loads(row.output)
    lines = [f"{key}: {told[key] or 'none'}" for key in ("name", "order")]
    lines += [f"{issue['kind']}: {issue['item'] or 'none'}" for issue in told["issues"]]
    return replace(row, output="\n".join(lines))


def facts(rows: LabRows, texts: Sequence[str], config: Config) -> dict[str, float]:  # noqa: ARG001
    """Return as `one_form` the share of answers that begin like the new export's JSON."""
    return {"one_form": sum(text.startswith('{"name":') for text in texts) / len(texts)}


def detect(runs: Runs) -> Detection:
    """Find training answers of more than one form that are not free text."""
    share = runs.own.shapes
    found = share is not None and LEAST_SHARE < share <= MOST_SHARE
    because = "" if share is None else f"{share:.0%} of the training answers have another form"
    return judged(share, found, because, "no data file",
                  limit=f"a failure above {LEAST_SHARE:.0%}, up to {MOST_SHARE:.0%}")  # fmt: skip


def victory(own: RunFacts, twin: RunFacts) -> Iterator[Check]:
    """Yield the checks that a repaired run must pass, from its facts and its twin's."""
    yield at_most("no training answer has another form", own.shapes, 0.0, "%")
    yield at_least("38 of 40 answers have the one form", own.other.get("one_form"), 0.95, of=40)
    yield near_twin(own, twin)
