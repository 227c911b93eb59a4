"""How rows depend on each other is told once; every figure of a caller goes through it."""

import pytest

from tuneworthy.matrix.design import Design, Fit
from tuneworthy.records.case import Case, Message
from tuneworthy.records.split import Part, Split
from tuneworthy.records.task import Data, Task
from tuneworthy.stats import bounds
from tuneworthy.stats.clusters import Folds, Groups

IDS = [f"c{at}" for at in range(60)]
FIVES = {i: f"g{at // 5}" for at, i in enumerate(IDS)}
SIGNS = {i: (1.0, 0.0, -1.0, 1.0)[at // 5 % 4] for at, i in enumerate(IDS)}
RIGHT = {i: at // 5 % 3 > 0 for at, i in enumerate(IDS)}


def case(name, text, group=None):
    return Case(id=name, messages=(Message(role="user", content=text),), output="x", group=group)


def test_a_mean_a_share_and_a_difference_know_the_groups():
    alone, grouped = Design(), Design(FIVES)
    for figure in (
        lambda d: d.mean(RIGHT),
        lambda d: d.difference(SIGNS),
        lambda d: d.share(RIGHT),
    ):
        plain, wide = figure(alone), figure(grouped)
        assert wide.low < plain.low
        assert wide.high > plain.high
    numbers = [at // 5 for at in range(60)]
    found = bounds.paired([*SIGNS.values()], 0.025, groups=Groups(numbers))
    assert grouped.difference(SIGNS) == tuple(found)
    assert (grouped.worth(IDS), alone.worth(IDS)) == (12, 60)


def test_the_design_of_a_study_is_that_of_its_rows():
    split = Split(k=1, parts=(), groups=FIVES, only_copies=True)
    task = Task(data=Data(file="rows.jsonl"))
    assert Design.of(task, split) == Design(FIVES, copies=True)
    assert Design.of(task, split, {}) == Design({}, copies=True)
    larger = Task(data=Data(file="rows.jsonl", largest_group=9))
    assert Design.of(larger, split) == Design(FIVES, 9.0)
    assert Design.of(larger, None) == Design({}, 9.0), "results of 0.1.0 have no split"


def test_rows_without_a_split_go_by_group_else_by_input():
    rows = [case("a", "One"), case("b", "one"), case("c", "two", "g"), case("d", "three", "g")]
    design = Design.of_cases(rows)
    assert design.numbers("abcd").tolist() == [0, 0, 1, 1]
    assert not design.copies
    copies = Design.of_cases(rows, named=False)
    assert (copies.numbers("abcd").tolist(), copies.copies) == ([0, 0, 1, 2], True)


def test_a_fit_widens_by_its_folds_and_its_retraining():
    parts = tuple(
        Part(train=tuple(i for i in IDS if i not in test), dev=(), test=tuple(test))
        for test in (IDS[:30], IDS[30:])
    )
    split, fold = Split(k=2, parts=parts), {i: at // 30 for at, i in enumerate(IDS)}
    fit = Fit(fold, split, 0.02)
    factor, folds = fit.width(IDS)
    assert factor == bounds.width_factor(2, 30, 30)
    found = bounds.paired([*SIGNS.values()], 0.025, factor=factor, folds=Folds(folds.of, 0.02))
    assert Design().difference(SIGNS, fit=fit) == tuple(found)
    assert Fit(fold, Split(k=1, parts=parts[:1])).width(IDS[:30]) == (1.0, None)
    narrower = Design().mean(RIGHT, fit=fit, scatter=False)
    assert narrower.low >= Design().mean(RIGHT, fit=fit).low


def test_who_takes_rows_as_independent_says_why():
    for told in (lambda d: d.rate(3, 9), lambda d: d.stream(0.05)):
        with pytest.raises(ValueError, match="depend on each other"):
            told(Design())
        assert told(Design.independent("each is drawn by itself")) is not None
    found = Design.independent("so").rate(3, 9)
    assert (found.low, found.high) == pytest.approx(bounds.rate(3, 9), abs=1e-6)
    assert (found.interval.mean, found.k, found.n) == (found.share, 3, 9)


def test_mcnemar_lifts_a_contrast_of_few_independent_rows_alone():
    six = {i: float(at < 6) for at, i in enumerate(IDS[:12])}
    assert Design().difference(six).low <= 0 < Design().contrast(six).low
    assert Design(FIVES).contrast(six).low <= 0
    two = {i: float(at < 2) for at, i in enumerate(IDS[:12])}
    assert Design().contrast(two) == Design().difference(two)
    named = {i: i for i in IDS}
    assert Design(named).contrast(six) == Design().contrast(six), "each row is alone in its group"


def test_the_exact_test_may_move_either_end_of_a_difference():
    six = {i: float(at < 6) for at, i in enumerate(IDS[:12])}
    lost = {i: -value for i, value in six.items()}
    assert Design().tested(six) == Design().contrast(six)
    assert Design().difference(lost).high >= 0 > Design().tested(lost).high
    up, down = Design().tested(six), Design().tested(lost)
    assert down[:3] == (-up.mean, -up.high, -up.low)


def test_a_ratio_without_bounds_is_none():
    near_none = {i: (1.0, -1.0)[at % 2] + (at == 0) * -0.5 for at, i in enumerate(IDS)}
    assert Design().ratio(SIGNS, near_none) is None
    ones = dict.fromkeys(IDS, 1.0)
    assert Design(FIVES).ratio(SIGNS, ones).mean == pytest.approx(0.25)
