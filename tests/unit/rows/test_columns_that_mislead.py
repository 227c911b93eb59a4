"""Files in which a column looks like what it is not: nothing is guessed, nothing is lost unseen."""

import json
from pathlib import Path

import pytest
from tests import studies

from tuneworthy.cli._frame import run
from tuneworthy.records.errors import DataError
from tuneworthy.rows.column_roles import propose_roles
from tuneworthy.rows.log_roles import find_answer_log
from tuneworthy.rows.table_columns import Choice

LABELS = ("billing", "refund", "other", "delay")
ROWS = [{"id": n, "input": f"Case {n} of a customer", "output": LABELS[n % 4]} for n in range(80)]


def lines(path, rows):
    studies.lines(path, rows)
    return path


@pytest.mark.parametrize(
    "extra",
    [
        {"model": "gpt-4o"},
        {"system": "You are an assistant."},
        {"model": "m", "model_version": "2"},
    ],
)
def test_what_ran_is_not_what_it_said(extra):
    roles = propose_roles([{**row, **extra} for row in ROWS], Choice())
    assert (roles.input, roles.output, roles.systems) == ("input", "output", {})


def test_answers_of_a_column_called_model_are_read():
    said = [{**row, "model": LABELS[n % 3]} for n, row in enumerate(ROWS)]
    assert propose_roles(said, Choice()).systems == {"present": "model"}


def log(n):
    return {"run_id": 79 - n, "ticket_id": n, "prediction": LABELS[n % 4]}


def test_two_columns_that_may_be_the_ids_are_a_question(tmp_path, capsys):
    path = lines(tmp_path / "log.jsonl", map(log, range(80)))
    with pytest.raises(DataError, match="several columns") as told:
        find_answer_log(str(path), Choice())
    assert told.value.got == "run_id, ticket_id"
    gold = lines(tmp_path / "gold.jsonl", ROWS)
    both = [str(path), str(lines(tmp_path / "b.jsonl", map(log, range(80)))), "--gold", str(gold)]
    assert run(["compare", *both]) == DataError.exit_code
    assert "several columns" in capsys.readouterr().err
    for place in both[:2]:
        lines(Path(place), [{**log(n), "id": n} for n in range(80)])
    assert run(["compare", *both, "--json"]) == 0


def test_a_measured_value_that_is_no_number_is_a_fault(tmp_path):
    rows = [{"id": n, "prediction": "refund", "cost_usd": "0,002", "USD": 1} for n in range(4)]
    found = find_answer_log(str(lines(tmp_path / "log.jsonl", rows)), Choice())
    assert dict(found.roles.measured) == {"usd": "USD"}
    for row in rows:
        del row["USD"]
    found = find_answer_log(str(lines(tmp_path / "log.jsonl", rows)), Choice())
    (first, *_) = found.records()
    assert (first.why, first.got) == ("`cost_usd` is no number of at least 0", "0,002")


def test_the_other_lists_of_a_document_are_told(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    asked = [{"question": row["input"], "answer": row["output"]} for row in ROWS]
    (tmp_path / "t.json").write_text(json.dumps({"train": asked[:60], "test": asked[60:]}))
    assert run(["init", "t.json"]) == 0
    told = capsys.readouterr()
    assert "not read: 20 records of the list `test`" in told.out + told.err
    first = json.loads((tmp_path / "task.rows.jsonl").read_text().splitlines()[0])
    assert (first["input"], first["output"]) == (ROWS[0]["input"], ROWS[0]["output"])


def test_a_right_answer_repeated_in_a_log_is_no_system(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    lines(tmp_path / "gold.jsonl", ROWS)
    for name, k in (("gpt", 3), ("mini", 2)):
        said = [LABELS[n % k] for n in range(80)]
        lines(tmp_path / f"{name}.jsonl", [
            {"input": row["input"], "expected": row["output"], "prediction": one}
            for row, one in zip(ROWS, said, strict=True)
        ])  # fmt: skip
    assert run(["init", "gold.jsonl", "gpt.jsonl", "mini.jsonl"]) == 0
    told = capsys.readouterr().out
    for name, k in (("gpt", 3), ("mini", 2)):
        read = (tmp_path / f"task.{name}.jsonl").read_text("utf-8").splitlines()
        assert [json.loads(one)["answer"] for one in read] == [LABELS[n % k] for n in range(80)]
    assert "left out" not in told
    assert not (tmp_path / "task.present.jsonl").exists()


def test_a_log_with_two_columns_of_answers_is_a_question(tmp_path, capsys):
    gold = lines(tmp_path / "gold.jsonl", ROWS)
    for right, code in (("output", 0), ("answer", DataError.exit_code)):
        logs = [
            lines(tmp_path / f"{name}.jsonl",
                  [{"input": row["input"], right: row["output"], "prediction": LABELS[n % k]}
                   for n, row in enumerate(ROWS)])
            for name, k in (("a", 3), ("b", 2))
        ]  # fmt: skip
        both = [*map(str, logs), "--gold", str(gold), "--json"]
        assert run(["compare", *both]) == code
    assert "several columns of a log may be its answers" in capsys.readouterr().err
    assert run(["compare", *both, "--answer-column", "prediction"]) == 0
    assert json.loads(capsys.readouterr().out)["a"]["score"]["mean"] < 1
    lines(tmp_path / "c.jsonl", [{"id": n, "output": "x", "prediction": "y"} for n in range(9)])
    with pytest.raises(DataError, match="several columns of a log"):
        find_answer_log(str(tmp_path / "c.jsonl"), Choice())


def test_ids_that_repeat_or_lack_in_a_few_rows_are_ids(tmp_path):
    rows = [{"ID": n // 2, "run": "a", "prediction": "refund"} for n in range(80)]
    del rows[7]["ID"]
    found = find_answer_log(str(lines(tmp_path / "log.jsonl", rows)), Choice())
    assert (found.roles.id, found.roles.input) == ("ID", "")
    assert "neither" not in found.summary()
    both = [{**row, "run_id": n} for n, row in enumerate(rows)]
    found = find_answer_log(str(lines(tmp_path / "log.jsonl", both)), Choice())
    assert found.roles.id == "ID"


def test_numbers_are_no_input_of_a_log(tmp_path):
    rows = [{"id": n, "question": n + 17, "prediction": "refund"} for n in range(80)]
    found = find_answer_log(str(lines(tmp_path / "log.jsonl", rows)), Choice())
    assert (found.roles.id, found.roles.input) == ("id", "")
