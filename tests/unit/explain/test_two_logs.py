"""Two systems by recorded answers: the interval, the sizes of slices, and what more rows show."""

import numpy as np
import pytest

from tuneworthy.explain.two_logs import LogComparison, compare_answers
from tuneworthy.records.answer import Answer, Score, Unscored
from tuneworthy.records.case import Case, Message
from tuneworthy.records.task import Data, Output, Task
from tuneworthy.report.comparisons import two_logs_screen, wide_line
from tuneworthy.stats import bounds

TASK = Task(data=Data(file="rows.jsonl"), output=Output(type="label"))
NAMES = ("old", "new")


def cases(n, **fields):
    return [
        Case(id=f"r{i}", messages=(Message(role="user", content="word " * (i + 1)),), output="yes",
             **{key: value(i) for key, value in fields.items()})
        for i in range(n)
    ]  # fmt: skip


def side(rows, values):
    answers = [Answer(case=case.id, text=str(v)) for case, v in zip(rows, values, strict=True)]
    return answers, [Score(value=v) for v in values]


def compared(rows, old, new, groups=None):
    return compare_answers(TASK, NAMES, rows, side(rows, old), side(rows, new), groups or {})


def screen_of(found):
    return str(two_logs_screen(LogComparison(found, "accuracy", "label", False, {}, ())))


def test_the_interval_is_the_paired_one_at_two_sided_95_percent():
    rows, old, new = cases(100), [0] * 30 + [1] * 70, [1] * 20 + [0] * 20 + [1] * 60
    found = compared(rows, old, new)
    bound = bounds.paired(np.array(new) - np.array(old), 0.025)
    assert (found.pair.mean, found.pair.wins, found.pair.losses) == (0.1, 20, 10)
    assert found.pair.low == pytest.approx(bound.low, abs=1e-6)
    assert found.pair.high == pytest.approx(bound.high, abs=1e-6)
    assert found.rows_scored_equal == 70
    assert found.score_intervals[0].mean == 0.7


def test_rows_of_one_group_widen_the_interval():
    rows, old, new = cases(100), [0] * 50 + [1] * 50, [1] * 50 + [1] * 40 + [0] * 10
    alone = compared(rows, old, new)
    together = compared(rows, old, new, {f"r{i}": f"r{i // 10 * 10}" for i in range(100)})
    assert together.pair.high - together.pair.low > alone.pair.high - alone.pair.low


def test_near_copies_widen_the_interval_less_than_groups_that_rows_name():
    same = {f"r{i}": f"r{i // 3 * 3}" for i in range(9)}
    old, new = [0] * 50 + [1] * 50, [1] * 50 + [1] * 40 + [0] * 10
    named = [row.model_copy(update={"group": same.get(row.id)}) for row in cases(100)]
    copies, groups = (compared(rows, old, new, same).pair for rows in (cases(100), named))
    assert copies.high - copies.low < 0.9 * (groups.high - groups.low)


def test_a_wide_interval_says_its_groups_and_what_independent_rows_would_leave():
    rows, old, new = cases(100), [0] * 50 + [1] * 50, [1] * 50 + [1] * 40 + [0] * 10
    assert compared(rows, old, new).grouped is None
    found = compared(rows, old, new, {f"r{i}": f"r{i // 10 * 10}" for i in range(100)})
    alone = bounds.paired(np.array(new) - np.array(old), 0.025)
    ratio = (found.pair.high - found.pair.low) / (alone.high - alone.low)
    assert (found.grouped.groups, found.grouped.worth) == (
        10,
        pytest.approx(100 / ratio**2, rel=1e-5),
    )
    assert f"as {100 / ratio**2:,.0f} independent rows would leave it" in " ".join(
        wide_line(found).split()
    )
    assert (found.grouped.low, found.grouped.high) == (round(alone.low, 6), round(alone.high, 6))
    half = f"{50 * (alone.high - alone.low):.1f}".removesuffix(".0")
    assert "100 rows come in 10 groups" in wide_line(found)
    assert f"±{half}." in wide_line(found)
    assert wide_line(found).endswith("if equal inputs are: off.")
    named = [row.model_copy(update={"group": f"g{at // 10}"}) for at, row in enumerate(rows)]
    own = compared(named, old, new, {f"r{i}": f"r{i // 10 * 10}" for i in range(100)})
    assert wide_line(own).endswith(f"±{half}.")


def test_the_screen_lists_slices_only_where_a_difference_is_shown():
    rows = cases(200, meta=lambda i: {"half": "first" if i < 100 else "second"})
    old, new = [0] * 100 + [1] * 100, [1] * 200
    screen = screen_of(compared(rows, old, new))
    assert "Where they differ" in screen
    assert "half first" in screen
    assert "half second" not in screen
    even = screen_of(compared(rows, [0, 1] * 100, [1, 0] * 100))
    assert "On no slice is a difference shown" in even
    assert "half first" not in even


def test_what_is_shown_asks_for_no_more_rows_and_what_is_near_asks_for_few():
    rows = cases(200)
    sure = compared(rows, [0] * 60 + [1] * 140, [1] * 200)
    assert sure.is_shown
    assert sure.more is None
    near = compared(rows, [0] * 22 + [1] * 178, [1] * 22 + [0] * 12 + [1] * 166)
    assert not near.is_shown
    assert near.more is not None
    assert 0 < near.more.more(200) < 800
    assert near.more.chance >= 0.8


def test_equal_systems_are_shown_to_differ_by_no_number_of_rows():
    even = compared(cases(50), [0, 1] * 25, [0, 1] * 25)
    assert even.pair.mean == 0
    assert not even.is_shown


def test_an_answer_without_a_score_counts_zero():
    rows = cases(20)
    lost = [Unscored(reason="no answer came back") for _ in rows]
    answers = [Answer(case=case.id, text="") for case in rows]
    found = compare_answers(TASK, NAMES, rows, (answers, lost), side(rows, [1] * 20), {})
    assert found.pair.mean == 1


def test_bounds_of_slices_pay_for_all_slices_together():
    rows = cases(120, meta=lambda i: {"team": "red" if i % 2 else "blue", "note": f"own {i}"})
    old, new = [0, 1] * 60, [1, 1] * 60
    found = compared(rows, old, new)
    by_name = {(part.kind, part.name): part for part in found.slices}
    assert {name for kind, name in by_name if kind == "team"} == {"red", "blue"}
    assert not [kind for kind, _ in by_name if kind == "note"]  # a value of its own in every row
    assert found.looked_at == len(found.slices) > 4
    assert found.slices[0].delta.low > 0  # shown first
    blue = by_name["team", "blue"]
    assert blue.n == 60
    paid = bounds.paired(np.ones(60), 0.025 / found.looked_at)
    assert blue.delta.low == pytest.approx(paid.low, abs=1e-6)


def test_small_slices_are_not_looked_at():
    assert compared(cases(30), [0] * 30, [1] * 30).looked_at == 1  # the rest beside rare words
