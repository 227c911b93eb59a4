"""The end-of-turn token never carries loss, because the padding token is the same token."""

from __future__ import annotations

from collections.abc import Iterator

from tuneworthy.records.failure import (
    Check,
    Detection,
    Fix,
    RunFacts,
    Runs,
    judged,
    not_measured,
)

NUMBER, HARD = 12, 1
SLUG, TITLE = "never-stops", "It never stops talking"
TASK = "support_tickets"
STORY = (
    "A small model learnt to turn support tickets into JSON from 64 rows. Its training loss is "
    "as low as the clean twin's. Yet most answers do not end: they are cut at 64 tokens."
)
WIN = (
    "38 of 40 new answers end by themselves, an answer's end has a probability of .90, and the "
    "score is at most .10 below the clean twin."
)
PLANTED = {"pad_token": "<|im_end|>"}
CLEAN = {"pad_token": "<|endoftext|>", "rate": 2e-3}
KNOBS = {
    "rate": (1e-4, 2e-3, 3e-2),
    "pad_token": ("<|im_end|>", "<|endoftext|>"),
    "max_length": (64, 512),
    "serve.schema": (False, True),
}
FIXES = (
    Fix({"serve.schema": True}, "The grammar ends it now. The model still does not know how."),
    Fix({"max_length": 64},
        "Rows are cut now, so the JSON never closes. The end is still not trained."),
    Fix({"rate": 1e-4},
        "It ends more often because it learnt little: the base's own habit is left. Nothing"
        " parses."),
    Fix({"rate": 3e-2}, "Steps of that size wreck the model: no answer ends and none parses."),
)  # fmt: skip
CHARTS = ("length", "p_end")
MEASURES = ("p_end", "ended", "cut_rows", "same_prompt", "copied")
PROOF = "p_end"
CAUSES = ("end_not_trained", "high_temperature", "other_template", "packed_rows", "rows_cut")
NEEDS = ("data", "tokenizer")
HARMLESS = "A grammar or a stop string ends the answer for you."


def detect(runs: Runs) -> Detection:
    """Find training rows without a trained end; the model's P(end) must be low where measured."""
    share, p = runs.own.end_trained, runs.own.p_end
    if share is None:
        return not_measured("no data file or tokenizer")
    found = share == 0 and (p is None or p < 0.5)
    return judged(share, found, f"the end of turn is trained in {share:.0%} of the rows",
                  limit="a failure at 0%")  # fmt: skip


def victory(own: RunFacts, twin: RunFacts) -> Iterator[Check]:
    """Yield the checks that a repaired run must pass, from its facts and its twin's."""
    ended, p, score = own.ended or 0, own.p_end or 0.0, own.score or 0.0
    least = (twin.score or 0.0) - 0.10
    yield Check(what="38 of 40 new answers end by themselves", passed=ended >= 38,
                value=f"{ended} of {own.answers}")  # fmt: skip
    yield Check(what="P(end) at least .90, without a grammar's help", passed=p >= 0.9,
                value=f"{p:.2f}")  # fmt: skip
    yield Check(what=f"score at least {least:.2f}", passed=score >= least, value=f"{score:.2f}")
