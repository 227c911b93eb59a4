"""D8: prices and request fields of endpoints are refused before anything is asked, by line."""

import pytest
from tests import studies

from tuneworthy.core.endpoint_keys import OWN_FIELDS, price_fault
from tuneworthy.core.errors import TaskError
from tuneworthy.data.taskfile import read_task
from tuneworthy.study import Wishes, check, plan, run

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
            step(path, Wishes(pay=True))
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


def test_options_of_a_role_that_is_no_endpoint_are_refused(tmp_path):
    path = tmp_path / "task.yaml"
    path.write_text(f"{HEAD}options: {{bigger: {{reasoning_effort: low}}}}\n")
    with pytest.raises(TaskError, match="no endpoint takes these options") as caught:
        read_task(path)
    assert "not set" in caught.value.got
    path.write_text(f"{HEAD}options: {{model: {{reasoning_effort: low, temperature: 1}}}}\n")
    assert read_task(path).options["model"]["temperature"] == 1
