"""Logs as people have them: columns of each file's own, ids that are missing, answers repeated."""

import csv
import json
import random
from pathlib import Path

import pytest
from tests.studies import lines

from tuneworthy.cli._frame import run

COMPARE = ["compare", "one.jsonl", "two.jsonl", "--gold", "gold.jsonl"]
CITIES = ["Oslo", "Lima", "Bern", "Kyiv"]


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Write 100 right answers and two logs in other orders, all keyed `question_id`."""
    draw = random.Random(7)
    gold = [
        {"question_id": f"q{at}", "question": f"Which town has {draw.random()}?",
         "gold": CITIES[at % 4]}
        for at in range(100)
    ]  # fmt: skip

    def log(share):
        rows = [{**row, "answer": row["gold"] if draw.random() < share else "no"} for row in gold]
        draw.shuffle(rows)
        return [{key: row[key] for key in ("question_id", "question", "answer")} for row in rows]

    found = {"gold": gold, "one": log(0.9), "two": log(0.6)}
    write(tmp_path, found)
    monkeypatch.chdir(tmp_path)
    return found


def write(folder, files):
    for name, rows in files.items():
        lines(folder / f"{name}.jsonl", rows)


def compared(capsys, *more):
    assert run([*COMPARE, *more, "--json"]) == 0, capsys.readouterr().err
    found = json.loads(capsys.readouterr().out)
    return found, (found["a"]["score"]["mean"], found["b"]["score"]["mean"])


def refused(capsys, *more):
    """Run the comparison, which must fail; return (exit code, what it said)."""
    code = run([*COMPARE, *more])
    assert code
    return code, " ".join(capsys.readouterr().err.split())


def shares(files):
    right = {row["question"]: row["gold"] for row in files["gold"]}
    return tuple(
        sum(right[row["question"]] == row["answer"] for row in files[name]) / 100
        for name in ("one", "two")
    )


# Each file its own columns.


def with_own_names(files):
    """Give each file columns of its own, beside others that could be meant."""
    names = {
        "gold": ("key", "text", "town"), "one": ("qid", "asked", "said"),
        "two": ("nr", "wanted", "back"),
    }  # fmt: skip
    made = {}
    for name, (key, asked, said) in names.items():
        made[name] = [
            {key: row["question_id"], "batch no": at % 9, "extra": {"text": f"x{at}"},
             asked: row["question"], "draft": "no", said: row.get("answer", row.get("gold"))}
            for at, row in enumerate(files[name])
        ]  # fmt: skip
    return made


def test_each_file_may_name_its_own_columns(files, capsys):
    write(Path(), with_own_names(files))
    words = ["--id-column", "A.qid,B.nr,gold.key", "--answer-column", "A.said, B.back",
             "--input-column", "gold.text", "--gold-column", "gold.town"]  # fmt: skip
    found, means = compared(capsys, *words)
    assert (found["n"], means) == (100, pytest.approx(shares(files)))
    notes = " ".join(found["notes"])
    assert "rows are matched by `qid` and `nr` and `key`" in notes
    assert "the answers from `said` and `back`" in notes


def test_the_id_of_one_file_finds_those_of_the_others(files, capsys):
    write(Path(), with_own_names(files))
    words = ["--answer-column", "A.said,B.back", "--gold-column", "town", "--input-column", "text"]
    assert compared(capsys, *words, "--id-column", "A.qid")[0]["n"] == 100
    code, said = refused(capsys, *words, "--id-column", "gold.town")
    assert code == 5
    assert "no column has the ids of the other files" in said
    assert "--id-column A.COLUMN" in said


def test_a_column_may_be_a_field_of_an_object(files, capsys):
    for name in ("one", "two"):
        for row in files[name]:
            row["meta"] = {"ref": row.pop("question_id")}
            row["result"] = {"text": row.pop("answer")}
            del row["question"]
    write(Path(), files)
    words = ["--id-column", "A.meta.ref,B.meta.ref,gold.question_id", "--answer-column",
             "result.text"]  # fmt: skip
    assert compared(capsys, *words)[0]["n"] == 100


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--id-column", "A.qid,C.nr"], "there are: gold, A, B; write SIDE.COLUMN,SIDE.COLUMN"),
        (["--id-column", "A.question_id,B.questionid"], "did you mean `question_id`? there are:"),
        (["--answer-column", "gold.gold"], "no column has this name"),
        (["--answer-column", "A.said"], "one.jsonl --answer-column"),
        (["--gold-column", "A.answer,gold.gold"], "no file of the comparison has this name"),
        (["--id-column", "nr"], "each file its own: --id-column gold.COLUMN,A.COLUMN,B.COLUMN"),
    ],
)
def test_an_unknown_side_or_column_is_refused_with_those_that_are_there(files, capsys, words, said):
    code, told = refused(capsys, *words)
    assert code == 2
    assert said in told


# Ids that are missing.


def without_ids(rows, every, key="question_id"):
    """Return rows of which each `every`-th has no id: no key at all, null and an empty text."""
    found = []
    for at, row in enumerate(rows):
        kinds = ({}, {key: None}, {key: ""})
        left = {name: value for name, value in row.items() if name != key}
        found.append({**left, **kinds[at // every % 3]} if at % every == 0 else row)
    return found


def test_two_logs_keyed_question_id_in_another_order_with_5_percent_of_the_ids_missing(
    files, capsys
):
    made = {name: without_ids(rows, 20) for name, rows in files.items()}
    made["gold"] = files["gold"]
    write(Path(), made)
    found, means = compared(capsys)
    assert (found["n"], means) == (100, pytest.approx(shares(files)))
    notes = " ".join(found["notes"])
    assert "rows are matched by `question_id`" in notes
    for name in ("one", "two"):
        said = f"5 recorded answers in {name}.jsonl have no id, or one that no row has: matched by"
        assert said in notes
    write(Path(), {"gold": without_ids(files["gold"], 20)})
    found, means = compared(capsys)
    assert (found["n"], means) == (100, pytest.approx(shares(files)))


@pytest.mark.parametrize("broken", ["one", "gold"])
def test_numbers_as_ids_may_be_written_with_a_point_where_one_is_missing(files, capsys, broken):
    """A table with an empty cell writes the whole numbers of its column as 12.0."""
    for rows in files.values():
        for row in rows:
            row["question_id"] = int(row["question_id"][1:])
    write(Path(), files)
    gaps = without_ids(files[broken], 20)
    columns = [*files[broken][0]]
    with Path("table.csv").open("w") as file:
        out = csv.DictWriter(file, columns)
        out.writeheader()
        out.writerows({**row, "question_id": f"{row['question_id']}.0"}
                      if row.get("question_id") else row for row in gaps)  # fmt: skip
    words = [f"{name}.jsonl" if name != broken else "table.csv" for name in ("one", "two", "gold")]
    assert run(["compare", *words[:2], "--gold", words[2], "--json"]) == 0, capsys.readouterr().err
    found = json.loads(capsys.readouterr().out)
    assert found["n"] == 100
    assert found["a"]["score"]["mean"] == pytest.approx(shares(files)[0])
    assert "rows are matched by `question_id`" in " ".join(found["notes"])


def test_an_id_that_no_row_has_is_matched_by_its_input(files, capsys):
    for at in range(5):
        files["one"][at]["question_id"] = f"lost-{at}"
    write(Path(), files)
    found, means = compared(capsys)
    assert (found["n"], means) == (100, pytest.approx(shares(files)))
    assert "5 recorded answers in one.jsonl have no id" in " ".join(found["notes"])


def test_answers_that_nothing_matches_are_left_out_on_request(files, capsys):
    """Without ids and inputs 4 % are left out; 10 % need a larger share, as the error says."""
    bare = [{"answer": row["answer"]} for row in files["one"]]
    write(Path(), {"one": [*bare[:4], *files["one"][4:]]})
    code, said = refused(capsys)
    assert code == 5
    assert "4 of 100 answers (4.0%) have no `id` and no `input`" in said
    assert said.endswith("or leave them out: --bad-rows exclude kept your files; nothing was"
                         " written")  # fmt: skip
    found, _ = compared(capsys, "--bad-rows", "exclude")
    assert found["n"] == 96
    assert found["left_out"] == {
        "no answer in one.jsonl": 4, "answer in one.jsonl that nothing matches to a row": 4,
    }  # fmt: skip
    write(Path(), {"one": [*bare[:10], *files["one"][10:]]})
    words = ["--bad-rows", "exclude", "--max-bad", "10%"]
    code, said = refused(capsys, "--bad-rows", "exclude")
    assert " ".join(words) in said
    assert compared(capsys, *words)[0]["n"] == 90


def test_answers_to_an_input_of_two_rows_are_left_out_on_request(files, capsys):
    """Two rows have one input and other right answers: without ids nothing says whose each is."""
    first, second = files["gold"][0], files["gold"][2]
    for name in ("one", "two"):
        for row in files[name]:
            if row["question"] in (first["question"], second["question"]):
                row["answer"] = row["question_id"]
                if name == "one":
                    del row["question_id"]
            if row["question"] == second["question"]:
                row["question"] = first["question"]
    second["question"] = first["question"]
    write(Path(), files)
    code, said = refused(capsys)
    assert code == 5
    assert "1 input with 2 answers" in said
    assert "or leave them out: --bad-rows exclude" in said
    found, _ = compared(capsys, "--bad-rows", "exclude")
    assert found["n"] == 98
    assert found["left_out"]["answer in one.jsonl that nothing matches to a row"] == 2


def test_a_log_of_many_more_rows_than_those_with_a_right_answer_is_matched_by_its_key(
    files, capsys
):
    more = [{"question_id": f"x{at}", "question": f"other {at}", "answer": "no"}
            for at in range(900)]  # fmt: skip
    write(Path(), {"one": [*more, *files["one"]]})
    found, means = compared(capsys)
    assert (found["n"], means) == (100, pytest.approx(shares(files)))
    assert "900 recorded answers in one.jsonl belong to no row" in " ".join(found["notes"])


# Several right answers.


def test_rows_of_one_id_each_hold_a_right_answer(files, capsys):
    again = [{**row, "gold": f"the town of {row['gold']}"} for row in files["gold"]]
    write(Path(), {"gold": [*files["gold"], *again]})
    for row in files["one"]:
        row["answer"] = f"the town of {row['answer']}" if row["answer"] != "no" else "no"
    write(Path(), {"one": files["one"]})
    found, means = compared(capsys, "--metric", "exact")
    assert found["n"] == 100
    assert found["cases"][0]["right"][1].startswith("the town of")
    assert means == (pytest.approx(0.9, abs=0.07), pytest.approx(0.6, abs=0.12))
    assert "100 ids have several rows: each of their answers is right" in " ".join(found["notes"])


def test_a_second_row_of_a_few_ids_is_a_conflict(files, capsys):
    write(Path(), {"gold": [*files["gold"], {**files["gold"][0], "gold": "Rome"}]})
    code, said = refused(capsys, "--id-column", "question_id")
    assert code == 5
    assert "another right answer to an id of an earlier row" in said
    assert 'if both are right, write them as a list in one row: ["Oslo", "Rome"]' in said
    assert compared(capsys, "--bad-rows", "exclude")[0]["n"] == 100


# Repeats.


@pytest.mark.parametrize("key", ["repeat", "run", "epoch", "trial", None])
def test_the_sides_may_repeat_differently_and_the_row_is_the_unit(files, capsys, key):
    draw = random.Random(3)
    number = {} if key is None else {key: 0}
    made = {}
    for name, times in (("one", 3), ("two", 2)):
        made[name] = []
        for at in range(times):
            for row in files[name]:
                said = row["answer"] if at == 0 or draw.random() < 0.7 else "no"
                again = dict.fromkeys(number, at)
                made[name].append({"question_id": row["question_id"], "answer": said, **again})
    write(Path(), made)
    found, means = compared(capsys)
    right = {row["question_id"]: row["gold"] for row in files["gold"]}
    expected = [sum(right[row["question_id"]] == row["answer"] for row in made[name]) / len(
        made[name]) for name in ("one", "two")]  # fmt: skip
    assert found["n"] == 100
    assert means == pytest.approx(expected)
    assert (found["a"]["answers_per_row"], found["b"]["answers_per_row"]) == ([3, 3], [2, 2])
    notes = " ".join(found["notes"])
    assert "A answers each row 3 times, B 2 times: the mean of a row's answers counts" in notes


def test_a_side_that_answers_once_and_one_that_answers_unevenly_are_told(files, capsys):
    again = [{**row, "answer": "no"} for row in files["one"][:60]]
    write(Path(), {"one": [*files["one"], *again]})
    found, _ = compared(capsys)
    assert found["n"] == 100
    assert "A answers each row 1 to 2 times, B once" in " ".join(found["notes"])


def test_a_column_that_several_questions_share_is_no_key(files, capsys):
    """Rows of one document have its id, and are matched by their inputs."""
    place = {row["question"]: at // 4 for at, row in enumerate(files["gold"])}
    for rows in files.values():
        for row in rows:
            row["doc_id"] = f"d{place[row['question']]}"
            del row["question_id"]
    write(Path(), files)
    found, means = compared(capsys)
    assert (found["n"], means) == (100, pytest.approx(shares(files)))
    assert not any("matched by" in note for note in found["notes"])


def test_gold_rows_that_are_a_part_of_the_logs_match_by_input_too(tmp_path, monkeypatch, capsys):
    """The right answers of one kind of rows: lost ids are still matched by the text."""
    monkeypatch.chdir(tmp_path)
    rows = [{"question_id": f"q{k}", "ticket": f"My thing number {k * 7919 % 997} fails {k}",
             "department": ("tech", "billing", "sales")[k % 3]} for k in range(90)]  # fmt: skip
    lines(Path("gold.jsonl"), [row for row in rows if row["department"] != "sales"])
    for name, every in {"old": 4, "new": 5}.items():
        lines(Path(f"{name}.jsonl"), [
            {"question_id": None if k % 30 == 1 else row["question_id"], "ticket": row["ticket"],
             "prediction": row["department"] if k % every else "sales"}
            for k, row in enumerate(rows)
        ])  # fmt: skip
    words = ["compare", "old.jsonl", "new.jsonl", "--gold", "gold.jsonl", "--json"]
    assert run([*words, "--gold-column", "department"]) == 0
    assert json.loads(capsys.readouterr().out)["n"] == 60


def test_sides_are_named_in_columns_by_their_own_names(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    lines(Path("gold.jsonl"), [{"id": f"r{k}", "input": f"text {k}", "output": "ab"[k % 2]}
                               for k in range(30)])  # fmt: skip
    for name in ("one", "two"):
        lines(Path(f"{name}.jsonl"), [{"id": f"r{k}", "said": "a", "other": "b"}
                                      for k in range(30)])  # fmt: skip
    words = ["compare", "old=one.jsonl", "new=two.jsonl", "--gold", "gold.jsonl", "--json"]
    assert run([*words, "--answer-column", "old.said,new.other"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["a"]["name"], told["won"], told["lost"]) == ("old", 15, 15)


def test_two_systems_without_a_right_answer_are_no_finding(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    lines(Path("gold.jsonl"), [{"id": f"r{k}", "input": f"text {k}", "output": "ab"[k % 2]}
                               for k in range(30)])  # fmt: skip
    for name in ("one", "two"):
        lines(Path(f"{name}.jsonl"), [{"id": f"r{k}", "answer": name} for k in range(30)])
    assert run(["compare", "one.jsonl", "two.jsonl", "--gold", "gold.jsonl"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "Neither system gave an answer that scores above 0, so this says nothing" in shown
    assert "more rows would show it" not in shown
