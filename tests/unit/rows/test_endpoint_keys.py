"""D8: prices and request fields of endpoints are refused before any request, with their line."""

import pytest
from tests import studies

from tuneworthy.flows.study import RunOptions, check, plan, run
from tuneworthy.records.errors import TaskError
from tuneworthy.records.task import OWN_FIELDS, price_fault
from tuneworthy.rows.taskfile import read_task

MODEL = "openai:m@http://127.0.0.1:9/v1"
HEAD = f"data: {{file: rows.jsonl}}\nmodel: {MODEL}\narms: [zero_shot, few_shot]\n"


@pytest.mark.parametrize(
    ("price", "what"),
    [("{in: -1, out: 2}", "0 or more"), ("{in: '1', out: 2}", "a number"),
     ("{in: true, out: 2}", "a number"), ("{in: .nan, out: 2}", "finite"),
     ("{in: 1, out: 2, input: 3}", "no such key"), ("{in: 1}", "`in` and `out`"),
     ("{}", "`in` and `out`"), ("3", "a section"), ("{in: 1, out: 3e6}", "no model costs"),
     ("{in: 1, out: 2, prompt_tokens: 0.5}", "whole number"), ("{in: [1], out: 2}", "a number")],
)  # fmt: skip
def test_a_price_that_none_can_be_is_refused_everywhere_with_its_line(tmp_path, price, what):
    studies.write(tmp_path)
    path = tmp_path / "task.yaml"
    path.write_text(f"{HEAD}economics:\n  prices:\n    m: {price}\n")
    for step in (check, plan, run):
        with pytest.raises(TaskError) as caught:
            step(path, RunOptions(pay=True))
        assert what in caught.value.what
        assert caught.value.where.startswith("task.yaml:6 economics.prices.m")
        assert caught.value.exit_code == 2


def test_the_nearest_price_key_is_named(tmp_path):
    path = tmp_path / "task.yaml"
    path.write_text(f"{HEAD}economics: {{prices: {{m: {{in: 1, out: 2, cache_in: 1}}}}}}\n")
    with pytest.raises(TaskError) as caught:
        read_task(path)
    assert "did you mean `cached_in`?" in caught.value.fix


def test_right_prices_are_right():
    for key, value in (("in", 0), ("out", 12.5), ("cached_in", 1), ("prompt_tokens", 200_000)):
        assert price_fault(key, value) == ""


@pytest.mark.parametrize("field", OWN_FIELDS)
def test_a_request_field_that_tuneworthy_sets_itself_is_refused(tmp_path, field):
    path = tmp_path / "task.yaml"
    path.write_text(f"{HEAD}options:\n  model:\n    {field}: 1\n")
    with pytest.raises(TaskError, match="sets this request field itself") as caught:
        read_task(path)
    assert caught.value.where == f"task.yaml:6 options.model.{field}"


@pytest.mark.parametrize(
    ("option", "what", "fix"),
    [("api_key: ${env:OPENAI_API_KEY}", "no such option", "read from OPENAI_API_KEY"),
     ("max_token: 16", "no such option", "did you mean `max_tokens`?"),
     ("temprature: 1", "no such option", "did you mean `temperature`?"),
     ("n: 2", "no such option", "known here: max_tokens, temperature"),
     ("max_tokens: 0", "greater than 0", "allowed"), ("temperature: hot", "a valid number", ""),
     ("stop: [1]", "a valid string", ""), ("thinking: maybe", "'auto', 'off' or 'on'", "")],
)  # fmt: skip
def test_an_option_of_what_runs_today_that_none_can_be_is_refused(tmp_path, option, what, fix):
    studies.write(tmp_path)
    path = tmp_path / "task.yaml"
    path.write_text(f"{HEAD}present:\n  model: {MODEL}\n  options:\n    {option}\n")
    for step in (check, plan, run):
        with pytest.raises(TaskError) as caught:
            step(path, RunOptions(pay=True))
        assert what in caught.value.what
        assert fix in caught.value.fix
        assert caught.value.where == f"task.yaml:7 present.options.{option.partition(':')[0]}"
        assert caught.value.exit_code == 2


def test_right_options_of_what_runs_today_are_right(tmp_path):
    path = tmp_path / "task.yaml"
    right = {"max_tokens": 8, "temperature": 0.5, "stop": ["x"], "thinking": "off"}
    path.write_text(f"{HEAD}present: {{model: '{MODEL}', options: {right}}}\n")
    assert read_task(path).present.options == right


@pytest.mark.parametrize("options", ["present: {model: 'openai:m', options: {KEY}}",
                                     "options: {model: {KEY}}"])  # fmt: skip
@pytest.mark.parametrize("field", ["api_key", "api-key", "Authorization"])
def test_a_key_among_options_is_refused_and_never_shown(tmp_path, field, options):
    path = tmp_path / "task.yaml"
    secret = "${env:MINE}" if field == "api_key" else "Bearer abc-123-def"
    path.write_text(f"{HEAD}{options.replace('KEY', f'{field}: {chr(34)}{secret}{chr(34)}')}\n")
    with pytest.raises(TaskError) as caught:
        read_task(path)
    assert "OPENAI_API_KEY" in caught.value.fix
    assert "abc-123" not in str(caught.value)


def test_options_of_a_role_that_is_no_endpoint_are_refused(tmp_path):
    path = tmp_path / "task.yaml"
    path.write_text(f"{HEAD}options: {{bigger: {{reasoning_effort: low}}}}\n")
    with pytest.raises(TaskError, match="no endpoint takes these options") as caught:
        read_task(path)
    assert "not set" in caught.value.got
    path.write_text(f"{HEAD}options: {{model: {{reasoning_effort: low, temperature: 1}}}}\n")
    assert read_task(path).options["model"]["temperature"] == 1


@pytest.mark.parametrize(
    ("keys", "place", "what"),
    [("decision: jev", "decision", "this is no address"),
     ("decision: decision:https://h/v1", "decision", "this is no address"),
     ("model: decision:https://h/v1\ndecision: https://h/v1", "decision", "decision model too"),
     ("bigger: decision:https://h/v1", "bigger", "writes no text"),
     ("teacher: decision:m@https://h/v1", "teacher", "writes no text"),
     ("options: {decision: {state: x}}\ndecision: https://h/v1", "options.decision.state",
      "sets this request field")],
)  # fmt: skip
def test_a_decision_model_has_an_address_and_its_own_place(tmp_path, keys, place, what):
    studies.write(tmp_path)
    path = tmp_path / "task.yaml"
    path.write_text(f"data: {{file: rows.jsonl}}\n{keys}\n")
    with pytest.raises(TaskError) as caught:
        check(path)
    assert what in caught.value.what
    assert caught.value.where.endswith(place)


def test_a_task_knows_its_decision_model_by_either_key(tmp_path):
    studies.write(tmp_path)
    path = tmp_path / "task.yaml"
    specs = []
    for keys in ("decision: d@https://h/v1", "model: decision:https://h/v1", "model: openai:m"):
        path.write_text(f"data: {{file: rows.jsonl}}\n{keys}\n")
        specs.append(read_task(path).decider)
    assert specs == ["decision:d@https://h/v1", "decision:https://h/v1", None]
