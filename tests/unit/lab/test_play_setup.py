"""What the playground may be asked: bounds, switches that a task has not, and what is known."""

import json
import math

import pytest

from tuneworthy.lab.play_run import (
    MOST_INPUT,
    PlayArm,
    has_docs,
    has_schema,
    known_row,
    play_config,
    playground_data,
    strength_config,
    task_rows,
)
from tuneworthy.lab.problem import Problem
from tuneworthy.lab.recordings import shipped_record
from tuneworthy.lab.strength import ANSWERED_ROWS, STRENGTHS

TICKETS, RULES = "support_tickets", "policy_faq"
TWO = (PlayArm(), PlayArm(shots=16, strength=1.5, temperature=2.0))


@pytest.mark.parametrize(
    ("task", "text", "arms", "where"),
    [
        ("other", "a", TWO, "task"),
        (TICKETS, "", TWO, "input"),
        (TICKETS, " \n\t", TWO, "input"),
        (TICKETS, "a" * (MOST_INPUT + 1), TWO, "input"),
        (TICKETS, "a", (PlayArm(),), "arms"),
        (TICKETS, "a", (PlayArm(),) * 5, "arms"),
        (TICKETS, "a", (PlayArm(), PlayArm(shots=17)), "arms.1.shots"),
        (TICKETS, "a", (PlayArm(shots=-1), PlayArm()), "arms.0.shots"),
        (TICKETS, "a", (PlayArm(), PlayArm(temperature=2.01)), "arms.1.temperature"),
        (TICKETS, "a", (PlayArm(), PlayArm(strength=1.51)), "arms.1.strength"),
        (TICKETS, "a", (PlayArm(), PlayArm(strength=-0.01)), "arms.1.strength"),
        (TICKETS, "a", (PlayArm(), PlayArm(strength=math.nan)), "arms.1.strength"),
        (TICKETS, "a", (PlayArm(), PlayArm(passage=True)), "arms.1.passage"),
        (RULES, "a", (PlayArm(schema=True), PlayArm()), "arms.0.schema"),
    ],
)
def test_what_cannot_be_asked_is_named(task, text, arms, where):
    with pytest.raises(Problem) as caught:
        play_config(task, text, arms)
    assert caught.value.status == 422
    assert caught.value.where == where
    assert caught.value.fix


def test_a_play_is_plain_data_and_rounded():
    config = play_config(TICKETS, "<b>", (PlayArm(strength=0.30000001), PlayArm(schema=True)))
    assert json.loads(json.dumps(config)) == config
    assert config["input"] == "<b>"
    assert config["arms"][0]["strength"] == 0.3
    assert play_config(TICKETS, "<b>", (PlayArm(strength=0.3), PlayArm(schema=True))) == config


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


def test_the_shipped_play_is_the_one_that_the_page_shows_first():
    shipped, first = shipped_record("play", "recorded"), playground_data()
    begin, *events = shipped["recorded"]
    assert {key: shipped[key] for key in first} == first
    assert begin["input"] == first["tasks"][0]["rows"][0]["input"]
    asked = [{key: arm[key] for key in first["first"][0]} for arm in begin["arms"]]
    assert asked == first["first"]
    assert events[-1]["state"] == "done"
    assert {event["arm"] for event in events if event["kind"] == "answer"} == {0, 1, 2}
