"""Two logs and right answers under column names of their own: guessed, named, matched, refused."""

import csv
import json
import random
from pathlib import Path

import pytest
from tests.studies import lines

from tuneworthy.cli._frame import run
from tuneworthy.rows.compared_files import compared_files
from tuneworthy.rows.table_columns import Choice

COMPARE = ["compare", "one.jsonl", "two.jsonl", "--gold", "gold.jsonl"]
CITIES = ["Oslo", "Lima", "Bern", "Kyiv"]


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Write 80 right answers and two shuffled logs, all with names of their own."""
    draw = random.Random(5)
    gold = [
        {
            "qid": f"q{at}",
            "question": f"case {at} {draw.random()}",
            "answers": [CITIES[at % 4], "x"],
        }
        for at in range(80)
    ]

    def log(share):
        rows = [
            {"qid": row["qid"], "prompt": f"Say one word: {row['question']}", "latency_ms": at,
             "response": row["answers"][0] if draw.random() < share else "no"}
            for at, row in enumerate(gold)
        ]  # fmt: skip
        draw.shuffle(rows)
        return rows

    found = {"gold": gold, "one": log(0.9), "two": log(0.5)}
    for name, rows in found.items():
        lines(tmp_path / f"{name}.jsonl", rows)
    monkeypatch.chdir(tmp_path)
    return found


def scores(capsys, *more):
    assert run([*COMPARE, *more, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    return found, (found["a"]["score"]["mean"], found["b"]["score"]["mean"])


def usual(files):
    """Write the same files under the usual names; return the right shares of both logs."""
    right = {row["qid"]: row["answers"][0] for row in files["gold"]}
    return tuple(
        sum(right[row["qid"]] == row["response"] for row in files[name]) / 80
        for name in ("one", "two")
    )


def test_names_are_guessed_and_a_shared_unique_column_matches_the_rows(files, capsys):
    found, means = scores(capsys)
    assert means == pytest.approx(usual(files))
    notes = " ".join(found["notes"])
    assert "rows are matched by `qid`" in notes
    assert "the right answer from `answers`, the answers from `response`" in notes
    assert {"q0", "q1"} & {case["id"] for case in found["cases"]}
    assert found["cases"][0]["right"][1] == "x"  # a list of right answers: each of them counts


def test_without_a_shared_key_rows_are_matched_by_the_texts_of_the_input(files, capsys):
    texts = {row["qid"]: row["question"] for row in files["gold"]}
    for name in ("one", "two"):
        rows = [{"asked": texts[row["qid"]], "response": row["response"]} for row in files[name]]
        lines(Path(f"{name}.jsonl"), rows)
    found, means = scores(capsys)
    assert means == pytest.approx(usual(files))
    assert not any("matched by" in note for note in found["notes"])


def test_named_columns_win_over_guessed_ones(files, capsys):
    for name in ("one", "two"):
        lines(Path(f"{name}.jsonl"), [{**row, "draft": "no"} for row in files[name]])
    for row in files["gold"]:
        row["checked"] = "no"
    lines(Path("gold.jsonl"), files["gold"])
    _, means = scores(capsys, "--answer-column", "draft", "--gold-column", "checked",
                      "--input-column", "question", "--id-column", "qid")  # fmt: skip
    assert means == (1.0, 1.0)


def test_named_columns_may_differ_in_their_case(files, capsys):
    upper = [{"QID": row["qid"], "Response": row["response"]} for row in files["two"]]
    lines(Path("two.jsonl"), upper)
    _, means = scores(capsys, "--id-column", "Qid", "--gold-column", "ANSWERS",
                      "--answer-column", "RESPONSE", "--input-column", "Question")  # fmt: skip
    assert means == pytest.approx(usual(files))


def test_a_log_may_be_a_table_and_its_key_may_have_another_name(files, capsys):
    for name in ("one", "two"):
        with Path(f"{name}.csv").open("w", newline="") as file:
            out = csv.writer(file, delimiter=";")
            out.writerow(["Vorgang Nr.", "Antwort"])
            out.writerows([row["qid"], row["response"]] for row in files[name])
    words = ["compare", "one.csv", "two.csv", "--gold", "gold.jsonl", "--json"]
    assert run(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["n"] == 80
    assert found["a"]["score"]["mean"] == pytest.approx(usual(files)[0])


def test_logs_in_the_order_of_the_rows_are_matched_on_request(files, capsys):
    by_id = {name: {row["qid"]: row for row in files[name]} for name in ("one", "two")}
    for name in ("one", "two"):
        rows = [{"response": by_id[name][row["qid"]]["response"]} for row in files["gold"]]
        lines(Path(f"{name}.jsonl"), rows)
    assert run(COMPARE) == 5
    assert "`--match order`" in capsys.readouterr().err
    _, means = scores(capsys, "--match", "order")
    assert means == pytest.approx(usual(files))


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--id-column", "nr"], 2, "gold.jsonl --id-column"),
        (["--answer-column", "said"], 2, "there are: qid, prompt, latency_ms, response"),
        (["--gold-column", "said"], 2, "gold.jsonl --gold-column"),
        (["--a", "response"], 2, "--gold goes with two files"),
    ],
)
def test_a_named_column_that_is_not_there_is_refused(files, capsys, words, code, said):
    assert run([*COMPARE, *words]) == code
    assert said in capsys.readouterr().err


def test_files_whose_columns_say_nothing_ask_for_their_names(files, capsys):
    lines(Path("two.jsonl"), [{"qid": row["qid"], "one": "a b", "other": "c d"}
                              for row in files["two"]])  # fmt: skip
    assert run(COMPARE) == 5
    assert "--answer-column B.COLUMN" in capsys.readouterr().err
    lines(Path("two.jsonl"), files["two"])
    lines(Path("gold.jsonl"), [{"at": at} for at in range(9)])
    assert run(COMPARE) == 5
    assert "--input-column COLUMN" in capsys.readouterr().err


def test_two_columns_either_of_which_may_be_right_are_a_question(files, capsys):
    for row in files["gold"]:
        row["team final"] = row.pop("answers")[0]
        row["team first"] = row["team final"] if row["qid"] != "q7" else "Oslo"
    lines(Path("gold.jsonl"), files["gold"])
    assert run(COMPARE) == 5
    told = " ".join(capsys.readouterr().err.split())
    assert "two columns mostly agree, and either may be the right answer" in told
    assert "team final, team first" in told
    assert scores(capsys, "--gold-column", "team final")[0]["n"] == 80


def test_a_key_that_stands_twice_and_a_bad_gold_row_stop_the_comparison(files, capsys):
    lines(Path("gold.jsonl"), [*files["gold"], files["gold"][0]])
    assert run([*COMPARE, "--id-column", "qid"]) == 5
    assert "duplicate id" in capsys.readouterr().err
    lines(Path("gold.jsonl"), [*files["gold"], {"qid": "q99", "question": "", "answers": ["Oslo"]}])
    assert run(COMPARE) == 5
    assert "empty input" in capsys.readouterr().err
    assert run([*COMPARE, "--bad-rows", "exclude", "--max-bad", "5%", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["left_out"] == {"gold row left out: empty input": 1}


def test_a_row_of_a_log_without_its_answer_column_is_told_by_the_name_of_the_column(files, capsys):
    del files["two"][5]["response"]
    lines(Path("two.jsonl"), files["two"])
    assert run(COMPARE) == 5
    told = " ".join(capsys.readouterr().err.split())
    assert "the log's answers stand in `response`, which is missing here" in told
    assert "two.jsonl:6" in told
    assert '"response": null' in told
    assert "--answer-column" in told
    files["two"][5]["response"] = None
    lines(Path("two.jsonl"), files["two"])
    assert scores(capsys)[0]["n"] == 80


def test_files_with_the_usual_names_are_left_to_the_usual_reader(files):
    lines(Path("gold.jsonl"), [{"input": "a", "output": "b"}, {"input": "c"}])
    log = [{"input": "a", "answer": "b"}]
    lines(Path("one.jsonl"), log)
    paths = Path("gold.jsonl"), [Path("one.jsonl"), Path("one.jsonl")]
    for named in (Choice(), Choice(present="answer")):
        found = compared_files(paths[0], dict(zip("AB", paths[1], strict=True)), named)
        assert [row.fields["input"] for row in found.gold] == ["a", "c"]
        assert [row.fields for row in found.logs[0]] == log
        assert found.notes == ()
