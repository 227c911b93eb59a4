"""Two logs, or two columns of one CSV, and the right answers: who leads, in one command."""

import csv
import json
import random
from pathlib import Path

import pytest
from tests.studies import lines

from tuneworthy.cli._frame import run

GOLDEN = Path(__file__).parents[2] / "golden"
CITIES = {"New York City": ["NYC", "New York"], "Mumbai": ["Bombay"], "Kyiv": ["Kiev"], "Oslo": [],
          "Lima": [], "Bern": ["Berne"]}  # fmt: skip
PARTS = ("am", "cor", "el", "fal", "gra", "mar"), ("ber", "con", "nite")
WORDS = [a + b for a in PARTS[0] for b in PARTS[1]]


def answer(draw, right, chance):
    """Return a right or accepted answer with this chance, else any city."""
    return draw.choice([right, *CITIES[right]] if draw.random() < chance else list(CITIES))


@pytest.fixture
def logs(tmp_path, monkeypatch):
    """Write rows with several right answers, and two logs; work in their folder."""
    draw = random.Random(32)
    rows, old, new = [], [], []
    for at in range(120):
        right = draw.choice(list(CITIES))
        text = " ".join(draw.sample(WORDS, draw.randint(6, 14)))
        accepted = {"accepted": CITIES[right]} if CITIES[right] else {}
        rows.append({"id": f"q{at}", "input": text, "output": right, **accepted})
        old.append({"id": f"q{at}", "answer": answer(draw, right, 0.60)})
        new.append({"id": f"q{at}", "answer": answer(draw, right, 0.66)})
    for name, own in {"rows": rows, "old": old, "new": new}.items():
        lines(tmp_path / f"{name}.jsonl", own)
    monkeypatch.chdir(tmp_path)
    return rows, old, new


COMPARE = ["compare", "old.jsonl", "new.jsonl", "--gold", "rows.jsonl"]


def test_two_logs_with_accepted_answers_give_the_golden_screen(logs, capsys):
    assert run(COMPARE) == 0
    screen = capsys.readouterr().out
    assert max(map(len, screen.splitlines())) <= 80
    assert screen == (GOLDEN / "compare-two-logs.txt").read_text("utf-8")
    assert not Path(".tuneworthy").exists()
    assert not Path("results").exists()


def test_json_holds_the_same_interval_and_every_differing_row(logs, capsys):
    assert run([*COMPARE, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["difference"] == "b - a"
    assert found["interval"] == "two-sided 95 %"
    assert found["won"] + found["lost"] + found["equal"] == found["n"] == 120
    assert found["mean"] == pytest.approx((found["won"] - found["lost"]) / 120, abs=1e-6)
    assert len(found["cases"]) == found["won"] + found["lost"]
    assert (found["metric"], found["guessed"]) == ("contains", True)


def test_the_leader_is_named_whichever_stands_first(logs, capsys):
    run(COMPARE)
    one = capsys.readouterr().out.splitlines()[0]
    run(["compare", "new.jsonl", "old.jsonl", "--gold", "rows.jsonl"])
    other = capsys.readouterr().out.splitlines()[0]
    assert one.replace("B leads", "A leads") == other
    assert "B leads by" in one


def test_a_metric_can_be_chosen_and_an_unknown_one_is_refused(logs, capsys):
    assert run([*COMPARE, "--metric", "token_f1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["metric"] == "token_f1"
    assert run([*COMPARE, "--metric", "guesswork"]) == 2
    assert "there are:" in capsys.readouterr().err
    assert run([*COMPARE, "--metric", "judge"]) == 2
    assert "a judge is a model" in capsys.readouterr().err


def test_rows_without_an_answer_are_counted_with_their_reason(logs, capsys):
    _, _, new = logs
    new[0]["answer"] = None
    lines(Path("new.jsonl"), [*new[:100], {"id": "stranger", "answer": "Oslo"}])
    assert run([*COMPARE, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["n"] == 100
    assert found["left_out"] == {"no answer in new.jsonl": 20}
    notes = " ".join(found["notes"])
    assert "1 answer is empty in new.jsonl, and counts as wrong" in notes
    assert "1 recorded answer in new.jsonl belongs to no row" in notes


def test_files_that_share_no_row_are_refused_with_counts(logs, capsys):
    _, old, new = logs
    lines(Path("old.jsonl"), old[:60])
    lines(Path("new.jsonl"), new[60:])
    assert run(COMPARE) == 5
    told = capsys.readouterr().err
    assert "A answers 60 of 120 rows, B 60, and no row twice" in told
    lines(Path("new.jsonl"), [{"id": f"other{at}", "answer": "Oslo"} for at in range(9)])
    assert run(COMPARE) == 5
    assert "no recorded answer belongs to a row" in capsys.readouterr().err


def test_answers_without_names_are_refused_with_the_option_that_helps(logs, capsys):
    _, _, new = logs
    lines(Path("new.jsonl"), [{"answer": row["answer"]} for row in new])
    assert run(COMPARE) == 5
    told = capsys.readouterr().err
    assert "`--match order`" in told
    assert "answers.B" not in told
    assert run([*COMPARE, "--match", "order"]) == 0
    assert "matched to the rows by their order" in " ".join(capsys.readouterr().out.split())


def test_the_file_of_right_answers_is_no_log(logs, capsys):
    assert run(["compare", "rows.jsonl", "new.jsonl", "--gold", "rows.jsonl"]) == 5
    assert "the file of recorded answers is the file of right answers" in capsys.readouterr().err


def test_bad_rows_stop_or_are_left_out(logs, capsys):
    with Path("rows.jsonl").open("a") as file:
        file.write('{"id": "bad"}\n')
    assert run(COMPARE) == 5
    capsys.readouterr()
    assert run([*COMPARE, "--bad-rows", "exclude", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n"] == 120


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["old.jsonl", "new.jsonl"], "--gold ROWS"),
        (["rows.csv"], "--a COLUMN --b COLUMN"),
        (["old.jsonl", "--gold", "rows.jsonl"], "--gold goes with two files"),
        (["rows.csv", "--a", "old"], "--b, --gold-column missing"),
        (["nothing"], "one study alone"),
        (["nothing", "more"], "there is no finished study here"),
    ],
)
def test_a_wrong_command_line_says_the_right_one(logs, capsys, words, said):
    Path("rows.csv").write_text("question,old,new,label\n", "utf-8")
    assert run(["compare", *words]) == 2
    assert said in capsys.readouterr().err


def table(logs, separator=",", header=("question", "label", "old", "new", "team")):
    rows, old, new = logs
    with Path("rows.csv").open("w", newline="") as file:
        out = csv.writer(file, delimiter=separator)
        out.writerow(header)
        for at, row in enumerate(rows):
            cells = old[at]["answer"], new[at]["answer"], "red" if at % 2 else "blue"
            out.writerow([row["input"], row["output"], *cells])


COLUMNS = ["compare", "rows.csv", "--a", "old", "--b", "new", "--gold-column", "label"]


@pytest.mark.parametrize("separator", [",", ";"])
def test_two_columns_of_one_file_are_compared(logs, capsys, separator):
    table(logs, separator)
    assert run([*COLUMNS, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["n"], found["a"]["name"], found["b"]["name"]) == (120, "old", "new")
    assert "the input is taken from column `question`" in found["notes"]
    assert {part["kind"] for part in found["slices"]} >= {"team", "length"}
    assert found["cases"][0]["id"].startswith("rows.csv:")


def test_rows_whose_ids_are_not_all_there_are_named_by_their_place(logs, capsys):
    cells = [f"T{at},question {at},a,b,a" for at in range(1_200)]
    cells[1_100] = ",question 1100,a,b,a"  # behind the rows by which columns are recognised
    Path("rows.csv").write_text("\n".join(["ticket id,question,label,old,new", *cells]), "utf-8")
    assert run([*COLUMNS, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["n"] == 1_200
    assert found["cases"][0]["id"].startswith("rows.csv:")


def test_a_row_without_a_right_answer_is_left_out_and_an_empty_answer_is_wrong(logs, capsys):
    rows, old, _ = logs
    rows[0]["output"], old[1]["answer"] = "", ""
    table(logs)
    assert run([*COLUMNS, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["n"] == 119
    assert found["left_out"] == {"no right answer in `label`": 1}
    assert "1 answer is empty in old, and counts as wrong" in found["notes"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--a", "odl", "--b", "new", "--gold-column", "label"], 2, "did you mean `old`?"),
        (["--a", "new", "--b", "new", "--gold-column", "label"], 2, "both systems name one column"),
        (["--a", "label", "--b", "new", "--gold-column", "label"], 2, "stands for a system too"),
        (["--a", "old", "--b", "new", "--gold-column", "empty"], 5, "no row has a right answer"),
    ],
)
def test_wrong_columns_are_named(logs, capsys, words, code, said):
    table(logs)
    text = Path("rows.csv").read_text("utf-8").splitlines()
    both = [f"{line},{'empty' if at == 0 else ''}" for at, line in enumerate(text)]
    Path("rows.csv").write_text("\n".join(both) + "\n", "utf-8")
    assert run(["compare", "rows.csv", *words]) == code
    told = capsys.readouterr().err
    assert said in told
    assert "kept   your files" in told


def test_a_ragged_row_and_an_open_quote_are_refused(logs, capsys):
    table(logs)
    with Path("rows.csv").open("a") as file:
        file.write("one,two\n")
    assert run(COLUMNS) == 5
    assert "ragged row" in capsys.readouterr().err
    table(logs)
    with Path("rows.csv").open("a") as file:
        file.write('"open,two\n')
    assert run(COLUMNS) == 5
    assert "a quote is never closed" in capsys.readouterr().err


def test_rows_of_one_source_show_no_lead_until_the_source_is_named(tmp_path, monkeypatch, capsys):
    """Six neighbours share a document; B loses whole documents, and no row names a group."""
    monkeypatch.chdir(tmp_path)
    draw, lost = random.Random(1), [at % 3 == 0 for at in range(40)]
    draw.shuffle(lost)
    rows = [
        {
            "id": f"d{at // 6}-{at % 6}",
            "input": f"question {draw.random()}",
            "output": "abcd"[at % 4],
        }
        for at in range(240)
    ]
    logs = {
        "a": [{"id": row["id"], "answer": row["output"]} for row in rows],
        "b": [{"id": row["id"], "answer": "none" if lost[at // 6] else row["output"]}
              for at, row in enumerate(rows)],
    }  # fmt: skip
    for named in (False, True):
        own = [{**row, **({"group": row["id"][:-2]} if named else {})} for row in rows]
        for name, every in (("rows", own), *logs.items()):
            lines(tmp_path / f"{name}.jsonl", every)
        words = ["compare", "a.jsonl", "b.jsonl", "--gold", "rows.jsonl"]
        assert run(words) == 0
        screen = " ".join(capsys.readouterr().out.split())
        assert run([*words, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["shown"] is named
        assert ("points, not shown 240 rows" in screen) is not named
        assert ("(`id` may name it)" in screen) is not named
