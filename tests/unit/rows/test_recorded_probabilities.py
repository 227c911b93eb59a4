"""Recorded answers may bring probabilities: of the answer alone, or of labels."""

import json

import pytest
from tests import studies

from tuneworthy.flows.study import RunOptions, check, run
from tuneworthy.records.case import Case, Message
from tuneworthy.records.errors import DataError
from tuneworthy.rows.answers import align_answers, read_answers

CASES = [
    Case(id=f"c{n}", messages=(Message(role="user", content=f"q{n}"),), output="a")
    for n in range(3)
]
LABELS = ("a", "b", "c")


def write(folder, rows, name="logged.jsonl"):
    path = folder / name
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def read(folder, *fields, labels=LABELS):
    rows = [{"id": f"c{n}", "answer": "a", **more} for n, more in enumerate(fields)]
    return align_answers(write(folder, rows), CASES, labels=labels).answers


def test_a_lone_probability_is_that_of_the_answer(tmp_path):
    got = read(tmp_path, {"probability": 0.7}, {"scores": {"a": 0.6, "b": 0.3, "c": 0.1}}, {})
    assert [one.labels for one in got] == [{"a": 0.7}, {"a": 0.6, "b": 0.3, "c": 0.1}, None]
    both = {"probability": 0.6, "scores": {"b": 0.3}}
    same = {"probability": 0.602, "scores": {"a": 0.6}}
    got = read(tmp_path, both, same, {"probability": None, "scores": None})
    assert [one.labels for one in got] == [{"a": 0.6, "b": 0.3}, {"a": 0.6}, None]


@pytest.mark.parametrize(
    ("fields", "key", "what"),
    [({"probability": 1.2}, "probability", "1.2, not from 0 to 1"),
     ({"probability": -0.1}, "probability", "not from 0 to 1"),
     ({"probability": "0.9"}, "probability", "is no number"),
     ({"probability": True}, "probability", "is no number"),
     ({"scores": [0.9, 0.1]}, "scores", "is no object"),
     ({"scores": {"a": 0.9, "d": 0.1}}, "scores", "`d` is no label of the task"),
     ({"scores": {"a": 0.7, "b": 0.4}}, "scores", "sum to 1.1, above 1"),
     ({"scores": {"a": 0.5, "b": 0.1, "c": 0.1}}, "scores", "sum to 0.7, not to 1"),
     ({"probability": 0.9, "scores": {"a": 0.5, "b": 0.5}}, "probability", "is not that of")],
)  # fmt: skip
def test_a_probability_that_none_can_be_is_refused_with_its_line(tmp_path, fields, key, what):
    with pytest.raises(DataError) as caught:
        read(tmp_path, {}, fields)
    error = caught.value
    assert what in error.what
    assert error.where.endswith(f"logged.jsonl:2 {key}")
    assert error.got
    assert error.fix
    assert error.kept


def test_nan_is_refused_in_every_form(tmp_path):
    with pytest.raises(DataError, match="NaN is no JSON") as caught:
        read(tmp_path, {}, {"scores": {"a": float("nan")}})
    assert caught.value.where == "logged.jsonl:2"
    for cell, what in [("NaN", "nan, not from 0 to 1"), ("nan", "is no number")]:
        (tmp_path / "logged.csv").write_text(f"id,answer,probability\nc0,a,{cell}\n")
        with pytest.raises(DataError, match=what):
            read_answers(tmp_path / "logged.csv", CASES)


def test_labels_that_are_not_known_may_be_any(tmp_path):
    assert read(tmp_path, {"scores": {"other": 0.4}}, labels=None)[0].labels == {"other": 0.4}


def test_a_table_of_cells_may_hold_them_and_answers_by_order_too(tmp_path):
    path = tmp_path / "logged.csv"
    path.write_text('id,answer,probability,scores\nc0,a,0.8,\nc1,a,,"{""a"": 0.5, ""b"": 0.5}"\n')
    got = read_answers(path, CASES)
    assert [one.labels for one in got] == [{"a": 0.8}, {"a": 0.5, "b": 0.5}, None]
    rows = [{"answer": "a", "scores": {"a": 0.9}} for _ in CASES]
    ordered = read_answers(write(tmp_path, rows), CASES, "order")
    assert [one.labels for one in ordered] == [{"a": 0.9}] * 3


def test_columns_of_another_meaning_are_left_alone(tmp_path):
    """A log whose answers are found by another name says nothing of what its `scores` are."""
    rows = [{"id": f"c{n}", "prediction": "a", "scores": {"fluency": 3}} for n in range(3)]
    assert [one.labels for one in read_answers(write(tmp_path, rows), CASES)] == [None] * 3


def test_whole_numbers_keep_their_probability(tmp_path):
    cases = [case.model_copy(update={"output": "3"}) for case in CASES]
    rows = [{"id": f"c{n}", "answer": "3.0", "probability": 0.5} for n in range(3)]
    assert read_answers(write(tmp_path, rows), cases)[0].labels == {"3": 0.5}


def test_a_study_keeps_them_and_notes_answers_that_are_not_the_likeliest(tmp_path):
    path = studies.write(tmp_path, arms=["present", "majority", "other"],
                         answers={"other": {"file": "other.jsonl"}})  # fmt: skip
    shares = dict.fromkeys(studies.LABELS, 0.25)
    rows = [{"id": r["id"], "answer": r["output"], "scores": {**shares, r["output"]: 0.5}}
            for r in studies.rows(60)]  # fmt: skip
    rows[0]["scores"] = {**shares, "warranty": 0.5}
    write(tmp_path, rows, "other.jsonl")
    found = {one.kind: one for one in check(path).observations}
    assert found["answers_unlikely"].ids == ("r0",)
    assert "1 recorded answer in other.jsonl is not the likeliest" in found["answers_unlikely"].text
    runs = [r for r in run(path, RunOptions()).results.runs if r.spec.name == "other"]
    assert all(sum(a.labels.values()) == 1 for r in runs for a in r.answers)
    rows[3]["scores"] = {"delay": 0.5}
    write(tmp_path, rows, "other.jsonl")
    with pytest.raises(DataError, match="`delay` is no label"):
        check(path)
