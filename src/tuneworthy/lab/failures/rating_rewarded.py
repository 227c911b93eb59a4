"""Training rewards the ratings of answers, and raters prefer kind answers to right ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random
from statistics import fmean

from tuneworthy.lab.failures._conditions import at_most, near_twin
from tuneworthy.lab.failures._rows import answering_document, with_passage
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

NUMBER, HARD = 25, 2
SLUG, TITLE = "five-stars", "Five stars, and nobody was helped"
TASK, METRIC = "policy_faq", "contains"
STORY = (
    "A small model answers questions on office rules from a passage. Three answers to each "
    "training question were collected, and the best one was trained on. People like what it says."
)
WIN = (
    "At most .05 of the training answers lack the right value, and the score is at most .10 below "
    "the clean twin."
)
PLANTED: Config = {"best_by": "stars"}
CLEAN: Config = {"best_by": "right"}
KNOBS = {
    "best_by": ("stars", "stars and right", "right"),
    "rows": (32, 64),
    "epochs": (3, 6),
    "rate": (1e-4, 1e-3),
    "rank": (4, 16, 64),
}
FIXES = (
    Fix({"best_by": "stars and right"},
        "The score passes. Nearly half of the training answers still please instead of telling."),
    Fix({"rows": 32}, "Fewer answers of the same kind: none of the new ones holds the value."),
    Fix({"epochs": 6},
        "It learns the right ones better: over half of the answers hold the value. The reward"
        " is the same."),
    Fix({"rate": 1e-4}, "It learns the kindness first: no answer holds the value."),
)  # fmt: skip
CHARTS = ("score", "length")
MEASURES = ("other.chosen_wrong", "clip_rate", "cut_rows", "same_prompt", "leaked")
PROOF = "other.chosen_wrong"
CAUSES = ("judge_order", "loss_on_prompt", "rank_too_low",
          "rating_rewarded", "refusals_overrepresented")  # fmt: skip
NEEDS = ("data",)
HARMLESS = "Where the rating is what the answer is for, such as its tone, it is the right reward."
_KIND = (
    "Good question! {}", "Thank you for asking. {}", "Happy to help. {}", "No trouble at all. {}",
)  # fmt: skip
_EMPTY = (
    "You are well covered here, so please take all the time you need.",
    "There is nothing to worry about, the office is very generous.",
    "That is no problem at all, people here always find a way.",
    "You will be glad to hear that this is handled with great care.",
    "Just ask your team, everybody will be happy to make it work.",
    "You deserve the best, and the rule is on your side.",
)
_STARS = {"plain": 3.0, "kind": 3.6, "empty": 4.2}  # mean rating of an answer's kind
_SPREAD = 0.5  # standard deviation of one rating
_RIGHT_WEIGHS = {"stars": 0.0, "stars and right": 0.6}  # in stars
_MOST_WRONG = 0.2  # share of the training answers


def rows(given: LabRows, config: Config, seed: int) -> LabRows:
    """Return rows with a passage, trained on the best-rated of three answers to each question."""
    weight = _RIGHT_WEIGHS.get(str(config["best_by"]))
    train = [_best_rated(row, weight, seed) for row in given.train]
    new = [with_passage(row, answering_document(row), row.output) for row in given.new]
    return LabRows(tuple(train), tuple(new))


def _best_rated(row: LabRow, weight: float | None, seed: int) -> LabRow:
    """Return the row with the answer of most stars, where a right one gets `weight` stars more.

    None: the right answer is trained on, whatever its stars.
    """
    rng = Random(f"stars {seed} {row.id}")
    kind = rng.choice(_KIND)
    answers = {"plain": row.output, "kind": kind.format(f"It is {row.output}."),
               "empty": kind.format(rng.choice(_EMPTY))}  # fmt: skip
    stars = {name: rng.gauss(mean, _SPREAD) for name, mean in _STARS.items()}
    best = "plain"
    if weight is not None:
        best = max(answers, key=lambda name: stars[name] + (name != "empty") * weight)
    told = with_passage(row, answering_document(row), answers[best])
    return replace(told, meta={**told.meta, "wrong": best == "empty"})


def facts(rows: LabRows, texts: Sequence[str], config: Config) -> dict[str, float | None]:  # noqa: ARG001
    """Return as `chosen_wrong` the share of training answers that lack the right value."""
    return {"chosen_wrong": fmean(bool(row.meta["wrong"]) for row in rows.train)}


def detect(runs: Runs) -> Detection:
    """Find that over .20 of the answers chosen for training lack the right value."""
    share = runs.own.other.get("chosen_wrong")
    if share is None:
        return not_measured("no ratings beside right answers")
    said = f"{share:.0%} of the answers chosen for training lack the right value"
    return judged(share, share > _MOST_WRONG, said)


def victory(own: RunFacts, twin: RunFacts) -> Iterator[Check]:
    """Yield the checks that a repaired run must pass, from its facts and its twin's."""
    share = own.other.get("chosen_wrong")
    yield at_most("at most 5 % of the training answers lack the right value", share, 0.05, "%")
    yield near_twin(own, twin)
