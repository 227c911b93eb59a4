"""A judge sees each pair in one order, and its verdict follows the place, not the text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from tuneworthy.lab.failures._conditions import at_least, near_twin
from tuneworthy.lab.failures._judged_pairs import (
    leads_by_value_overlap,
    rows_for_judge,
    verdict_answer,
)
from tuneworthy.records.card import CardLook, CardTools, with_examples
from tuneworthy.records.failure import (
    Check,
    Config,
    Detection,
    Fix,
    LabRow,
    LabSetup,
    RunFacts,
    Runs,
    judged,
)

NUMBER, HARD = 23, 2
SLUG, TITLE = "two-verdicts", "Ask twice, and the verdict flips"
TASK, TRAINS, LOOKS = "support_tickets", False, 5
STORY = (
    "A small model judges which of two records fits a support ticket. Ask about the same pair once "
    "more, and it may say the opposite. This case asks for verdicts that hold, not for right ones: "
    "the clean twin is right about as often as a coin."
)
WIN = "38 of 40 verdicts hold when the records swap places, at most .10 below the twin's score."
PLANTED: Config = {"judge": "one order"}
CLEAN: Config = {"judge": "both orders", "shots": 0, "verdicts": "which fits better"}
KNOBS = {
    "judge": ("one order", "both orders", "values in the ticket"),
    "shots": (0, 2, 4),
    "verdicts": ("which fits better", "which is right"),
}
FIXES = (
    Fix({"shots": 2},
        "Examples move the preference to the other place: now it nearly always says B."),
    Fix({"shots": 4}, "With four examples it says B for every pair."),
    Fix({"verdicts": "which is right"},
        "A stricter question changes some verdicts. 34 of 40 still flip with the order."),
    Fix({"judge": "values in the ticket"},
        "This mends it too: a rule that looks the values up has hardly a favourite place."),
)  # fmt: skip
CHARTS = ("swap_agreement", "score")
MEASURES = ("swap_agreement", "says_a", "score", "first_score", "lead")
PROOF = "swap_agreement"
CAUSES = ("distractor_passage", "high_temperature", "judge_order",
          "rating_rewarded", "stale_passage")  # fmt: skip
NEEDS: tuple[str, ...] = ()
HARMLESS = (
    "A rule that scores each answer separately has no position bias; use one where you can. A"
    " verdict that holds need not be right: this model is right about as often as a coin."
)
rows = rows_for_judge
_STABLE_SHARE = 0.7  # share of verdicts that must hold when the records swap places


def answer(setup: LabSetup, tools: CardTools) -> Iterator[CardLook]:
    """Yield the verdicts by groups of rows, with whether each holds when the records swap."""
    judge, shots = setup.config["judge"], int(setup.config["shots"] or 0)
    for number, group in enumerate(tools.groups(), 1):
        swapped = [row.meta["swapped"] for row in group]
        lead = (
            leads_by_value_overlap
            if judge == "values in the ticket"
            else _logprob_leads(tools, shots)
        )
        leads = [lead(each) for each in (group, swapped)]
        if judge == "both orders":
            both = list(zip(*leads, strict=True))
            leads = [[one - two for one, two in both], [two - one for one, two in both]]
        yield CardLook(f"group {number}", tuple(map(verdict_answer, group, *leads)))


def detect(runs: Runs) -> Detection:
    """Find that less than .70 of the verdicts hold when the records swap places."""
    share = runs.own.other.get("swap_agreement")
    found = share is not None and share < _STABLE_SHARE
    return judged(share, found, f"{share or 0:.0%} of the verdicts hold in the other order",
                  "needs each pair judged in both orders")  # fmt: skip


def victory(own: RunFacts, twin: RunFacts) -> Iterator[Check]:
    """Yield the checks that a repaired run must pass, from its facts and its twin's."""
    share = own.other.get("swap_agreement")
    yield at_least("38 of 40 verdicts hold in the other order", share, 0.95, of=40)
    yield near_twin(own, twin, " (a coin has 0.50: being right is not asked)")


def _logprob_leads(tools: CardTools, shots: int) -> Callable[[Sequence[LabRow]], list[float]]:
    """Return a function that maps rows to the log-probability of verdict A minus that of B."""

    def lead(rows_: Sequence[LabRow]) -> list[float]:
        prompts = [with_examples(row, tools.rows.train[:shots]) for row in rows_]
        return [a - b for a, b in tools.logprobs(prompts, ("A", "B"))]

    return lead
