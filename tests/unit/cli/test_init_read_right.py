"""`tuneworthy init` takes nothing for what it is not: letters, names, right answers, systems."""

import json
import shlex
from pathlib import Path

import pytest

from tuneworthy.cli._frame import run
from tuneworthy.rows.taskfile import read_task

TEAMS = ("Rechnung", "Lieferung", "Kündigung")


def rows_of(path):
    return [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]


def lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def german(n=60, head="Vorgangs-Nr.;Text der Anfrage;Kategorie (geprüft);Antwort Altsystem"):
    cells = [head]
    for k in range(n):
        said = TEAMS[k % 3] if k % 4 else TEAMS[(k + 1) % 3]
        cells.append(f"2024/{k};Grüße, die Sache {k} hängt;{TEAMS[k % 3]};{said}")
    return "\n".join(cells) + "\n"


@pytest.mark.parametrize("head", [
    "Vorgangs-Nr.;Text der Anfrage;Kategorie (geprüft);Antwort Altsystem",
    "Vorgangs-Nr.;Text;Kategorie;Altsystem",  # only the rows have other letters
])  # fmt: skip
def test_a_windows_table_is_read_whole_and_it_is_said(head, tmp_path, capsys):
    (tmp_path / "t.csv").write_bytes(german(head=head).encode("cp1252"))
    assert run(["init", "t.csv"]) == 0
    told = capsys.readouterr().err
    assert "not UTF-8: its letters are read as Windows-1252" in told
    assert "left out" not in told
    rows = rows_of(tmp_path / "task.rows.jsonl")
    assert len(rows) == 60
    assert rows[2]["output"] == "Kündigung"
    assert rows[2]["input"] == "Grüße, die Sache 2 hängt"
    assert read_task(tmp_path / "task.yaml").present is not None


def test_our_own_names_in_a_windows_file_are_imported_and_json_is_read_alike(tmp_path):
    (tmp_path / "own.csv").write_bytes(german(head="id,input,output,x").replace(";", ",").replace(
        "Grüße, ", "Grüße ").encode("cp1252"))  # fmt: skip
    assert run(["init", "own.csv", "--input", "input", "--output", "output"]) == 0
    assert rows_of(tmp_path / "task.rows.jsonl")[0]["input"].startswith("Grüße")
    made = [{"input": f"Grüße {k}", "output": TEAMS[k % 3]} for k in range(30)]
    for name, text in (("a.jsonl", "\n".join(json.dumps(r, ensure_ascii=False) for r in made)),
                       ("a.json", json.dumps(made, ensure_ascii=False))):  # fmt: skip
        (tmp_path / name).write_bytes(text.encode("cp1252"))
        assert run(["init", name, "--force"]) == 0
        assert rows_of(tmp_path / "task.rows.jsonl")[2]["output"] == "Kündigung"


def test_a_few_damaged_letters_do_not_make_a_file_windows(tmp_path, capsys):
    whole = german(n=100).encode("utf-8").split(b"\n")
    whole[5] = whole[5].replace("ü".encode(), b"\xfc")
    (tmp_path / "t.csv").write_bytes(b"\n".join(whole))
    assert run(["init", "t.csv"]) == 0
    assert "left out 1 record: not UTF-8 (first t.csv:6:10)" in capsys.readouterr().err
    whole[0] = whole[0].replace("ü".encode(), b"\xfc")
    (tmp_path / "t.csv").write_bytes(b"\n".join(whole))
    assert run(["init", "t.csv", "--force"]) == 5
    assert "the first line can't be read: not UTF-8" in capsys.readouterr().err


def test_many_unreadable_records_are_refused_unless_they_are_allowed(tmp_path, capsys):
    text = german(n=60).split("\n")
    for k in range(1, 6):
        text[k] += ";one cell more"
    (tmp_path / "t.csv").write_text("\n".join(text), "utf-8")
    assert run(["init", "t.csv"]) == 5
    told = capsys.readouterr().err
    assert "5 of 60 records can't be read" in told
    assert "--max-bad 9%" in told
    assert [one.name for one in tmp_path.iterdir()] == ["t.csv"]
    assert run(["init", "t.csv", "--max-bad", "9%"]) == 0
    assert len(rows_of(tmp_path / "task.rows.jsonl")) == 55
    assert run(["init", "t.csv", "--max-bad", "9", "--force"]) == 2


def test_an_id_is_never_the_right_answer_and_names_the_row(tmp_path, capsys):
    log = [{"qid": f"q{k:03}", "question": f"where is {k}?", "response": f"hall {k % 4}",
            "code": f"X{k}"} for k in range(40)]  # fmt: skip
    lines(tmp_path / "log.jsonl", log)
    assert run(["init", "log.jsonl", "--input", "question", "--present", "response"]) == 5
    told = capsys.readouterr().err
    assert "no column of this file looks like the right answer" in told
    assert "tuneworthy init log.jsonl GOLD" in told
    assert "--input question --output COL --present response" in told
    assert run(["init", "log.jsonl"]) == 0
    first = rows_of(tmp_path / "task.rows.jsonl")[0]
    assert (first["id"], first["output"]) == ("q000", "hall 0")
    assert "id            `qid`" in capsys.readouterr().err


def gold_and_logs(folder, right="answers"):
    asked = [f"where is thing {k} kept?" for k in range(50)]
    lines(folder / "gold.jsonl", [{"qid": f"q{k}", "question": text, right: f"shelf {k % 5}"}
                                  for k, text in enumerate(asked)])  # fmt: skip
    for name, off in (("sys_a", 4), ("sys_b", 3)):
        lines(folder / f"{name}.jsonl", [
            {"qid": f"q{k}", "question": text, "response": f"shelf {(k + k % off) % 5}"}
            for k, text in enumerate(asked)])  # fmt: skip


@pytest.mark.parametrize("order", [["gold", "sys_a", "sys_b"], ["sys_b", "gold", "sys_a"]])
def test_files_that_only_hold_answers_become_systems(order, tmp_path, capsys):
    gold_and_logs(tmp_path)
    assert run(["init", *(f"{name}.jsonl" for name in order)]) == 0
    assert "left out" not in capsys.readouterr().err
    assert set(read_task(tmp_path / "task.yaml").answers) == {"sys_a", "sys_b"}
    rows, said = (rows_of(tmp_path / f"task.{name}.jsonl") for name in ("rows", "sys_a"))
    assert (rows[7]["output"], said[7]) == ("shelf 2", {"id": "q7", "answer": "shelf 0"})


def test_columns_may_be_named_that_only_some_files_have(tmp_path, capsys):
    gold_and_logs(tmp_path)
    named = ["--input", "question", "--output", "answers", "--present", "response"]
    assert run(["init", "gold.jsonl", "sys_a.jsonl", *named]) == 0
    assert read_task(tmp_path / "task.yaml").present.answers == "task.present.jsonl"
    assert len(rows_of(tmp_path / "task.present.jsonl")) == 50
    assert run(["init", "gold.jsonl", "sys_a.jsonl", "sys_b.jsonl", *named, "--force"]) == 0
    assert set(read_task(tmp_path / "task.yaml").answers) == {"sys_a", "sys_b"}
    assert run(["init", "gold.jsonl", "sys_a.jsonl", "--output", "answer", "--force"]) == 2
    assert "did you mean `answers`?" in capsys.readouterr().err


def test_two_logs_without_right_answers_are_refused_and_names_of_files_count(tmp_path, capsys):
    gold_and_logs(tmp_path, right="response")
    assert run(["init", "sys_a.jsonl", "sys_b.jsonl"]) == 5
    told = capsys.readouterr().err
    assert "two files answer the same inputs differently" in told
    assert "tuneworthy init sys_a.jsonl --answers NAME=sys_b.jsonl:response" in told
    assert run(["init", "sys_a.jsonl", "gold.jsonl"]) == 0
    assert rows_of(tmp_path / "task.rows.jsonl")[7]["output"] == "shelf 2"


def test_recorded_answers_may_have_columns_of_their_own(tmp_path, capsys):
    gold_and_logs(tmp_path)
    given = ["init", "gold.jsonl", "--answers", "a=sys_a.jsonl", "--answers"]
    assert run([*given, "b=sys_b.jsonl:response"]) == 0
    assert "wrote task.b.jsonl, from sys_b.jsonl: answer `response`" in capsys.readouterr().err
    assert run(["check"]) == 0
    assert rows_of(tmp_path / "task.a.jsonl")[7] == {
        "id": "q7", "answer": "shelf 0", "input": "where is thing 7 kept?"}  # fmt: skip
    assert run([*given, "b=sys_b.jsonl:respons", "--force"]) == 2
    assert "did you mean `response`?" in capsys.readouterr().err
    lines(tmp_path / "odd.jsonl", [{"x": f"hall {k}"} for k in range(5)])
    assert run([*given, "b=odd.jsonl", "--force"]) == 5
    assert "--answers NAME=odd.jsonl:COLUMN" in capsys.readouterr().err


def test_logs_under_our_names_are_read_as_they_are_if_that_can_be(tmp_path):
    gold_and_logs(tmp_path)
    lines(tmp_path / "alone.jsonl", [{"answer": "shelf 1"} for k in range(50)])
    lines(tmp_path / "own.jsonl", [{"id": f"q{k}", "answer": "shelf 1"} for k in range(50)])
    (tmp_path / "win.csv").write_bytes("\n".join(
        ["id;answer", *(f"q{k};Küche" for k in range(50))]).encode("cp1252"))  # fmt: skip
    given = [f"--answers={name.split('.')[0]}={name}" for name in ("own.jsonl", "win.csv")]
    assert run(["init", "gold.jsonl", *given]) == 0
    answers = read_task(tmp_path / "task.yaml").answers
    assert (answers["own"].file, answers["win"].file) == ("own.jsonl", "task.win.jsonl")
    assert rows_of(tmp_path / "task.win.jsonl")[3] == {"answer": "Küche", "id": "q3"}
    assert run(["check"]) == 0
    assert run(["init", "gold.jsonl", "--answers=x=alone.jsonl", "--force"]) == 0
    assert read_task(tmp_path / "task.yaml").answers["x"].file == "alone.jsonl"  # match: order


def test_a_first_line_that_is_a_row_is_no_header(tmp_path, capsys):
    logged = [f"2026-01-{k % 28 + 1:02} INFO | q=lamp {k} | a=hall" for k in range(30)]
    (tmp_path / "x.log").write_text("\n".join(logged))
    plain = [f"my order {k} is late,{TEAMS[k % 2]}" for k in range(30)]
    (tmp_path / "x.csv").write_text("\n".join(plain))
    for name in ("x.log", "x.csv"):
        assert run(["init", name]) == 5
        assert "the first line holds a row" in capsys.readouterr().err
    named = ["--input", "my order 0 is late", "--output", "Rechnung"]
    assert run(["init", "x.csv", *named]) == 0
    (tmp_path / "h.csv").write_text("text,label\n")
    assert run(["init", "h.csv", "--force"]) == 5
    assert "a header and no rows" in capsys.readouterr().err


def test_of_two_shapes_the_one_of_most_records_is_taken(tmp_path, capsys):
    asked = [{"input": f"is item {k} good?", "output": ("yes", "no")[k % 2]} for k in range(40)]
    said = {"role": "assistant", "content": "yes"}
    turns = [{"messages": [{"role": "user", "content": f"{k}?"}, said]} for k in range(15)]
    lines(tmp_path / "both.jsonl", [*turns, *asked])  # our own reader reads both
    assert run(["init", "both.jsonl"]) == 0
    assert "55 rows" in capsys.readouterr().err
    others = [{"prompt": f"which {k}?", "completion": "no"} for k in range(10)]
    lines(tmp_path / "three.jsonl", [*others, *turns, *asked])
    assert run(["init", "three.jsonl", "--force"]) == 0
    told = capsys.readouterr().err
    assert "40 rows with a right answer" in told
    assert "left out 15 records: another shape than most: `messages`" in told
    assert "left out 10 records: another shape than most: `prompt`, `completion`" in told


def test_records_may_stand_below_keys_and_fields_inside_objects(tmp_path, capsys):
    entries = {f"e{k}": {"utter": f"I want thing {k}", "sem": {"intent": ("buy", "ask")[k % 2]}}
               for k in range(40)}  # fmt: skip
    (tmp_path / "w.json").write_text(json.dumps({"meta": {"v": 1}, "payload": {"all": entries}}))
    assert run(["init", "w.json"]) == 0
    assert "right answer  `sem`" in capsys.readouterr().err  # an object is an answer of its own
    assert run(["init", "w.json", "--force", "--output", "sem.intent"]) == 0
    assert rows_of(tmp_path / "task.rows.jsonl")[3]["output"] == "ask"
    assert rows_of(tmp_path / "task.rows.jsonl")[3]["id"] == "e3"
    (tmp_path / "w.json").write_text(json.dumps(entries).replace('"intent"', '"zz"'))
    assert run(["init", "w.json", "--force", "--output", "sem.zz"]) == 0
    assert run(["init", "w.json", "--force", "--output", "sem.z"]) == 2
    assert "did you mean `sem.zz`?" in capsys.readouterr().err


def test_unknown_names_of_columns_get_a_command_line_by_their_values(tmp_path, capsys):
    cells = ["aa;bb;cc"]
    for k in range(60):
        said = TEAMS[k % 3] if k % 4 else TEAMS[(k + 1) % 3]
        cells.append(f"die Sache {k} hängt seit gestern;{TEAMS[k % 3]};{said}")
    (tmp_path / "t.csv").write_text("\n".join(cells), "utf-8")
    assert run(["init", "t.csv"]) == 5
    given = "tuneworthy init t.csv --input aa --output bb --present cc"
    assert given in capsys.readouterr().err
    assert run(given.split()[1:]) == 0


def test_what_ocr_read_is_no_right_answer_and_unsettled_columns_are_refused(tmp_path, capsys):
    def bills(column):
        cells = [f"Beleg-Nr;Text;Betrag (EUR);{column}"]
        for k in range(60):
            read = "" if k % 20 == 5 else f"{k}.75" if k % 7 == 0 else f"{k * 3}.50"
            cells.append(f"B70{k};Rechnung der Firma {k} über Papier;{k * 3}.50;{read}")
        (tmp_path / "b.csv").write_text("\n".join(cells), "utf-8")

    bills("OCR Ergebnis")
    assert run(["init", "b.csv"]) == 0
    assert rows_of(tmp_path / "task.rows.jsonl")[7]["output"] == "21.50"
    said = [row["answer"] for row in rows_of(tmp_path / "task.present.jsonl")]
    assert (said[5], said[7]) == (None, "7.75")
    bills("Ergebnis")
    capsys.readouterr()
    assert run(["init", "b.csv", "--force"]) == 5
    told = " ".join(capsys.readouterr().err.split())
    given = 'tuneworthy init b.csv --input "Text" --output "Betrag (EUR)" --present "Ergebnis"'
    assert given in told
    assert run([*shlex.split(given)[1:], "--force"]) == 0


def test_a_path_is_looked_at_before_the_task_file(tmp_path, capsys):
    (tmp_path / "task.yaml").write_text("data: {file: tickets.csv}")
    (tmp_path / "tickets.csv").write_text(german(), "utf-8")
    assert run(["init", "ticktes.csv"]) == 5
    told = capsys.readouterr().err
    assert "there is no such file" in told
    assert "did you mean tickets.csv?" in told
    assert run(["init", "tickets.csv"]) == 2
    assert run(["init", "nowhere/../gone/x.csv"]) == 5
    assert "/.." not in capsys.readouterr().err.split("looked in")[1].splitlines()[0]


def test_a_fault_of_a_removed_file_is_told_at_its_source(tmp_path, capsys):
    made = [
        {
            "messages": [
                {"role": "user", "content": f"thing {k}"},
                {"role": "assistant", "content": TEAMS[k % 3]},
            ]
        }
        for k in range(60)
    ]
    made[3]["messages"][1]["content"] = TEAMS[0].upper()
    lines(tmp_path / "t.jsonl", [*made, {"messages": made[0]["messages"][:1]}])
    assert run(["init", "t.jsonl"]) == 5
    told = capsys.readouterr().err
    assert "labels differ only by case" in told
    assert "task.rows.jsonl" not in told
    assert "t.jsonl:4" in told


def test_rare_spellings_of_a_label_become_the_usual_one_in_rows_that_are_made(tmp_path, capsys):
    made = german().replace("Rechnung", "rechnung", 1).replace(";Lieferung;", ";Lieferung ;", 1)
    made = made.replace("die", "\u2028die")  # a line separator of Unicode ends no row
    (tmp_path / "t.csv").write_text(made, "utf-8")
    assert run(["init", "t.csv"]) == 0
    told = capsys.readouterr().err
    assert "2 labels differ from a more frequent one only in case or spaces" in told
    assert '("rechnung" as "Rechnung")' in told
    outputs = [row["output"] for row in rows_of(tmp_path / "task.rows.jsonl")]
    assert outputs == [TEAMS[k % 3] for k in range(60)]
    assert (tmp_path / "t.csv").read_text("utf-8") == made


def test_a_table_in_the_place_of_a_task_file_is_recognised(tmp_path, capsys):
    (tmp_path / "my t.csv").write_text(german(), "utf-8")
    assert run(["check", "my t.csv"]) == 2
    told = capsys.readouterr().err
    assert "this is a table, no task file" in told
    assert "tuneworthy init 'my t.csv'" in told


@pytest.mark.parametrize(("spec", "meant"), [
    ("gpt-4o-mini", "openai:gpt-4o-mini"), ("Qwen/Qwen3-0.6B", "hf:Qwen/Qwen3-0.6B"),
    ("smolm2-135m", "smollm2-135m"),
])  # fmt: skip
def test_a_model_without_its_kind_gets_the_likely_one(spec, meant, tmp_path, capsys):
    lines(tmp_path / "rows.jsonl", [{"input": f"a {k}", "output": "x y"[k % 2]} for k in range(20)])
    (tmp_path / "task.yaml").write_text(f"data: {{file: rows.jsonl}}\nmodel: {spec}\n")
    assert run(["check"]) == 2
    assert f"did you mean `{meant}`?" in capsys.readouterr().err


def test_a_hosted_model_that_is_misspelt_is_told_by_check(tmp_path, capsys):
    rows = [{"input": f"item {k} here", "output": ("x", "y")[k % 2]} for k in range(40)]
    lines(tmp_path / "rows.jsonl", rows)
    (tmp_path / "task.yaml").write_text("data: {file: rows.jsonl}\nmodel: openai:gpt-4o-minni\n")
    assert run(["check"]) == 0
    assert "did you mean `openai:gpt-4o-mini`?" in " ".join(capsys.readouterr().out.split())
    (tmp_path / "task.yaml").write_text("data: {file: rows.jsonl}\nmodel: openai:gpt-4o-mini\n")
    assert run(["check"]) == 0
    assert "did you mean" not in capsys.readouterr().out


def test_a_wrong_column_is_told_beside_the_task_file_that_is_there(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("post.csv").write_bytes("N°;Texte du courrier;Service\r\n1;où ?;SAV\r\n".encode("cp1252"))
    Path("task.yaml").write_text("name: mine\n")
    assert run(["init", "post.csv", "--input", "Texte", "--output", "Service"]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "there is a task file already" in told
    assert "no column is called `Texte`: did you mean `Texte du courrier`? there are: N°," in told
    assert run(["init", "post.csv", "--input", "texte du courrier", "--output", "Service"]) == 2
    assert "no column" not in capsys.readouterr().err
    assert Path("task.yaml").read_text() == "name: mine\n"
    assert run(["init", "post.csv", "--input", "Texte", "--output", "Service", "--force"]) == 2
    assert "did you mean `Texte du courrier`?" in " ".join(capsys.readouterr().err.split())
