"""Long rows are cut at max_length, so that the ends of their answers are never trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import fmean

from tuneworthy.core.failure import (
    Check,
    Config,
    Detection,
    LabRows,
    LabSetup,
    RunFacts,
    Runs,
    judged,
    not_measured,
)
from tuneworthy.failures._conditions import at_least, at_most, near_twin

NUMBER, HARD = 13, 2
SLUG, TITLE = "long-ones-broken", "Short answers right, long ones broken"
TASK = "support_tickets"
STORY = (
    "A small model learnt to turn support tickets into JSON from 64 rows. Some answers are fine. "
    "The longer an answer has to be, the less often it is whole."
)
WIN = "Of the longest third of the answers 11 of 13 are whole; the score is near the clean twin's."
PLANTED = {"max_length": 80}
CLEAN = {"max_length": 512}
KNOBS = {
    "rate": (1e-4, 1e-3, 3e-3),
    "epochs": (3, 6),
    "pad_token": ("<|im_end|>", "<|endoftext|>"),
    "max_length": (80, 128, 512),
    "serve.schema": (False, True),
}
CHARTS = ("valid", "length")
MEASURES = ("clip_rate", "cut_rows", "shapes", "same_prompt", "other.long_answers_whole")
PROOF = "cut_rows"
CAUSES = ("end_not_trained", "rows_cut", "rank_too_low", "too_many_epochs", "mixed_formats")
NEEDS = ("data", "tokenizer")
HARMLESS = "Where only an irrelevant tail is cut, such as a signature, nothing is lost."
MOST_CUT_SHARE = 0.02  # share of rows that may be cut


def plant(setup: LabSetup) -> LabSetup:
    """Return the setup with rows cut at 80 tokens."""
    return setup.with_config(PLANTED)


def fix(setup: LabSetup) -> LabSetup:
    """Return the setup with a limit that no row reaches."""
    return setup.with_config(CLEAN)


def facts(rows: LabRows, texts: Sequence[str], config: Config) -> dict[str, float | None]:  # noqa: ARG001
    """Return the share of the longest third of the answers that end as the right answer ends."""
    pairs = sorted(zip(rows.new, texts, strict=True), key=lambda pair: -len(pair[0].output))
    longest = pairs[: len(pairs) // 3]
    whole = [text.rstrip()[-3:] == row.output.rstrip()[-3:] for row, text in longest]
    return {"long_answers_whole": fmean(whole) if whole else None}


def detect(runs: Runs) -> Detection:
    """Find more cut rows than a fiftieth."""
    share = runs.own.cut_rows
    if share is None:
        return not_measured("no data file or tokenizer")
    return judged(share, share > MOST_CUT_SHARE, f"{share:.0%} of the training rows are cut")


def victory(own: RunFacts, twin: RunFacts) -> Iterator[Check]:
    """Yield the conditions of a repaired run."""
    whole = own.other.get("long_answers_whole")
    yield at_least("at least .85 of the longest third of the answers are whole", whole, 0.85)
    yield at_most("at most .02 of the training rows are cut", own.cut_rows, MOST_CUT_SHARE)
    yield near_twin(own, twin)
