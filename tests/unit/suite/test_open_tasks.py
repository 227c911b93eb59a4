"""The tasks of open answers: right answers score 1, others' do not, and the tests of a row hold."""

import pytest

from tuneworthy.metrics import score_all, scorer
from tuneworthy.records.answer import Answer
from tuneworthy.records.case import Case, Message
from tuneworthy.records.errors import TaskError
from tuneworthy.records.task import Task
from tuneworthy.suite import house_idiom, house_voice, weekly_report
from tuneworthy.suite._made import load_words

TASKS = {"house_voice": house_voice, "weekly_report": weekly_report, "house_idiom": house_idiom}


def made(module, n, **options):
    found = module.make(5, n)
    task = Task.model_validate({**found.task, "data": {"train": "a", "test": "b"}})
    success = task.success.model_copy(update={"options": task.success.options | options})
    cases = [
        Case(id=f"{at:03}", messages=(Message(role="user", content=row["input"]),),
             **{key: value for key, value in row.items() if key != "input"})
        for at, row in enumerate(found.rows)
    ]  # fmt: skip
    return scorer(task.model_copy(update={"success": success})), cases


@pytest.mark.parametrize("name", TASKS)
def test_right_answers_score_one_and_another_rows_do_not(name):
    metric, cases = made(TASKS[name], 60)
    right = score_all(metric, cases, [Answer(case=c.id, text=c.output) for c in cases])
    assert {(score.value, score.valid) for score in right} == {(1.0, True)}
    turned = [Answer(case=c.id, text=o.output) for c, o in zip(cases, cases[7:] + cases[:7])]  # noqa: B905
    assert sum(score.value for score in score_all(metric, cases, turned)) / 60 < 0.4


def test_the_tests_of_a_function_hold_for_it_and_not_for_another_of_its_name():
    metric, cases = made(house_idiom, 12, run=True)
    for case in cases[:6]:
        assert metric(case, Answer(case=case.id, text=case.output)).value == 1
    head, _, body = cases[0].output.rpartition("\n")
    wrong = f"{head}\n    return None"
    assert body.strip().startswith("return")
    assert metric(cases[0], Answer(case=cases[0].id, text=wrong)).value < 0.9
    with pytest.raises(TaskError, match="no more functions"):
        house_idiom.make(0, 9_999)


def test_what_a_reply_must_say_stands_in_the_message():
    for row in house_voice.make(2, 90).rows:
        assert row["must_not_say"] == list(load_words("voice").forbidden_words)
        said = [phrase for phrase in row["must_say"] if phrase != "courier"]
        for phrase in said:
            assert phrase in row["input"]
    for row in weekly_report.make(2, 30).rows:
        for phrase in row["must_say"]:
            assert phrase in row["input"]
            assert phrase in row["output"]
