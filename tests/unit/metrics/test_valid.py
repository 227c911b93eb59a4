"""The metric `valid`: the form of an answer alone, by the same check as `Score.valid`."""

import pytest

from tuneworthy.metrics import scorer
from tuneworthy.metrics.valid import score
from tuneworthy.records.answer import Answer, Unscored
from tuneworthy.records.case import Case, Message
from tuneworthy.records.errors import TaskError
from tuneworthy.records.task import Data, Output, Success, Task
from tuneworthy.rows.taskfile import read_task

SCHEMA = {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}}
CASE = Case(id="c", messages=(Message(role="user", content="q"),), output="")
SLOW = {"type": "string", "pattern": "^(a+)+$"}


@pytest.mark.parametrize("schema", [SCHEMA, None])
@pytest.mark.parametrize(
    ("text", "finish", "value", "why"),
    [
        ('{"a": 1}', "stop", (1, 1), ""),
        ('{"a": "x"}', "stop", (0, 1), "integer"),
        ("{}", None, (0, 1), "a"),
        ("a is 1", "stop", (0, 0), "no JSON"),
        ("", None, (0, 0), "no JSON"),
        ('{"a": 1}', "length", (0, 0), "end"),
        ('{"a": 1}', "error", (0, 0), "end"),
    ],
)
def test_it_is_the_validity_of_the_answer_and_says_what_is_wrong(text, finish, value, why, schema):
    success, output = Success(metric="valid"), Output(type="json", json_schema=schema)
    task = Task(data=Data(file="rows.jsonl"), output=output, success=success)
    found = scorer(task)(CASE, Answer(case="c", text=text, finish=finish))
    assert found.value == value[schema is None]
    assert found.valid == bool(found.value)
    assert found.value or why in found.why


def test_a_check_that_takes_too_long_gives_no_score():
    found = score(CASE, Answer(case="c", text='"' + "a" * 40 + '!"'), {"schema": SLOW})
    assert isinstance(found, Unscored)
    assert "too long" in found.reason


def test_a_task_file_may_join_it_and_not_name_it_alone(tmp_path):
    path = tmp_path / "task.yaml"
    path.write_text("data: {file: rows.jsonl}\nsuccess: {metric: valid+fields_f1}\n")
    assert read_task(path).success.metrics == ("valid", "fields_f1")
    path.write_text("data: {file: rows.jsonl}\nsuccess: {metric: valid}\n")
    with pytest.raises(TaskError, match="says nothing about what is said"):
        read_task(path)
