"""How often `check --live` raises a false alarm, and how often it finds a planted shift.

The whole conclusion, of study and log drawn anew each time: inputs, labels, validity, fresh labels.
"""

import json
import random
import sys
from pathlib import Path

import numpy as np
import pytest

from tuneworthy.handover import live_answers
from tuneworthy.handover.conclusion import ERROR_SHARES, conclude
from tuneworthy.handover.live_answers import StudyArm
from tuneworthy.handover.live_inputs import GroupedInputs, compare_inputs
from tuneworthy.matrix.columns import Column
from tuneworthy.metrics._writing import match_label
from tuneworthy.records.answer import Answer, Score
from tuneworthy.records.case import LoggedRequest
from tuneworthy.records.run import Spec
from tuneworthy.records.split import Split
from tuneworthy.records.task import Data, Task

sys.path.append(str(Path(__file__).parents[1] / "unit" / "handover"))
import check_scenes as scenes

TIERS = [pytest.param(100, marks=pytest.mark.full), pytest.param(1000, marks=pytest.mark.long)]
BANKING = Path(__file__).parents[3] / "shared" / "data" / "banking77"
LABELS = ("refund", "delivery", "warranty", "account")
USUAL = (0.4, 0.3, 0.2, 0.1)
RIGHT, VALID = 0.85, 0.97
STUDY, LOG = 150, 120
CHANGE = {"retrain", "repeat the verdict"}
TASK = Task(data=Data(file="rows.jsonl"))


def spoken(draw, label):
    """Return an input that hints at its label among words of no meaning."""
    own = [f"{label}{draw.randrange(12)}" for _ in range(2)]
    return " ".join([*own, *(f"word{draw.randrange(60)}" for _ in range(5))])


def rows(draw, n, shares=USUAL, right=RIGHT, valid=VALID, strange=0.0):
    """Return n rows (input, right answer, answer given); a share `strange` has words of its own."""
    made = []
    for _ in range(n):
        label = draw.choices(LABELS, shares)[0]
        text = spoken(draw, label)
        if draw.random() < strange:
            text = " ".join(f"strange{draw.randrange(60)}" for _ in range(7))
        said = label if draw.random() < right else draw.choice(LABELS)
        made.append((text, label, said if draw.random() < valid else "I can't say"))
    return made


def arm(study):
    """Return the arm that gave these answers, as a study measured it."""
    cells = {}
    for at, (_, label, said) in enumerate(study):
        score = Score(value=float(said == label), valid=match_label(said, LABELS) is not None)
        cells[f"c{at}"] = (Answer(case=f"c{at}", text=said), score)
    column = Column(Spec(name="lora", arm="lora", tool="tune"), cells, dict.fromkeys(cells, 0),
                    False, ())  # fmt: skip
    return StudyArm(column, Split(k=1, parts=()), TASK)


def checked(study, log, labelled=60):
    """Return the conclusion on a log beside a study, with the first requests labelled."""
    requests = [
        LoggedRequest(input=text, answer=said, output=label if at < labelled else None, line=at + 1)
        for at, (text, label, said) in enumerate(log)
    ]
    ours, lines = arm(study), [one.line for one in requests]
    found = compare_inputs(GroupedInputs([text for text, _, _ in study], [None] * len(study)),
                           GroupedInputs([text for text, _, _ in log], [None] * len(log), lines),
                           ERROR_SHARES["inputs"])  # fmt: skip

    def valid(answer):
        return match_label(answer.text, LABELS) is not None

    def metric(case, answer):
        return Score(value=float(answer.text == case.output))

    fresh = live_answers.with_gold(requests, {})
    return conclude(scenes.check(
        inputs=found.drift,
        unlike=found.unlike,
        valid=live_answers.validity_of(ours, requests, valid, ERROR_SHARES["valid"]),
        labels=live_answers.labels_of(ours, requests, LABELS, ERROR_SHARES["labels"]),
        score=live_answers.score_of(ours, fresh, metric, ERROR_SHARES["score"])
        if labelled else None,
        facts=None,
    ))  # fmt: skip


def share_of(wanted, runs, seed=0, labelled=60, **changes):
    """Return in which share of the runs the conclusion is one of `wanted`."""
    draw, hits = random.Random(seed), 0
    for _ in range(runs):
        hits += checked(rows(draw, STUDY), rows(draw, LOG, **changes), labelled).do in wanted
    return hits / runs


@pytest.mark.parametrize("runs", TIERS)
def test_false_alarms_are_at_most_5_percent(runs):
    assert share_of(CHANGE, runs) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)


@pytest.mark.parametrize("runs", TIERS)
@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"strange": 0.4}, {"retrain"}),
        ({"shares": (0.1, 0.1, 0.3, 0.5)}, {"retrain"}),
        ({"right": 0.3}, CHANGE),  # wrong answers shift the labels too
        ({"valid": 0.6}, {"repeat the verdict"}),
    ],
)
def test_a_planted_change_is_found(changes, wanted, runs):
    labelled = 60 if "right" in changes else 0
    assert share_of(wanted, runs // 5, 1, labelled, **changes) > 0.8


@pytest.mark.long
def test_a_drift_that_costs_nothing_is_kept_once_labels_show_it():
    """Without fresh labels the same drift asks for new rows."""
    assert share_of({"keep"}, 10, 2, labelled=0, strange=0.4) < 0.3
    draw, hits = random.Random(3), 0
    for _ in range(10):
        study, log = rows(draw, 600), rows(draw, 600, strange=0.4)
        hits += checked(study, log, labelled=600).do == "keep"
    assert hits >= 6


@pytest.mark.parametrize("runs", TIERS)
@pytest.mark.skipif(not BANKING.exists(), reason="the public sets are not here")
def test_resampled_real_rows_are_no_drift_and_other_intents_are(runs):
    lines = (BANKING / "train.jsonl").read_text("utf-8").splitlines()
    real = [(row["input"], row["output"]) for row in map(json.loads, lines)]
    intents = sorted({label for _, label in real})
    known = [text for text, label in real if label in intents[::2]]
    other = [text for text, label in real if label in intents[1::2]]
    draw, alarms, found = random.Random(4), 0, 0
    for at in range(runs):
        drawn = draw.sample(known, STUDY + LOG)
        study, log = drawn[:STUDY], drawn[STUDY:]
        alarms += shown(study, log)
        found += at < 20 and shown(study, draw.sample(other, LOG))
    level = ERROR_SHARES["inputs"]
    assert alarms / runs <= level + 3 * np.sqrt(level * (1 - level) / runs)
    assert found >= 16


def shown(study, log):
    one, other = (
        GroupedInputs(study, [None] * len(study)),
        GroupedInputs(log, [None] * len(log), range(len(log))),
    )
    return compare_inputs(one, other, ERROR_SHARES["inputs"]).drift.p <= ERROR_SHARES["inputs"]
