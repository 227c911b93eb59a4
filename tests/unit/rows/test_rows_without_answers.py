"""Rows without any right answer: a validity study where a schema is given, else refused."""

import json
from hashlib import sha256

import pytest

from tuneworthy.records.errors import DataError
from tuneworthy.records.task import Data, Output, Success, Task
from tuneworthy.rows.audit import audit
from tuneworthy.rows.folds import split
from tuneworthy.rows.load import load

SCHEMA = {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}}
OPEN = [{"id": f"r{i}", "input": f"{sha256(bytes([i])).hexdigest()}\n\nwhich?"} for i in range(12)]
RIGHT = {"output": {"a": 1}}


def read(folder, rows, data=None, schema=SCHEMA, **more):
    for name, own in rows.items() if isinstance(rows, dict) else [("rows", rows)]:
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in own))
    task = Task(data=Data(**(data or {"file": "rows.jsonl"})),
                output=Output(json_schema=schema), **more)  # fmt: skip
    return load(task.at(folder))


def test_they_are_read_and_the_task_measures_validity(tmp_path):
    found = read(tmp_path, OPEN)
    assert found.task.lacks_answers
    assert {case.output for case in found.cases} == {""}
    assert (found.task.success.metric, found.task.success.pass_at) == ("valid", 1.0)
    assert found.task.output.max_tokens is None, "there is no answer to take a limit from"
    chat = [{"messages": [{"role": "user", "content": row["input"]}]} for row in OPEN]
    assert read(tmp_path, chat).task.lacks_answers


@pytest.mark.parametrize(("repeats", "told"), [(1, ["asked_once"]), (3, [])])
def test_the_audit_says_what_it_is_and_nothing_else_of_the_lacking_answers(tmp_path, repeats, told):
    found = read(tmp_path, OPEN, repeats=repeats)
    seen = {one.kind: one for one in audit(found, split(found)).observations}
    assert seen["validity_study"].level == "blocked"
    assert "no row has a right answer" in seen["validity_study"].text
    assert seen.keys() - {"few_rows"} == {"validity_study", *told}


@pytest.mark.parametrize(
    "odd",
    [{"output": {"a": 1}}, {"output": None}, {"output": ""}, {"accepted": ["x"]}, {"answer": "x"},
     {"ouput": "x"}],
)  # fmt: skip
def test_one_row_with_an_answer_or_with_its_field_is_enough_to_refuse(tmp_path, odd):
    with pytest.raises(DataError, match="output"):
        read(tmp_path, [*OPEN[:-1], OPEN[-1] | odd])


def test_a_chat_with_an_answer_is_enough_to_refuse(tmp_path):
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": '{"a": 1}'}]
    with pytest.raises(DataError, match="output"):
        read(tmp_path, [*OPEN, {"id": "chat", "messages": turns}])


@pytest.mark.parametrize("more", [{"schema": None}, {"success": Success(metric="fields_f1")}])
def test_without_a_schema_or_with_a_metric_they_are_refused(tmp_path, more):
    with pytest.raises(DataError, match="`output` is missing"):
        read(tmp_path, OPEN, **more)


def test_every_file_must_lack_them(tmp_path):
    data = {"train": "train.jsonl", "test": "test.jsonl"}
    assert read(tmp_path, {"train": OPEN[:6], "test": OPEN[6:]}, data).task.lacks_answers
    with pytest.raises(DataError, match="`output` is missing"):
        read(tmp_path, {"train": OPEN[:6], "test": [row | RIGHT for row in OPEN[6:]]}, data)
    pool = data | {"unlabelled": "pool.jsonl"}
    rows = {"train": [row | RIGHT for row in OPEN[:6]], "test": [row | RIGHT for row in OPEN[6:]],
            "pool": OPEN}  # fmt: skip
    assert not read(tmp_path, rows, pool).task.lacks_answers
