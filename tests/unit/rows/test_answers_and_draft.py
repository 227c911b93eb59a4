"""Recorded answers are aligned to rows; a drafted task file is valid and states what was seen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tuneworthy.records.case import Case, Message
from tuneworthy.records.errors import DataError, TaskError
from tuneworthy.rows.answers import read_answers
from tuneworthy.rows.draft import HEADER, draft
from tuneworthy.rows.taskfile import read_task, task_schema

CASES = [
    Case(id=f"c{n}", messages=(Message(role="user", content=f"q{n}"),), output="x",
         where=f"rows.jsonl:{n + 1}") for n in range(3)
]  # fmt: skip


def answers(folder: Path, rows: list[dict[str, object]]) -> Path:
    path = folder / "logged.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_answers_are_matched_by_id_whatever_their_order(tmp_path):
    rows = [{"id": f"c{n}", "answer": f"a{n}", "seconds": 0.5, "usd": 0.01} for n in (2, 0, 1)]
    got = read_answers(answers(tmp_path, rows), CASES)
    assert [(a.case, a.text, a.seconds, a.usd) for a in got] == [
        (f"c{n}", f"a{n}", 0.5, 0.01) for n in range(3)
    ]
    assert got[0].tokens_out is None
    assert got[0].finish is None


def test_answers_are_matched_by_input_and_by_order_where_that_is_asked_for(tmp_path):
    rows = [{"input": f"q{n}", "answer": {"k": n}} for n in (1, 2, 0)]
    assert [a.text for a in read_answers(answers(tmp_path, rows), CASES)] == [
        '{"k": 0}', '{"k": 1}', '{"k": 2}',
    ]  # fmt: skip
    rows = [{"answer": f"a{n}"} for n in range(3)]
    shuffled = [CASES[2], CASES[0], CASES[1]]  # the order is that of the file of rows
    got = read_answers(answers(tmp_path, rows), shuffled, "order")
    assert [(a.case, a.text) for a in got] == [("c2", "a2"), ("c0", "a0"), ("c1", "a1")]


def test_ids_of_another_system_give_way_to_inputs_and_copies_keep_their_order(tmp_path):
    copy = CASES[1].model_copy(update={"id": "c1-2", "where": "rows.jsonl:9"})
    rows = [{"id": f"log{k}", "input": text, "answer": f"a{k}"}
            for k, text in enumerate(("q0", "q1", "q2", "q1"))]  # fmt: skip
    got = read_answers(answers(tmp_path, rows), [*CASES, copy])
    assert [a.text for a in got] == ["a0", "a1", "a2", "a3"]
    got = read_answers(answers(tmp_path, rows[:3]), [*CASES, copy])
    assert [a.text for a in got] == ["a0", "a1", "a2", "a1"]


def test_a_row_without_an_answer_is_an_error_and_never_right(tmp_path):
    got = read_answers(answers(tmp_path, [{"id": "c1", "answer": "a1"}]), CASES)
    assert [a.error for a in got] == ["no recorded answer", None, "no recorded answer"]


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([{"id": "zz", "answer": "a"}], "belongs to a row"),
        ([{"id": "c1"}], "has no `answer`"),
        ([{"answer": "a"}], "can't be matched"),
        ([{"id": "c1", "answer": "a"}, {"id": "c1", "answer": "b"}], "two recorded answers"),
        ([{"id": "c1", "answer": "a", "seconds": "fast"}], "is no number"),
    ],
)
def test_answers_that_fit_no_row_are_refused(rows, why, tmp_path):
    with pytest.raises(DataError, match=why):
        read_answers(answers(tmp_path, rows), CASES)


def test_a_log_under_its_own_names_is_read_by_its_columns_and_they_are_told(tmp_path):
    from tests import studies

    from tuneworthy.flows.study import check

    path = studies.write(tmp_path, arms=["present", "majority"])
    plain = check(path)
    logged = list(map(json.loads, (tmp_path / "logged.jsonl").read_text().splitlines()))
    studies.lines(tmp_path / "logged.jsonl", [
        {"case": one["id"], "response": one["answer"], "latency_ms": 250} for one in logged
    ])  # fmt: skip
    (told,) = (one for one in check(path).observations if one.kind == "answer_columns")
    assert "answer `response`, seconds `latency_ms`, id `case`" in told.text
    assert "answer_columns" not in {one.kind for one in plain.observations}
    got = read_answers(tmp_path / "logged.jsonl", [
        Case(id=one["id"], messages=CASES[0].messages, output="x") for one in logged
    ])  # fmt: skip
    assert [(one.text, one.seconds) for one in got] == [(one["answer"], 0.25) for one in logged]


def test_rows_without_an_answer_and_answers_to_no_row_are_told(tmp_path):
    from tests import studies

    from tuneworthy.flows.study import check, run

    path = studies.write(tmp_path, arms=["present", "other", "majority"], answers={
        "other": "other.jsonl", "known": {"file": "known.jsonl", "tool": "tune"}})  # fmt: skip
    lines = [{"id": f"r{n}", "answer": "refund"} for n in range(60)]
    studies.lines(tmp_path / "known.jsonl", lines)
    lines[0]["answer"] = None
    strangers = [{"id": f"x{n}", "answer": "refund"} for n in range(2)]
    studies.lines(tmp_path / "other.jsonl", [*lines[:50], *strangers])
    seen = {one.kind: one for one in check(path).observations}
    missing, unknown, tool = (seen[kind] for kind in
                              ("answers_missing", "answers_unknown", "no_tool"))  # fmt: skip
    told = "11 of 60 rows have no recorded answer in other.jsonl (1 null): they count as wrong"
    assert (missing.level, missing.text, missing.count) == ("warning", told, 11)
    assert missing.ids[:2] == ("r0", "r50")
    assert unknown.text == "2 recorded answers in other.jsonl belong to no row"
    assert unknown.ids == ("other.jsonl:51", "other.jsonl:52")
    assert "named (use: other) only where" in tool.text
    assert {one.kind for one in run(path).results.audit.observations} >= set(seen)


def test_one_lost_answer_is_told_in_the_singular_and_left_out_rows_are_thought_of(tmp_path):
    from tests import studies

    from tuneworthy.flows.study import RunOptions, check

    path = studies.write(tmp_path)
    logged = (tmp_path / "logged.jsonl").read_text().splitlines()
    (tmp_path / "logged.jsonl").write_text("\n".join([*logged[1:], '{"id": "x", "answer": "a"}']))
    text = " ".join(one.text for one in check(path).observations)
    assert "1 of 60 rows has no recorded answer in logged.jsonl: it counts as wrong" in text
    assert "1 recorded answer in logged.jsonl belongs to no row" in text
    text = " ".join(one.text for one in check(path, RunOptions(limit=30)).observations)
    assert "belong to no row, or to one that was left out" in text


ROWS = {
    "label": [{"input": f"message {n}", "output": ["yes", "no"][n % 2]} for n in range(40)],
    "json": [{"input": f"message {n}", "output": {"name": f"n{n}"}} for n in range(40)],
    "number": [{"input": f"message {n}", "output": n * 3} for n in range(40)],
    "text": [{"input": f"message {n}", "output": f"A reply of its own, number {n}."}
             for n in range(40)],
}  # fmt: skip


@pytest.mark.parametrize("kind", ROWS)
def test_a_drafted_task_can_be_read_and_asks_for_the_margin_in_words(kind, tmp_path):
    rows = tmp_path / "my rows: 1.jsonl"
    rows.write_text("\n".join(map(json.dumps, ROWS[kind])))
    drafted = draft(rows, {"present": str(answers(tmp_path, [{"id": "a", "answer": "b"}]))})
    assert drafted.text.startswith(HEADER)
    assert "How many more right answers in 100 would make you maintain a tuned model?" in (
        drafted.text
    )
    assert "score.py" in drafted.text
    (tmp_path / "task.yaml").write_text(drafted.text)
    task = read_task(tmp_path / "task.yaml")
    assert task.output.type == kind
    assert task.data.file == rows.name
    assert task.present.answers == "logged.jsonl"
    assert any("40 rows" in line for line in drafted.sentences)


def test_a_drafted_system_says_where_its_tool_is_written(tmp_path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text("\n".join(map(json.dumps, ROWS["label"])))
    logged = answers(tmp_path, [{"id": "a", "answer": "b"}])
    text = draft(rows, {"hosted": str(logged)}).text
    for written, tool in ((text, None), (text.replace("    # tool:", "    tool:"), "tune")):
        (tmp_path / "task.yaml").write_text(written)
        found = read_task(tmp_path / "task.yaml").answers["hosted"]
        assert (found.file, found.tool) == ("logged.jsonl", tool)


def test_a_draft_speaks_only_of_what_the_rows_have(tmp_path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text("\n".join(map(json.dumps, ROWS["label"])))
    text = draft(rows).text
    assert "docs:" not in text
    assert "schema:" not in text.replace(HEADER, "")
    assert "2 labels" in text
    with pytest.raises(TaskError, match="no such file of answers"):
        draft(rows, {"other": str(tmp_path / "nowhere.jsonl")})


def test_the_editor_schema_knows_every_key_and_takes_what_we_read():
    import jsonschema

    schema = task_schema()
    check = jsonschema.Draft202012Validator(schema)
    assert check.is_valid({"data": {"file": "a"}, "answers": {"x": "a.jsonl"},
                           "success": {"margin": 0.1}})  # fmt: skip
    assert not check.is_valid({"data": {"file": "a"}, "succes": {}})
    assert not check.is_valid({"data": {"file": "a"}, "inferred": []})
    assert not check.is_valid({})


def test_an_id_of_zero_that_matches_nothing_is_shown(tmp_path):
    with pytest.raises(DataError, match="first id: 0"):
        read_answers(answers(tmp_path, [{"id": 0, "answer": "a"}]), CASES)
