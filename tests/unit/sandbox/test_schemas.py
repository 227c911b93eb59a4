"""D10: a hostile schema is refused or ends in time, in `check` as in `run`; nothing is fetched."""

import json

import pytest
from tests.in_time import ends_within
from tests.studies import lines

from tuneworthy.arms.prompt.grammar import LONGEST_TEXT, schema_line
from tuneworthy.cli._frame import run
from tuneworthy.sandbox import schemas
from tuneworthy.sandbox.schemas import SchemaFault, schema_check


def doubling(levels: int) -> dict:
    """Return a schema whose references double with every level."""
    parts = {
        f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}, {"$ref": f"#/$defs/a{n + 1}"}]}
        for n in range(levels)
    }
    return {"$ref": "#/$defs/a0", "$defs": {**parts, f"a{levels}": {}}}


def nested(depth: int) -> dict:
    schema: dict = {}
    for _ in range(depth):
        schema = {"items": schema}
    return schema


BROKEN = {
    "dangling": {"properties": {"a": {"$ref": "#/$defs/none"}}},
    "dangling dynamic": {"$dynamicRef": "#none"},
    "remote": {"properties": {"a": {"$ref": "http://127.0.0.1:9/x.json"}}},
    "remote file": {"$ref": "file:///etc/passwd"},
    "endless": {"$ref": "#"},
    "endless by two": {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#"}}},
    "deep": nested(400),
    "many": {"enum": list(range(50_000))},
    "no pattern": {"properties": {"a": {"pattern": "("}}},
    "unknown type": {"type": "objekt"},
    "type by number": {"properties": {"a": {"type": 5}}},
    "minimum by text": {"minimum": "1"},
    "schema by list": {"$schema": ["x"], "type": 3},
    "nan": {"minimum": float("nan")},
    "nan in a list": {"enum": [float("nan")]},
    "infinite": {"maximum": float("inf")},
    "doubling": doubling(60),
}


@pytest.mark.parametrize("name", BROKEN)
def test_d10_a_schema_that_cannot_be_used_is_refused_in_time(name, monkeypatch):
    monkeypatch.setattr(schemas, "START_SECONDS", 3.0)
    with ends_within(10):
        with pytest.raises(SchemaFault) as caught:
            schema_check(BROKEN[name])
        assert str(caught.value)


def test_d10_a_pattern_that_never_ends_stops_and_is_given_up():
    check = schema_check({"properties": {"a": {"pattern": "^(a|aa)+$"}}})
    assert check({"a": "aaa"}) == ""
    assert "does not match" in (check({"a": "b"}) or "")
    late = {"a": "a" * 80 + "!"}
    with ends_within(10):
        assert [check(late) for _ in range(50)] == [None] * 50
    assert check({"a": "aaa"}) is None, "after three that were late none is tried"


@pytest.mark.every(3)
@pytest.mark.parametrize("command", ["check", "plan", "run"])
@pytest.mark.parametrize("name", sorted(BROKEN))
def test_d10_commands_refuse_a_broken_schema_with_code_2(
    name, command, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(schemas, "START_SECONDS", 3.0)
    rows = [{"input": f"question {n}", "output": json.dumps({"a": "x"})} for n in range(20)]
    lines(tmp_path / "rows.jsonl", rows)
    (tmp_path / "schema.json").write_text(json.dumps(BROKEN[name]))
    keys = {"data": {"file": "rows.jsonl"}, "output": {"schema": "schema.json"},
            "model": "scripted:./none.jsonl", "arms": ["majority", "copy_input"]}  # fmt: skip
    (tmp_path / "task.yaml").write_text(json.dumps(keys))
    if command != "check" and name in {"doubling", "many"}:
        pytest.skip("refused at the same place, and slow")
    assert run([command, str(tmp_path), "--json"]) == 2
    told = json.loads(capsys.readouterr().out)
    assert "schema" in told["where"]


def test_d10_gold_answers_that_a_pattern_never_ends_on_are_said(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(schemas, "SECONDS", 0.3)
    text = json.dumps({"a": "a" * 70 + "!"})
    rows = [
        {"input": f"question {n}", "output": text[:-3] + "!" * (n % 3) + '"}'} for n in range(9)
    ]
    lines(tmp_path / "rows.jsonl", rows)
    schema = {"properties": {"a": {"type": "string", "pattern": "^(a+)+$"}}}
    keys = {"data": {"file": "rows.jsonl"}, "output": {"schema": schema},
            "model": "scripted:./none.jsonl", "arms": ["majority", "copy_input"]}  # fmt: skip
    (tmp_path / "task.yaml").write_text(json.dumps(keys))
    with ends_within(20):
        assert run(["check", str(tmp_path)]) == 0
    assert "took too long to check against the schema" in capsys.readouterr().out


def test_d10_the_form_of_a_schema_that_doubles_is_short():
    with ends_within(5):
        assert len(schema_line(doubling(40))) <= 40 * LONGEST_TEXT
