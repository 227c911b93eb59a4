"""Drift of inputs on texts: found where planted, absent where not, groups taken as one."""

import random

import pytest

from tuneworthy.handover import live_inputs
from tuneworthy.handover.live_inputs import LEAST_INPUTS, GroupedInputs, compare_inputs

USUAL = tuple(
    "order parcel refund money courier invoice shop delivery broken repair guarantee box".split()  # noqa: SIM905
)
OTHER = tuple(
    "password login screen account email token browser device reset code profile page".split()  # noqa: SIM905
)


def texts(n, seed, words=USUAL, own=""):
    draw = random.Random(seed)
    return [" ".join(draw.choices(words, k=6)) + own for _ in range(n)]


def inputs(found, groups=None):
    return GroupedInputs(found, groups or [None] * len(found), range(1, len(found) + 1))


def test_a_planted_shift_is_found_and_counted():
    study = inputs(texts(150, 0))
    log = inputs(texts(60, 1) + texts(60, 2, OTHER))
    found = compare_inputs(study, log, 0.02)
    assert found.drift.p < 0.001
    assert (found.drift.n_then, found.drift.n_now, found.drift.units_now) == (150, 120, 120)
    assert found.drift.moved.low <= 0.5 <= found.drift.moved.high + 0.05
    assert 50 <= found.unlike.share.k <= 70
    assert min(found.unlike.lines) > 60
    assert found.unlike.texts == ()


def test_rows_of_the_same_kind_are_no_drift():
    found = compare_inputs(inputs(texts(150, 0)), inputs(texts(120, 1)), 0.02)
    assert found.drift.p > 0.02
    assert found.unlike.share.low <= found.unlike.expected


def test_texts_are_returned_only_if_asked_for():
    log = inputs([*texts(40, 1), "tout autre chose"])
    found = compare_inputs(inputs(texts(150, 0)), log, 0.02, show=True)
    assert found.unlike.lines[0] == 41
    assert found.unlike.texts[0] == "tout autre chose"


def test_few_inputs_or_groups_are_not_tested():
    found = compare_inputs(inputs(texts(150, 0)), inputs(texts(LEAST_INPUTS - 1, 1)), 0.02)
    assert (found.drift, found.unlike) == (None, None)
    assert "19 inputs" in found.because
    few = [f"g{at % 5}" for at in range(100)]
    found = compare_inputs(inputs(texts(150, 0)), inputs(texts(100, 1), few), 0.02)
    assert found.drift is None
    assert "5 groups" in found.because
    assert found.unlike is not None


@pytest.mark.parametrize("grouped", [True, False])
def test_a_group_is_one_witness(grouped):
    """Thirty conversations of six near-copies each: told apart by row, not by conversation."""

    def talk(seed, count):
        made, names = [], []
        for at, start in enumerate(texts(count, seed)):
            made += [f"{start} {word}" for word in USUAL[:6]]
            names += [f"{seed}-{at}"] * 6
        return inputs(made, names if grouped else None)

    alarms = 0
    for seed in range(0, 12, 2):
        found = compare_inputs(talk(seed, 30), talk(seed + 1, 30), 0.02)
        alarms += found.drift.p <= 0.02
    assert (alarms <= 1) if grouped else (alarms >= 4)


@pytest.mark.parametrize("grouped", [True, False])
def test_a_repeated_input_is_one_witness(grouped):
    log = [*texts(60, 1), *[texts(1, 2)[0]] * 60]
    groups = [f"input {text}" for text in log] if grouped else None
    found = compare_inputs(inputs(texts(150, 0)), inputs(log, groups), 0.02)
    assert (found.drift.p > 0.02) is grouped


def test_of_many_inputs_a_sample_is_compared(monkeypatch):
    monkeypatch.setattr(live_inputs, "MOST_INPUTS", 50)
    found = compare_inputs(inputs(texts(150, 0)), inputs(texts(120, 1, OTHER)), 0.02)
    assert (found.drift.n_then, found.drift.n_now) == (50, 50)
    assert found.drift.p < 0.001


def test_texts_without_words_are_compared_by_nothing():
    blank = GroupedInputs(["" for _ in range(30)], [None] * 30, range(30))
    found = compare_inputs(blank, blank, 0.02)
    assert (found.drift.auc, found.drift.p) == (0.5, 1.0)
