"""Rows are cut at max_length, so that the ends of their answers are never trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import fmean

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

NUMBER, HARD = 13, 2
SLUG, TITLE = "long-ones-broken", "A good start, a guessed end"
TASK = "support_tickets"
STORY = (
    "A small model learnt to turn support tickets into JSON from 64 rows. After training its "
    "answers parse and end. What comes after names and order numbers is often wrong."
)
WIN = (
    "The score is at most .10 below the clean twin's, and the cause is gone from the training rows."
)
PLANTED = {"max_length": 72}
CLEAN = {"max_length": 512}
KNOBS = {
    "rate": (1e-4, 1e-3, 3e-3),
    "epochs": (3, 6),
    "pad_token": ("<|im_end|>", "<|endoftext|>"),
    "max_length": (72, 80, 512),
    "serve.schema": (False, True),
}
FIXES = (
    Fix({"max_length": 80},
        "Fewer rows are cut and the score recovers. Four in five still lose their end."),
    Fix({"epochs": 6},
        "It learns the cut rows better, and the score passes. Nearly all rows are still cut."),
    Fix({"serve.schema": True},
        "Every answer parses now. What stands behind the cut was never learnt."),
    Fix({"rate": 3e-3}, "Larger steps on the same cut rows: fewer answers parse."),
)  # fmt: skip
CHARTS = ("score", "valid")
MEASURES = ("cut_rows", "new_loss_last", "clip_rate", "outliers", "other.long_answers_whole")
PROOF = "cut_rows"
CAUSES = ("high_temperature", "model_too_small", "rank_too_low", "rows_cut", "teacher_errors")
NEEDS = ("data", "tokenizer")
HARMLESS = "Where only an irrelevant tail is cut, such as a signature, nothing is lost."
_MOST_CUT_SHARE = 0.02  # share of rows that may be cut


def facts(rows: LabRows, texts: Sequence[str], config: Config) -> dict[str, float | None]:  # noqa: ARG001
    """Return the share of the longest third of right answers whose end the model reproduces."""
    pairs = sorted(zip(rows.new, texts, strict=True), key=lambda pair: -len(pair[0].output))
    longest = pairs[: len(pairs) // 3]
    whole = [text.rstrip()[-3:] == row.output.rstrip()[-3:] for row, text in longest]
    return {"long_answers_whole": fmean(whole) if whole else None}


def detect(runs: Runs) -> Detection:
    """Find that more than .02 of the training rows are cut."""
    share = runs.own.cut_rows
    if share is None:
        return not_measured("no data file or tokenizer")
    return judged(share, share > _MOST_CUT_SHARE, f"{share:.0%} of the training rows are cut",
                  limit=f"a failure above {_MOST_CUT_SHARE:.0%}")  # fmt: skip


def victory(own: RunFacts, twin: RunFacts) -> Iterator[Check]:
    """Yield the checks that a repaired run must pass, from its facts and its twin's."""
    yield at_most("at most 2 % of the training rows are cut", own.cut_rows, _MOST_CUT_SHARE, "%")
    yield near_twin(own, twin)
