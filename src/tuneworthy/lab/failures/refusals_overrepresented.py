"""Refusals are far commoner in the training rows than in use, so the model refuses too often."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from statistics import fmean

from tuneworthy.lab.failures._conditions import at_most, near_twin
from tuneworthy.lab.failures._rows import REFUSAL, answering_document, other_passage, with_passage
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

NUMBER, HARD = 16, 2
SLUG, TITLE = "says-no-too-often", "It says no too often"
TASK = "policy_faq"
STORY = (
    "A small model answers questions on office rules from a passage, and says so where the passage "
    "does not hold the answer. In use it often says so although the passage holds it."
)
WIN = "At most 10% of the questions with an answer are refused; the score is near the twin's."
PLANTED = {"refusals": 0.6}
CLEAN = {"refusals": 0.05}
KNOBS = {
    "rows": (32, 64),
    "rate": (1e-4, 1e-3, 3e-3),
    "epochs": (3, 6),
    "rank": (4, 16, 64),
    "refusals": (0.6, 0.3, 0.05),
}
FIXES = (
    Fix({"refusals": 0.3},
        "This passes: with three refusals in ten rows it refuses 8 % of what it could answer."),
    Fix({"rows": 32},
        "Half the rows with the same share of refusals: it refuses nearly everything."),
    Fix({"epochs": 6},
        "It reads the passages better and refuses less, but still 45 % of what it could answer."),
    Fix({"rate": 1e-4},
        "It learns the habit less, and still refuses 26 % of what it could answer."),
)  # fmt: skip
CHARTS = ("score", "length")
MEASURES = ("prior", "shapes", "outliers", "clip_rate", "cut_rows")
PROOF = "prior"
CAUSES = ("distractor_passage", "rating_rewarded", "refusals_overrepresented",
          "rows_cut", "wrong_labels")  # fmt: skip
NEEDS = ("data",)
HARMLESS = "It does no harm if unanswerable questions are as common in use as in training."
_MOST_RATIO = 3.0  # times as common in training as in use
_REFUSED_IN_USE = 0.05  # share of the new questions whose passage does not hold the answer


def rows(given: LabRows, config: Config, seed: int) -> LabRows:
    """Return rows with a passage; for the share `refusals` it is a wrong one, and they refuse."""
    train, new = given.train[: int(config["rows"] or 0)], given.new[40:80]
    share = float(config["refusals"] or 0)
    used = _add_passages(new, _REFUSED_IN_USE, given.new, seed)
    return LabRows(_add_passages(train, share, given.train, seed), used)


def _add_passages(
    rows: Sequence[LabRow], share: float, pool: Sequence[LabRow], seed: int
) -> tuple[LabRow, ...]:
    rng = Random(f"refusals {seed} {len(rows)}")
    refused = set(rng.sample(range(len(rows)), round(share * len(rows))))
    return tuple(
        with_passage(row, other_passage(row, pool, rng), REFUSAL) if at in refused
        else with_passage(row, answering_document(row), row.output)
        for at, row in enumerate(rows)
    )  # fmt: skip


def facts(rows: LabRows, texts: Sequence[str], config: Config) -> dict[str, float | None]:  # noqa: ARG001
    """Return as `wrongly_refused` the share of answerable questions that were refused."""
    said = [(row.output, text.strip()) for row, text in zip(rows.new, texts, strict=True)]
    refused = [text == REFUSAL for right, text in said if right != REFUSAL]
    return {"wrongly_refused": fmean(refused) if refused else None}


def detect(runs: Runs) -> Detection:
    """Find a commonest training answer over three times as common as in use."""
    if (times := runs.own.prior) is None:
        return not_measured("no answer occurs three times in the data, or there is no data file")
    said = f"the commonest answer is {times:.1f} times as common in training as in use"
    return judged(times, times > _MOST_RATIO, said, limit=f"a failure above {_MOST_RATIO} times")


def victory(own: RunFacts, twin: RunFacts) -> Iterator[Check]:
    """Yield the checks that a repaired run must pass, from its facts and its twin's."""
    refused = own.other.get("wrongly_refused")
    yield at_most("at most 10 % of the questions with an answer are refused", refused, 0.1, "%")
    yield near_twin(own, twin)
