"""Which pairs of answers need a click, what a click says, and what a question gives away."""

from pathlib import Path

import numpy as np
import pytest

from tuneworthy.metrics import scorer
from tuneworthy.records.answer import Answer, Unscored
from tuneworthy.records.case import Message, Query
from tuneworthy.records.settlement import PairwiseVote
from tuneworthy.records.task import Data, Output, Success, Task
from tuneworthy.verdict.pairwise_votes import (
    UNKNOWN_DIFFERENCE,
    PairwiseVotes,
    agreement_of_repeats,
    shuffled_by_seed,
)
from tuneworthy.verdict.sequential import PairStream, gold_rows, new_inputs

LABELS = ("refund", "delivery", "warranty")


def task(kind="label", metric=None, labels=LABELS):
    made = Task(
        name="t", instruction="i", data=Data(file="rows.jsonl"),
        output=Output(type=kind, labels=labels if kind == "label" else None),
        success=Success(metric=metric),
    )  # fmt: skip
    return made.at(Path())


def votes(kind="label", metric=None, seed="s", **more):
    made = task(kind, metric, **more)
    return PairwiseVotes(made, scorer(made), seed)


def query(name="q1", text="where is it"):
    return Query(id=name, messages=(Message(role="user", content=text),))


def answer(text, **more):
    return Answer(case="q1", text=text, **more)


def click(left, right, choice, **more):
    return PairwiseVote(
        input=more.pop("input", "q1"), left=left, right=right, choice=choice, **more
    )


def known(kind, one, other, *clicks, metric=None):
    return votes(kind, metric).difference(query(), answer(one), answer(other), clicks)


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("label", "refund", " Refund "),
        ("json", '{"a": 1, "b": [2]}', '{"b":[2],"a":1}'),
        ("number", "It is 1,200", "1200"),
        ("text", "two  words", "two words"),
        ("label", "what?", "no label of the task"),  # both can't be right
        ("json", "no json", "neither this"),
    ],
)
def test_what_says_the_same_needs_no_click(kind, one, other):
    assert known(kind, one, other) == (0, 0)


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("label", "refund", "delivery"),
        ("json", '{"a": 1}', '{"a": 2}'),
        ("number", "3", "4"),
        ("number", "3 or 5", "5"),  # the metric takes several numbers for none
        ("text", "Two words", "two words"),
    ],
)
def test_what_differs_has_to_be_asked(kind, one, other):
    assert known(kind, one, other) is None


def test_clicks_on_labels():
    pair = ("refund", "delivery")
    assert known("label", *pair, click(*pair, "left")) == (1, 1)
    assert known("label", *pair, click(*pair, "right")) == (-1, -1)
    assert known("label", *pair, click(*pair, "wrong")) == (0, 0)
    assert known("label", *pair, click(*pair, "equal")) == (0, 0)
    assert known("label", *pair, click(*pair, "skip")) == UNKNOWN_DIFFERENCE
    assert known("label", *pair, click(*pair, "typed", gold="Delivery")) == (-1, -1)
    assert known("label", *pair, click(*pair, "left", again=True)) is None


def test_one_right_answer_judges_every_other_arm():
    said = click("refund", "delivery", "left")
    assert known("label", "warranty", "refund", said) == (-1, -1)
    assert known("label", "warranty", "delivery", said) == (0, 0)
    both_wrong = click("refund", "delivery", "wrong")
    assert known("label", "warranty", "refund", both_wrong) is None
    assert known("label", "what?", "refund", both_wrong) == (0, 0)


def test_a_graded_metric_scores_against_the_right_answer():
    left, right = '{"a": 1, "b": 2}', '{"a": 1, "b": 3}'
    assert known("json", left, right, click(left, right, "left")) == (0.5, 0.5)
    typed = click(left, right, "typed", gold='{"a": 9, "b": 3}')
    assert known("json", left, right, typed) == (-0.5, -0.5)
    assert known("json", left, right, click(left, right, "wrong")) == UNKNOWN_DIFFERENCE


def test_an_answer_that_the_metric_can_not_score_is_unknown_not_wrong():
    broken = PairwiseVotes(task("json"), lambda case, answer: Unscored(reason="boom"), "s")
    left, right = '{"a": 1, "b": 2}', '{"a": 1, "b": 3}'
    asked = [click(left, right, "left")]
    assert broken.difference(query(), answer(left), answer(right), asked) == UNKNOWN_DIFFERENCE


def test_free_text_is_compared_by_preference():
    pair = ("a text", "another text")
    assert votes("text").by_preference
    assert not votes("text", "exact").by_preference
    assert known("text", *pair, click(*pair, "right")) == (-1, -1)
    assert known("text", *pair, click(*pair, "wrong")) == (0, 0)
    assert known("text", pair[0], "a third", click(*pair, "left")) is None


def test_what_can_not_be_right_is_refused():
    made = votes()
    assert made.refusal(query(), click("what?", "refund", "left"))
    assert made.refusal(query(), click("what?", "refund", "typed", gold="nonsense"))
    assert not made.refusal(query(), click("what?", "refund", "right"))
    assert not made.refusal(query(), click("what?", "refund", "typed", gold="delivery"))


def test_a_failed_answer_is_wrong_and_shown_as_none():
    made, failed = votes(), Answer(case="q1", text="refund", finish="error", error="down")
    asked = made.question(query(), failed, answer("refund"))
    assert {asked.left, asked.right} == {"", "refund"}
    right = click(asked.left, asked.right, "left" if asked.left else "right")
    assert made.difference(query(), failed, answer("refund"), [right]) == (-1, -1)


def test_sides_tell_nothing_of_the_arms():
    """The side depends on seed and texts alone: swap the arms and the question is the same."""
    left = 0
    for at in range(400):
        one, other = query(f"q{at}"), votes()
        asked = other.question(one, answer("refund"), answer("delivery"))
        assert asked == other.question(one, answer("delivery"), answer("refund"))
        left += asked.left == "refund"
    assert 150 < left < 250


def test_a_tenth_of_the_pairs_comes_again_and_agreement_is_counted():
    clicks = [click("refund", "delivery", "left", input=f"q{at}") for at in range(500)]
    due = list(votes().repeats(clicks))
    assert 30 <= len(due) <= 70
    assert not {one.input for one in due} & {one.input for one in clicks[-3:]}
    again = [click(c.right, c.left, "right", input=c.input, again=True) for c in due]
    late = {one.input for one in clicks[-3:]}
    assert {one.input for one in votes().repeats([*clicks, *again])} <= late
    assert agreement_of_repeats([*clicks, *again]) == (len(due), len(due))
    by_side = [c.model_copy(update={"choice": "left"}) for c in again]  # always the left one
    assert agreement_of_repeats([*clicks, *by_side]) == (0, len(due))


def test_right_answers_become_rows_once_an_input():
    made, one = votes(), query("q1")
    clicks = [
        click("refund", "delivery", "wrong"),
        click("refund", "warranty", "right"),
        click("refund", "delivery", "left", again=True),
    ]
    assert gold_rows(made, clicks, [one]) == [
        {"input": "where is it", "output": "warranty", "meta": {"from": "settle"}}
    ]
    turns = (Message(role="system", content="s"), Message(role="user", content="u"))
    chat = Query(id="q1", messages=turns)
    row = gold_rows(made, clicks, [chat])[0]
    assert [turn["role"] for turn in row["messages"]] == ["system", "user", "assistant"]
    text = gold_rows(votes("text"), [click("a", "b", "left")], [one])[0]
    assert text["meta"] == {"from": "settle", "right": "preferred"}


def test_inputs_are_drawn_by_the_seed_whatever_their_order():
    pool = [query(f"q{at}", f"text {at}") for at in range(50)]
    drawn = shuffled_by_seed(pool, "seed")
    assert drawn == shuffled_by_seed(pool[::-1], "seed") != shuffled_by_seed(pool, "other")
    assert new_inputs([*pool, query("copy", "TEXT  3")], [])[-1].id == "q49"


def test_the_worked_example_ends_at_input_351_after_about_60_clicks():
    values = np.array([1.0] * 14 + [-1.0] * 9 + [0.0] * 397)
    stream = PairStream(0.05 / 2 / 3, np.array([]), 420, 1000)
    for value in np.random.default_rng(7).permutation(values):
        stream.see((value, value))
        if stream.bounds.high <= 0.05:
            break
    assert stream.at == 351
    assert round(stream.at * 42 / 250, -1) == 60  # the two answer differently on 42 of 250


def test_scored_cases_tighten_the_bound_of_arms_that_learn_nothing():
    scored = np.zeros(200)
    with_them, without = (
        PairStream(0.02, scored, 300, 200),
        PairStream(0.02, np.array([]), 300, 200),
    )
    assert with_them.bounds.high < without.bounds.high == 1.0
    assert with_them.at == 0
