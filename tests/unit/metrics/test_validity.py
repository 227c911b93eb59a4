"""An answer is valid if it ends by itself and parses; a schema fetches nothing and ends."""

import pytest
from tests.in_time import ends_within

from tuneworthy.metrics._validity import validity
from tuneworthy.records.answer import Answer
from tuneworthy.records.errors import SecurityError, TaskError
from tuneworthy.records.task import Data, Output, Task

SCHEMA = {
    "type": "object",
    "properties": {
        "a": {"type": "integer"},
        "b": {"enum": ["x", None]},
        "t": {"$ref": "#/$defs/tree"},
    },
    "required": ["a"],
    "additionalProperties": False,
    "$defs": {"tree": {"type": "array", "items": {"$ref": "#/$defs/tree"}}},
}


def task(**output):
    return Task(data=Data(file="rows.jsonl"), output=Output(**output))


def judge(text, finish="stop", error=None, **output):
    return validity(task(**output))(Answer(case="c", text=text, finish=finish, error=error))


@pytest.mark.parametrize(
    ("output", "good", "bad"),
    [
        ({"type": "text"}, ["a", " x "], ["", "  \n"]),
        (
            {"type": "label", "labels": ("yes", "No way")},
            ["yes", " YES\n", "no WAY"],
            ["", "yes.", "it is yes"],
        ),
        (
            {"type": "number"},
            ["4", "about 4 km", "1 + 3\n#### 4"],
            ["", "four", "1 + 3 = 4", "1,2,3"],
        ),
        ({"type": "json"}, ["{}", " [1]\n", "3"], ["", "{", "```{}```", "NaN", '{"a": 1, "a": 2}']),
        (
            {"type": "json", "schema": SCHEMA},
            ['{"a": 1}', '{"a": 2.0, "b": null}', '{"a": 1, "t": [[], [[]]]}'],
            [
                "{}",
                '{"a": "1"}',
                '{"a": true}',
                '{"a": 1, "z": 2}',
                '{"a": 1, "b": "y"}',
                "{",
                '{"a": 1, "t": [1]}',
            ],
        ),
    ],
)
def test_p7_valid_is_to_end_by_itself_and_to_parse(output, good, bad):
    for text in good:
        assert judge(text, **output) is True, text
        assert judge(text, finish=None, **output) is True
        assert judge(text, finish="length", **output) is False
        assert judge(text, error="timed out", **output) is False
    for text in bad:
        assert judge(text, **output) is False, text


def test_without_labels_or_type_nothing_defines_a_valid_label():
    assert judge("yes", type="label") is None


@pytest.mark.parametrize(
    "part",
    [
        {"$ref": "http://127.0.0.1:9/s.json"},
        {"$ref": "file:///etc/passwd"},
        {"$ref": "other.json"},
        {"$dynamicRef": "https://x.test/#a"},
    ],
)
def test_a72_a_schema_that_refers_outside_itself_is_refused(part):
    with pytest.raises(SecurityError, match="nothing is fetched"):
        validity(task(type="json", schema={"properties": {"a": [part] and part}}))


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "objekt"},
        {"$ref": "#/$defs/none"},
        {"$ref": "#"},
        {"properties": {"a": {"pattern": "("}}},
    ],
)
def test_a_broken_schema_is_a_task_error(schema):
    with pytest.raises(TaskError):
        validity(task(type="json", schema=schema))


def test_a72_a_recursive_or_too_deep_schema_ends():
    deep = {}
    for _ in range(200):
        deep = {"items": deep}
    with pytest.raises(TaskError, match="deeper"):
        validity(task(type="json", schema=deep))


def test_a72_a_catastrophic_pattern_is_stopped():
    schema = {"properties": {"a": {"type": "string", "pattern": "^(a+)+$"}}}
    valid = validity(task(type="json", schema=schema))
    assert valid(Answer(case="c", text='{"a": "aaa"}')) is True
    assert valid(Answer(case="c", text='{"a": "b"}')) is False
    assert valid(Answer(case="c", text="{")) is False
    with ends_within(10):
        assert valid(Answer(case="c", text='{"a": "' + "a" * 60 + '!"}')) is None
    assert valid(Answer(case="c", text='{"a": "aaa"}')) is True
