"""Rows in the forms of the common trainers, and what is refused."""

import json

import pytest

from tuneworthy.records.errors import DataError
from tuneworthy.rows.training_rows import read_training_rows

TURNS = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "2 + 2?"}]


def read(path, *rows):
    path.write_text("\n".join(map(json.dumps, rows)) + "\n", "utf-8")
    return read_training_rows(path, "--data")


@pytest.mark.parametrize(
    ("row", "form", "asked", "answer"),
    [
        ({"messages": [*TURNS, {"role": "assistant", "content": "4"}]}, "messages", "2 + 2?", "4"),
        ({"conversations": [{"from": "human", "value": "2 + 2?"}, {"from": "gpt", "value": "4"}]},
         "conversations", "2 + 2?", "4"),
        ({"prompt": "2 + 2?", "completion": "4"}, "prompt and completion", "2 + 2?", "4"),
        ({"prompt": TURNS, "completion": [{"role": "assistant", "content": "4"}]},
         "prompt and completion as chat", "2 + 2?", "4"),
        ({"instruction": "Add.", "input": "2 + 2", "output": "4"},
         "instruction", "Add.\n\n2 + 2", "4"),
        ({"instruction": "Add 2 + 2.", "input": "", "output": "4"}, "instruction", "Add 2 + 2.",
         "4"),
        ({"input": "2 + 2?", "output": {"sum": 4}}, "input and output", "2 + 2?", '{"sum": 4}'),
        ({"text": "2 + 2? 4"}, "text", "", "2 + 2? 4"),
    ],
)  # fmt: skip
def test_every_form_is_read(tmp_path, row, form, asked, answer):
    for name, text in (("r.jsonl", json.dumps(row)), ("r.json", json.dumps([row], indent=1))):
        (tmp_path / name).write_text(text)
        found = read_training_rows(tmp_path / name, "--data")
        (one,) = found.rows
        assert (found.form, one.input, one.answer) == (form, asked, answer)
        assert one.where in ("r.jsonl:1", "r.json:1")


def test_earlier_answers_belong_to_the_conversation(tmp_path):
    turns = [*TURNS, {"role": "assistant", "content": "4"}, {"role": "user", "content": "+ 1?"},
             {"role": "assistant", "content": "5"}]  # fmt: skip
    (one,) = read(tmp_path / "r.jsonl", {"messages": turns}).rows
    assert [turn.role for turn in one.messages] == ["system", "user", "assistant", "user"]
    assert one.answer == "5"


def test_bad_rows_are_counted_and_named(tmp_path):
    good = {"prompt": "a", "completion": "b"}
    bad = [{"x": 1}, {"prompt": "a", "completion": ""}, {"messages": TURNS},
           {"conversations": [1]}, {"conversations": [{"from": "alien", "value": "x"}]},
           {"text": " "}, {"messages": "hello"}, {"prompt": [1], "completion": [2]}]  # fmt: skip
    found = read(tmp_path / "r.jsonl", good, *bad)
    assert len(found.rows) == 1
    assert found.bad == len(bad)
    assert [fault.where for fault in found.faults] == [f"r.jsonl:{n}" for n in range(2, 7)]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "empty"),
        ("[1, 2]", "no row of the file can be used"),
        ("[{}", "no row of the file can be used"),
        ("[" * 100_000, "nested too deep"),
        ('{"x": 1}\n', "no known form of a row"),
        ("PAR1....", "Parquet"),
    ],
)
def test_what_holds_no_rows_is_refused(tmp_path, text, what):
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(DataError, match=what) as caught:
        read_training_rows(tmp_path / "r.json", "--data")
    assert caught.value.exit_code == 5


def test_csv_with_input_and_output_is_read(tmp_path):
    (tmp_path / "r.csv").write_text("input,output\n2 + 2?,4\n3 + 3?,6\n")
    found = read_training_rows(tmp_path / "r.csv", "--data")
    assert [(row.input, row.answer) for row in found.rows] == [("2 + 2?", "4"), ("3 + 3?", "6")]
