"""Inputs that contain their right answer are reported; answers extracted from texts are not."""

import pytest

from tuneworthy.records.case import Case, Message
from tuneworthy.rows.leaks import answers_in_inputs

TEAMS = ("billing", "delivery", "account")


def cases(make, n=40, outputs=TEAMS):
    return [
        Case(id=f"c{k}", messages=(Message(role="user", content=make(k, outputs[k % 3])),),
             output=outputs[k % 3])
        for k in range(n)
    ]  # fmt: skip


@pytest.mark.parametrize("labels", [True, False])
@pytest.mark.parametrize("form", ["ticket: order {k}\nexpected: {right}", "order {k}\n{right}"])
def test_a_line_that_is_the_answer_tells_it(form, labels):
    (seen,) = answers_in_inputs(cases(lambda k, right: form.format(k=k, right=right)), labels)
    assert (seen.level, seen.count) == ("warning", 40)
    assert seen.text == "the right answer stands in the input of 40 of 40 rows"
    assert len(seen.ids) == 20


def test_a_label_in_a_sentence_tells_it_and_a_text_does_not():
    rows = cases(lambda k, right: f"order {k} goes to {right} today")
    assert [one.level for one in answers_in_inputs(rows, True)] == ["warning"]
    assert not list(answers_in_inputs(rows, False))
    some = cases(lambda k, right: f"order {k} to {right if k % 10 < 6 else 'us'} today")
    assert [one.level for one in answers_in_inputs(some, True)] == ["note"]


def test_an_input_that_lists_all_labels_or_none_tells_nothing():
    listed = cases(lambda k, right: f"one of {', '.join(TEAMS)}: order {k}")
    assert not list(answers_in_inputs(listed, True))
    assert not list(answers_in_inputs(cases(lambda k, right: f"order {k}"), True))
    assert not list(answers_in_inputs(cases(lambda k, right: f"{k}\n{right}", n=9), True))
    long = cases(lambda k, right: f"{k}\n{right}", outputs=["word " * 40] * 3)
    assert not list(answers_in_inputs(long, False))
