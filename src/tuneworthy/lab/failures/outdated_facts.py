"""The training rows state facts that have changed since."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from statistics import fmean

from tuneworthy.lab.failures._conditions import at_least, at_most
from tuneworthy.lab.failures._rows import edition_row
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

NUMBER, HARD = 17, 2
SLUG, TITLE = "right-last-spring", "Right last spring, wrong today"
TASK = "policy_faq"
STORY = (
    "A small model learnt the rules of the offices by heart, and passed its test in spring. It "
    "still answers at once and in the right form, and people have begun to complain."
)
WIN = "32 of 40 answers state today's value, and at most two state an older one."
PLANTED = {"rows_of": "2023"}
CLEAN: Config = {"rows_of": "2025", "passages": False, "rows": 60, "epochs": 8, "rate": 2e-3}
KNOBS = {
    "rate": (1e-4, 2e-3),
    "epochs": (3, 8),
    "rank": (4, 16, 64),
    "rows_of": ("2023", "2025"),
    "passages": (False, True),
}
FIXES = (
    Fix({"passages": True},
        "It reads the value in its passage now, whatever year the rows are of: the next change of"
        " a rule needs no training."),
    Fix({"epochs": 3}, "It knows the old values less well, and hardly any of today's."),
    Fix({"rate": 1e-4}, "It learns less by heart: fewer old values, and none of today's."),
    Fix({"rank": 64}, "More room to learn the same old values: every answer states one."),
)  # fmt: skip
CHARTS = ("score", "length")
MEASURES = ("outliers", "other.old_values", "new_loss_last", "clip_rate", "same_prompt")
PROOF = "other.old_values"
CAUSES = ("new_facts_forget", "outdated_facts", "stale_passage", "test_rows_leaked", "wrong_labels")
NEEDS = ("data",)
HARMLESS = "Facts that do not change can be learnt by heart."
ASKED_RULES, MOST_OUTDATED = 20, 0.25  # number of rules; share of answers that may be older ones
TRAINING_WORDINGS = ("{office}: {rule}, how many {unit}?", "How many {unit} is {rule} in {office}?",
                     "Tell me the {unit} of {rule} at the {office} office.")  # fmt: skip
_TEST_WORDINGS = (
    "What is the rule on {rule} for people who work in {office}, given in {unit}?",
    "I have moved to {office}. Please state {rule} there as a number of {unit}.",
)


def rows(given: LabRows, config: Config, seed: int) -> LabRows:
    """Return rows on changed rules: training values of year `rows_of`, test values of today."""
    changed = [row for row in given.train if len(row.meta["docs"]) == 2][:ASKED_RULES]
    then, read = int(config["rows_of"] == "2025"), bool(config["passages"])
    train = [edition_row(row, words, then, read) for row in changed for words in TRAINING_WORDINGS]
    new = [edition_row(row, words, 1, read) for row in changed for words in _TEST_WORDINGS]
    Random(f"outdated {seed}").shuffle(train)
    return LabRows(tuple(train), tuple(new))


def facts(rows: LabRows, texts: Sequence[str], config: Config) -> dict[str, float | None]:  # noqa: ARG001
    """Return the shares of answers that state an older value and the right one; None if unknown."""
    told = [(row, text.strip()) for row, text in zip(rows.new, texts, strict=True)
            if "older" in row.meta]  # fmt: skip
    return {"old_values": fmean(text in row.meta["older"] for row, text in told) if told else None,
            "right": fmean(text == row.output for row, text in told) if told else None}  # fmt: skip


def detect(runs: Runs) -> Detection:
    """Find that .25 or more of the answers state an older value."""
    share = runs.own.other.get("old_values")
    if share is None:
        return not_measured("no older values are known of the new rows")
    return judged(share, share >= MOST_OUTDATED, f"{share:.0%} of the answers state an older value")


def victory(own: RunFacts, twin: RunFacts) -> Iterator[Check]:  # noqa: ARG001
    """Yield the checks that a repaired run must pass, from its facts and its twin's."""
    right, old = own.other.get("right"), own.other.get("old_values")
    yield at_least("at least 80 % of the answers state today's value", right, 0.8, "%")
    yield at_most("at most 5 % of the answers state an older value", old, 0.05, "%")
