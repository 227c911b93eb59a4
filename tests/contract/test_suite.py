"""What every generated task keeps: same seed same bytes, no near-copy, a task that loads."""

import json

import jsonschema
import pytest

from tuneworthy.records.plugins import catalogue, load
from tuneworthy.records.task import Task
from tuneworthy.suite import write
from tuneworthy.suite._made import NEAR_COPY_SIMILARITY, shingles

NAMES = sorted(catalogue("suite"))


@pytest.fixture(scope="module", params=NAMES)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def made(name):
    return load("suite", name).make(0)


def texts(made):
    return [row["input"] for row in made.rows]


def test_same_seed_same_rows_and_another_seed_other_rows(name, made):
    make = load("suite", name).make
    assert make(3, 60) == make(3, 60)
    assert make(3, 60).rows != make(4, 60).rows


def test_the_asked_number_of_rows_in_two_parts(name, made):
    assert (len(made.rows), made.split) == (360, 240)
    assert len(load("suite", name).make(1, 33).rows) == 33


@pytest.mark.every(3)
def test_no_input_is_a_near_copy_of_another(made):
    """Measured here apart from the generator: it covers rows of both parts."""
    bags = [shingles(text) for text in texts(made)]
    assert len(set(texts(made))) == len(bags)
    near = [
        (i, j)
        for i, a in enumerate(bags)
        for j, b in enumerate(bags[:i])
        if len(a & b) >= NEAR_COPY_SIMILARITY * len(a | b)
    ]
    assert near == []


def test_the_task_is_a_task_and_its_documents_exist(made):
    task = Task.model_validate({**made.task, "data": {"train": "a", "test": "b"}})
    assert task.success.margin == 0.10
    ids = {doc["id"] for doc in made.docs}
    assert len(ids) == len(made.docs)
    assert all(row["context"]["doc"] in ids for row in made.rows if "context" in row)
    if made.schema:
        check = jsonschema.Draft202012Validator(made.schema)
        assert all(check.is_valid(json.loads(row["output"])) for row in made.rows)
        assert not check.is_valid({"name": 1})
    if made.task["output"].get("labels"):
        assert {row["output"] for row in made.rows} == set(made.task["output"]["labels"])


def test_no_single_answer_is_worth_guessing(made):
    outputs = [row["output"] for row in made.rows]
    assert max(map(outputs.count, set(outputs))) / len(outputs) < 0.1


def test_a_folder_is_written_twice_with_the_same_bytes(name, tmp_path):
    one, two = write(name, tmp_path / "a", 1, 30), write(name, tmp_path / "b", 1, 30)
    files = sorted(path.name for path in one.parent.iterdir())
    assert {"task.yaml", "train.jsonl", "test.jsonl", "README.md"} <= set(files)
    for file in files:
        assert (one.parent / file).read_bytes() == (two.parent / file).read_bytes()
