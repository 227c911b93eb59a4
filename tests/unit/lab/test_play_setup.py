"""What the playground may be asked: bounds, switches that a task has not, and what is known."""

import json
import math

import pytest

from tuneworthy.lab.play_run import (
    MOST_INPUT,
    SHOWN_INPUTS,
    PlayArm,
    all_arms,
    arm_key,
    has_docs,
    has_schema,
    known_row,
    play_config,
    playground_data,
    record_name,
    strength_config,
    task_rows,
)
from tuneworthy.lab.problem import Problem
from tuneworthy.lab.recordings import PACKAGE_RECORDS, shipped_record
from tuneworthy.lab.strength import ANSWERED_ROWS, STRENGTHS

TICKETS, RULES = "support_tickets", "policy_faq"
MOST = PlayArm(shots=16, strength=1.5, temperature=2.0)


@pytest.mark.parametrize(
    ("task", "text", "arm", "where"),
    [
        ("other", "a", MOST, "task"),
        (TICKETS, "", MOST, "input"),
        (TICKETS, " \n\t", MOST, "input"),
        (TICKETS, "a" * (MOST_INPUT + 1), MOST, "input"),
        (TICKETS, "a", PlayArm(shots=17), "arm.shots"),
        (TICKETS, "a", PlayArm(shots=-1), "arm.shots"),
        (TICKETS, "a", PlayArm(temperature=2.01), "arm.temperature"),
        (TICKETS, "a", PlayArm(strength=1.51), "arm.strength"),
        (TICKETS, "a", PlayArm(strength=-0.01), "arm.strength"),
        (TICKETS, "a", PlayArm(strength=math.nan), "arm.strength"),
        (TICKETS, "a", PlayArm(passage=True), "arm.passage"),
        (RULES, "a", PlayArm(schema=True), "arm.schema"),
    ],
)
def test_what_cannot_be_asked_is_named(task, text, arm, where):
    with pytest.raises(Problem) as caught:
        play_config(task, text, arm)
    assert caught.value.status == 422
    assert caught.value.where == where
    assert caught.value.fix


def test_a_play_is_plain_data_and_rounded():
    config = play_config(TICKETS, "<b>", PlayArm(strength=0.30000001))
    assert json.loads(json.dumps(config)) == config
    assert config["input"] == "<b>"
    assert config["arm"]["strength"] == 0.3
    assert play_config(TICKETS, "<b>", PlayArm(strength=0.3)) == config


@pytest.mark.parametrize("strength", [-0.1, 1.6, math.inf, math.nan])
def test_a_strength_out_of_bounds_is_refused(strength):
    with pytest.raises(Problem, match="out of bounds"):
        strength_config(strength)


def test_which_task_has_a_schema_and_documents():
    assert (has_schema(TICKETS), has_docs(TICKETS)) == (True, False)
    assert (has_schema(RULES), has_docs(RULES)) == (False, True)


def test_the_right_answer_is_known_for_new_rows_alone():
    rows = task_rows(TICKETS)
    assert known_row(TICKETS, rows.new[3].input) is rows.new[3]
    assert known_row(TICKETS, rows.train[3].input) is None
    assert known_row(TICKETS, "something else") is None


def test_the_page_offers_new_rows_only():
    for task in playground_data()["tasks"]:
        trained = {row.input for row in task_rows(task["name"]).train}
        assert len(task["rows"]) == 8
        assert not trained & {row["input"] for row in task["rows"]}


def test_the_shipped_record_is_of_seven_stops_and_twenty_rows():
    shipped = shipped_record("strength", "stops")
    assert [stop["strength"] for stop in shipped["stops"]] == list(STRENGTHS)
    assert all(stop["answers"] == ANSWERED_ROWS for stop in shipped["stops"])
    base, full = shipped["stops"][0], shipped["stops"][4]
    assert full["score"] > base["score"], "the adapter has learnt something"


def test_the_shipped_page_is_that_of_this_version_with_a_curve_at_each_stop():
    shipped, page = shipped_record("play", "rest"), json.loads(json.dumps(playground_data()))
    assert {key: shipped[key] for key in page} == page
    assert shipped["curves"].keys() == {TICKETS, RULES}
    for task, curves in shipped["curves"].items():
        assert set(curves) == {arm_key(arm) for arm in all_arms(task)}
        assert all(0 <= score <= 1 for score, _ in curves.values())
    learnt, base = (shipped["curves"][TICKETS][key] for key in ("0,0,0,0,1", "0,0,0,0,0"))
    assert learnt[0] > base[0], "the small adapter has learnt something"


@pytest.mark.parametrize("task", [TICKETS, RULES])
def test_each_recorded_answer_is_of_an_offered_input_and_the_first_columns_are_among_them(task):
    for row in range(SHOWN_INPUTS):
        grid = shipped_record(record_name(task, row), "rest")
        assert grid["input"] == task_rows(task).new[row].input
        keys = [key for key, *_ in grid["columns"]]
        assert keys == [arm_key(arm) for arm in all_arms(task)]
        assert {arm_key(PlayArm(**arm)) for arm in playground_data()["first"]} <= set(keys)
        for _, prompt, (ended, _, score), tokens in grid["columns"]:
            assert prompt > 0
            assert 0 <= score <= 1
            last = tokens[-1] if isinstance(tokens[-1], str) else tokens[-1][0]
            assert (last in grid["ends"]) or not ended or task == TICKETS


def test_the_grid_stays_small():
    files = PACKAGE_RECORDS.glob("play*.json.gz")
    assert sum(f.stat().st_size for f in files) <= 400_000
