"""Scores of advice by hand: right, wrong, open; Brier; points lost; needless training."""

import pytest
from bench.atlas.advice_input import TOOL_CHOICES, as_distribution, likeliest_tool
from bench.atlas.adviser_list import Adviser
from bench.atlas.scoring import brier, judge_answer, outcome, score_advisers
from tests.advice_kit import arm, prompt_task, task

from tuneworthy.records.interval import Interval
from tuneworthy.report.atlas import adviser_notes
from tuneworthy.stats.bounds import rate


def adviser(name, told, **more):
    return Adviser(name, name, "", "", lambda task: told, **more)


@pytest.mark.parametrize(
    ("behind", "expected"),
    [
        ((0.02, -0.01, 0.05), "right"),  # the upper bound reaches the margin and not more
        ((0.02, -0.01, 0.051), "open"),
        ((0.2, 0.05, 0.3), "open"),  # the lower bound is the margin itself
        ((0.2, 0.051, 0.3), "wrong"),
    ],
)
def test_a_tool_is_judged_by_the_bounds_of_its_best_arm(behind, expected):
    arms = [
        arm("zero_shot", "prompt", 0.3, (0.6, 0.5, 0.7)),
        arm("few_shot", "prompt", 0.7, behind),
        arm("lora", "tune", 0.9),
    ]
    assert outcome("prompt", task(arms=arms)) == expected
    assert outcome("tune", task(arms=arms)) == "right"


def test_an_arm_without_a_bound_is_right_only_if_it_leads():
    arms = [arm("few_shot", "prompt", 0.7), arm("lora", "tune", 0.9)]
    one = task(arms=arms)
    assert (outcome("tune", one), outcome("prompt", one)) == ("right", "open")
    assert judge_answer({"prompt": 1.0}, one).lost is None


def test_what_was_not_measured_is_neither_right_nor_wrong():
    one = task()
    assert outcome("context", one) == "unmeasured"
    skipped = task(arms=[arm("rag", "context", None, because="no documents"), *one.arms])
    assert outcome("context", skipped) == "unmeasured"
    assert outcome(None, one) == "silent"


@pytest.mark.parametrize(
    ("name", "status", "expected"),
    [
        ("none", "firm", "right"),
        ("tune", "firm", "wrong"),
        ("tune", "provisional", "open"),
        ("none", "provisional", "open"),
    ],
)
def test_a_task_that_no_tool_wins(name, status, expected):
    assert outcome(name, task(use="none", arm=None, status=status)) == expected


def test_naming_none_where_a_tool_wins():
    assert outcome("none", task()) == "wrong"
    assert outcome("none", task(status="provisional")) == "open"


@pytest.mark.parametrize("status", ["firm", "provisional"])
def test_a_tool_that_was_not_measured_is_not_wrong_where_no_tool_wins(status):
    """Nothing was trained on school sums: advice to distil there is neither wrong nor open."""
    none = task(use="none", arm=None, status=status)
    assert outcome("distil", none) == "unmeasured"
    assert score_advisers([adviser("x", {"distil": 1.0})], [none]).advisers[0].n == 0


def test_brier_by_hand_on_the_measured_tools():
    one = task()  # classifier, prompt and tune were measured, and none counts: four names
    assert brier({"tune": 1.0}, one) == 0
    assert brier({"prompt": 1.0}, one) == 2
    assert brier({"tune": 0.5, "prompt": 0.5}, one) == pytest.approx(0.5)
    assert brier(None, one) == pytest.approx(0.75**2 + 3 / 16)
    # what lies on a tool that was not measured is taken out, not counted as wrong
    assert brier({"tune": 0.5, "bigger": 0.5}, one) == 0
    assert brier({"bigger": 1.0}, one) == brier(None, one)
    assert brier({"tune": 1.0}, task(status="provisional")) is None
    assert brier({"tune": 1.0}, task(use="other", arm="x")) is None


@pytest.mark.parametrize(
    "answer",
    [
        None, {}, {"tune": 0.4}, {"tune": 1.4, "prompt": -0.4}, {"magic": 1.0}, "tune",
        {"tune": float("nan")}, {"tune": True}, {"tune": "1"},
    ],
)  # fmt: skip
def test_what_is_no_distribution_counts_as_uniform_and_is_counted(answer):
    assert as_distribution(answer) is None
    found = judge_answer(answer, task())
    assert found.uniform
    assert found.outcome == "silent"
    assert found.brier == brier(None, task())
    table = score_advisers([adviser("x", answer)], [task()])
    assert table.advisers[0].uniform == 1
    assert table.advisers[0].brier.mean == pytest.approx(table.uniform_brier)


def test_a_distribution_is_scaled_and_named_by_its_highest():
    told = as_distribution({"tune": 0.505, "prompt": 0.505})
    assert sum(told.values()) == pytest.approx(1)
    assert list(told) == list(TOOL_CHOICES)
    assert likeliest_tool(told) is None
    assert likeliest_tool(as_distribution({"tune": 0.6, "prompt": 0.4})) == "tune"


def test_points_lost_and_needless_training():
    lost = judge_answer({"prompt": 1.0}, task())
    assert (lost.lost, lost.needless) == (0.2, False)
    needless = judge_answer({"tune": 1.0}, prompt_task())
    assert needless.outcome == "right"  # the best score, and yet more than was needed
    assert not needless.winner
    assert (needless.needless, needless.seconds, needless.usd) == (True, 60.0, 2.5)
    assert judge_answer({"tune": 1.0}, task()).needless is False
    old = prompt_task().model_copy(update={"arms": (arm("lora", "tune", 0.9),)})
    assert (
        judge_answer({"tune": 1.0}, old).seconds == 10.0
    )  # all seconds where training has none apart
    assert judge_answer({"distil": 1.0}, prompt_task()).needless is False  # nothing was run
    open_ = judge_answer({"tune": 1.0}, prompt_task(status="provisional"))
    assert (open_.outcome, open_.needless, open_.seconds) == ("right", False, None)


def test_sums_of_needless_training_say_of_how_many_they_are():
    untimed = prompt_task("q").model_copy(update={"arms": tuple(
        each.model_copy(update={"seconds": None, "fit_seconds": None, "build_usd": None})
        for each in prompt_task().arms
    )})  # fmt: skip
    told = adviser("x", {"tune": 1.0})
    score = score_advisers([told], [prompt_task(), untimed]).advisers[0]
    assert (score.needless, score.timed, score.priced) == (2, 1, 1)
    assert "2 trainings not needed (60 s of the 1 timed, $2.50 of the 1 priced)" in (
        adviser_notes(score)
    )
    whole = adviser_notes(score_advisers([told], [prompt_task()]).advisers[0])
    assert "1 training not needed (60 s, $2.50)" in whole


def test_the_table_counts_and_its_intervals_are_those_of_stats():
    tasks = [task(str(i)) for i in range(6)] + [prompt_task(f"p{i}") for i in range(4)]
    blocked = task("b", status="blocked")
    told = {"prompt": 1.0}
    table = score_advisers(
        [adviser("x", told), adviser("y", told, skipped="not installed")], [*tasks, blocked]
    )
    assert (table.tasks, table.firm, table.left_out, table.groups) == (10, 10, 1, 10)
    one, two = table.advisers
    assert (one.right, one.wrong, one.open, one.n) == (4, 6, 0, 10)
    assert one.winners == 4
    assert (one.shown_right.low, one.shown_right.high) == pytest.approx(rate(4, 10), abs=1e-6)
    assert one.brier.mean == pytest.approx(6 * 2 / 10)
    assert one.lost.mean == pytest.approx((6 * 0.2 + 4 * 0.02) / 10)
    assert 0 <= one.lost.low < one.lost.mean < one.lost.high
    assert (one.needless, one.seconds, one.usd) == (0, None, None)
    assert (two.skipped, two.n, two.shown_right) == ("not installed", 0, None)


def test_sizes_of_one_set_of_rows_count_as_one_group():
    alone = [task(str(i)) if i % 2 else prompt_task(str(i)) for i in range(12)]
    cut = [each.model_copy(update={"kind": str(i // 4)}) for i, each in enumerate(alone)]
    told = adviser("x", {"prompt": 1.0})
    one, other = (score_advisers([told], tasks).advisers[0] for tasks in (alone, cut))
    assert one.shown_right.mean == other.shown_right.mean
    assert other.shown_right.high - other.shown_right.low > (
        one.shown_right.high - one.shown_right.low
    )


def test_tasks_on_the_same_rows_count_as_one_group_whatever_they_are_called():
    """A study of a cell's rows joined the atlas under its own kind and counted once more."""
    cell = task("cell", source="clause_type", rows_hash="same")
    own = task("mine", kind="my clauses", rows_hash="same")
    table = score_advisers([adviser("x", {"tune": 1.0})], [cell, own, task("other")])
    assert table.groups == 2


def test_no_task_gives_no_number():
    table = score_advisers([adviser("x", {"prompt": 1.0})], [])
    assert table.uniform_brier is None
    assert table.advisers[0].shown_right is None
    assert isinstance(table.advisers[0].brier, Interval | None)


def test_an_arm_ahead_of_the_best_in_bounds_of_its_own_is_averaged_too():
    ahead = task(
        arms=[arm("few_shot", "prompt", 0.8, (-0.01, -0.05, 0.03)), arm("lora", "tune", 0.8)]
    )
    score = score_advisers([adviser("x", {"prompt": 1.0})], [ahead]).advisers[0]
    assert score.lost.mean == -0.01
    assert score.lost.low <= -0.01 <= score.lost.high
