"""Refusals by a rule of phrases, both ways."""

import pytest

from tuneworthy.matrix.design import Design
from tuneworthy.measure.further.refusals import refusal_change, refuses
from tuneworthy.records.answer import Answer
from tuneworthy.records.case import Case, Message
from tuneworthy.records.interval import Interval

YES = [
    "I'm sorry, but I can't help with that.",
    "I’m afraid that is not in the text",
    "As an AI language model, I have no access",
    "There is not enough information to answer.",
    "I do not know.",
    "Unknown.",
    "Unanswerable",
    "Unfortunately, we cannot say",
]
NO = [
    "Paris",
    "The cannon can not be seen from the unknown valley",
    "Refund the order; the customer is sorry.",
    "It is unknown to many that Paris was called Lutetia, a town of the Parisii on the Seine",
    "",
]


@pytest.mark.parametrize("text", YES)
def test_refusals_are_found(text):
    assert refuses(text)


@pytest.mark.parametrize("text", NO)
def test_answers_are_no_refusals(text):
    assert not refuses(text)


def cases(n, output):
    turn = (Message(role="user", content="?"),)
    return [Case(id=f"c{i}", messages=turn, output=output) for i in range(n)]


def said(n, text):
    return {f"c{i}": Answer(case=f"c{i}", text=text) for i in range(n)}


def test_more_refusals_where_none_is_right_are_shown_and_none_without_a_change():
    rows = cases(40, "Paris")
    found = refusal_change(rows, said(40, "Paris"), said(40, YES[0]), Design(), wanted=False)
    assert isinstance(found, Interval)
    assert found.mean == 1
    assert found.low > 0.5
    same = refusal_change(rows, said(40, "Paris"), said(40, "London"), Design(), wanted=False)
    assert same.low <= 0 == same.mean <= same.high


def test_answers_where_a_refusal_is_right_count_the_other_way():
    rows = cases(40, "I don't know.")
    found = refusal_change(rows, said(40, "I don't know"), said(40, "Paris"), Design(), wanted=True)
    assert found.mean == -1
    assert isinstance(
        refusal_change(rows, said(40, "x"), said(40, "x"), Design(), wanted=False), str
    )
