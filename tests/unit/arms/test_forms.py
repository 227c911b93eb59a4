"""What decoding is held to, how a schema reads, and the tolerant reading of an answer."""

import json

import pytest
from jsonschema import Draft202012Validator

from tuneworthy.arms.prompt.grammar import (
    LONGEST_TEXT,
    NUMBER,
    close_objects,
    grammar,
    schema_line,
    with_key_order,
)
from tuneworthy.arms.prompt.lenient import lenient
from tuneworthy.records.task import Data, Output, Task

OPEN = {
    "type": "object",
    "required": ["a"],
    "properties": {
        "a": {"type": "object", "properties": {"enum": {"type": "string"}}},
        "map": {"type": "object", "additionalProperties": {"type": "integer"}},
        "list": {"type": "array", "items": {"properties": {"n": {"$ref": "#/$defs/n"}}}},
        "e": {"enum": [{"properties": {"x": 1}}, None]},
    },
    "$defs": {"n": {"type": "object", "properties": {"m": {}}}},
}


def task(inferred=(), **output):
    return Task(data=Data(file="r.jsonl"), output=Output(**output), inferred=inferred)


def test_a_grammar_for_labels_numbers_and_json_and_none_for_text():
    assert grammar(task(type="label", labels=("a", "b"))).value == ["a", "b"]
    assert grammar(task(type="number")).value == NUMBER
    assert grammar(task(type="json", schema=OPEN)).kind == "json"
    assert grammar(task(type="text")) is grammar(task(type="json")) is grammar(task()) is None


def test_a_users_open_objects_are_closed_and_inferred_ones_are_left():
    shut = grammar(task(type="json", schema=OPEN)).value
    assert shut == close_objects(OPEN)
    assert grammar(task(inferred=("output.schema",), type="json", schema=OPEN)).value == OPEN
    good = {"a": {"enum": "x"}, "map": {"any": 1}, "list": [{"n": {"m": 1}}], "e": None}
    for extra in ({}, {"z": 1}, {"a": {"z": 1}}, {"list": [{"z": 1}]}, {"list": [{"n": {"z": 1}}]}):
        value = {**good, **extra}
        assert Draft202012Validator(OPEN).is_valid(value)
        assert Draft202012Validator(shut).is_valid(value) == (not extra)
    assert shut["properties"]["e"] == OPEN["properties"]["e"]


@pytest.mark.parametrize(
    "schema",
    [
        {"allOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}}]},
        {"properties": {"a": {}}, "anyOf": [{"properties": {"b": {}}}]},
        {"properties": {"x": {"not": {"properties": {"b": {}}}}}},
    ],
)
def test_a_schema_built_of_parts_is_left_as_it_is(schema):
    assert close_objects(schema) == schema


@pytest.mark.parametrize(
    ("schema", "want"),
    [
        (
            OPEN,
            '{"a": {"enum"?: string}, "map"?: {any key: integer}, '
            '"list"?: [{"n"?: {"m"?: any}}, …], "e"?: {"properties": {"x": 1}} | null}',
        ),
        ({"type": ["string", "null"], "format": "date"}, "string (date) | null"),
        ({"type": "integer", "minimum": 1, "maximum": 5}, "integer 1 to 5"),
        (
            {"anyOf": [{"$ref": "#/$defs/a"}, {"type": "null"}], "$defs": {"a": {"const": "é"}}},
            '"é" | null',
        ),
        (
            {"type": "object", "properties": {"kids": {"type": "array", "items": {"$ref": "#"}}}},
            '{"kids"?: [{"kids"?: […, …]}, …]}',
        ),
        (
            {
                "allOf": [
                    {"properties": {"a": {"type": "string"}}, "required": ["a"]},
                    {"properties": {"b": True}, "required": ["b"]},
                ]
            },
            '{"a": string, "b": any}',
        ),
        (
            {"type": "array", "prefixItems": [{"type": "string"}, {"type": "number"}]},
            "[string, number]",
        ),
        ({"$ref": "#/$defs/missing"}, "any"),
        ({}, "any"),
        ({"type": "object"}, "{…}"),
    ],
)
def test_a_schema_reads_as_one_short_line(schema, want):
    assert schema_line(schema) == want


def test_a_long_schema_loses_allowed_values_first():
    words = [f"value-{at}" for at in range(50)]
    fields = {f"f{at}": {"type": "string", "enum": words} for at in range(20)}
    text = schema_line({"type": "object", "properties": fields, "required": list(fields)})
    assert len(text) <= LONGEST_TEXT
    assert all(f'"f{at}": ' in text for at in range(20))
    assert "…" in text
    assert '"value-49"' in schema_line({"enum": words})


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ('Sure! ```json\n{"a": {"b": 1}}\n``` and {"c": 2}', '{"a": {"b": 1}}'),
        ("{see below} {'a': 1} {\"a\": [1]}", '{"a": [1]}'),
        ('{"a": {"b": 1}, ', None),
        ('{"a": {"b": 1} "c": 2}', None),
        ('{"a": "cut', None),
        ("the list [1, 2]", "[1, 2]"),
        ('{"a": NaN}', None),
        ("no json", None),
        ("", None),
        ("{" * 50_000, None),
        ("[" * 50_000, None),
    ],
)
def test_lenient_json_is_the_first_whole_object(text, want):
    assert lenient(text, "json") == want
    assert want is None or json.loads(want)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("The label is SPAM.", "spam"),
        ("not spam!", "not spam"),
        ("Not-Spam", "not spam"),
        ("spam or ham", None),
        ("spammer", None),
        ("spam, not spam", None),
        ("", None),
        ("c++ it is", "c++"),
        ("ham ham", "ham"),
    ],
)
def test_lenient_label_is_the_only_one_in_the_sentence(text, want):
    assert lenient(text, "label", ("spam", "not spam", "ham", "c++", "")) == want


@pytest.mark.parametrize(
    ("text", "output_type", "want"),
    [
        ("about 1,000 km", "number", "1,000"),
        ("3 = 3.0", "number", "3.0"),
        ("3 or 4", "number", None),
        ("none", "number", None),
        ("x\n#### 7", "number", "7"),
        (" hi ", "text", "hi"),
        (" ", "text", None),
    ],
)
def test_lenient_number_and_text(text, output_type, want):
    assert lenient(text, output_type) == want


def test_json_is_spaced_as_the_answers_are():
    spec = task(type="json", schema=OPEN)
    compact, spaced = '{"a":1,"b":[1,2]}', '{"a": 1, "b": [1, 2]}'
    assert not grammar(spec).spaced
    assert not grammar(spec, [compact, compact, spaced]).spaced
    assert grammar(spec, [compact, spaced, spaced, "no JSON"]).spaced


def test_keys_stand_in_the_order_that_the_answers_have_them_in():
    inner = {"type": "object", "properties": {"p": {"type": "string"}, "q": {"type": "string"}}}
    schema = {
        "type": "object",
        "required": ["a"],
        "properties": {"a": {}, "never": {}, "b": {"type": "array", "items": inner}, "c": inner},
    }
    said = ['{"c": {"q": "1", "p": "2"}, "a": 1}', '{"b": [{"q": "1", "p": "2"}], "c": {}, "a": 2}']
    found = with_key_order(schema, [*said, "no JSON", "[1]"])
    assert found == schema, "the same schema but for the order"
    assert list(found["properties"]) == ["b", "c", "a", "never"]
    assert list(found["properties"]["c"]["properties"]) == ["q", "p"]
    assert list(found["properties"]["b"]["items"]["properties"]) == ["q", "p"]
    assert list(schema["properties"]) == ["a", "never", "b", "c"], "the task's own is untouched"
    assert list(with_key_order(schema, [])["properties"]) == list(schema["properties"])


def test_the_grammar_of_a_task_is_in_the_order_of_its_training_answers():
    schema = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}}
    job = task(type="json", schema=schema)
    assert list(grammar(job, ['{"b":1,"a":2}']).value["properties"]) == ["b", "a"]
    assert list(grammar(job).value["properties"]) == ["a", "b"]
