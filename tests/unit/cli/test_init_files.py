"""`tuneworthy init FILE…`: what is taken, what is left out, what is asked, and what is refused."""

import csv
import json
import sys
import zipfile
from datetime import date, timedelta

import openpyxl
import pytest

from tuneworthy.cli import _column_question as question
from tuneworthy.cli._frame import run
from tuneworthy.rows.column_roles import Roles
from tuneworthy.rows.table_columns import Choice
from tuneworthy.rows.taskfile import read_task

TEAMS = ("billing", "delivery", "account")


def tickets(folder, name="tickets.csv", mark=",", n=60, **more):
    head = ["ticket", "message", "team", "gpt4_answer", *more]
    lines = [mark.join(head)]
    for k in range(n):
        said = TEAMS[k % 3] if k % 5 else TEAMS[(k + 1) % 3]
        cells = [str(500 + k), f"my order {k} is late", TEAMS[k % 3], said, *more.values()]
        lines.append(mark.join(cells))
    (folder / name).write_text("\n".join(lines) + "\n")
    return name


def rows_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("name", "mark"), [("tickets.csv", ","), ("t.csv", ";"), ("t.tsv", "\t"),
                                            ("t.txt", "|")])  # fmt: skip
def test_a_table_with_other_names_becomes_rows_and_the_present_system(name, mark, tmp_path, capsys):
    before = (tmp_path / tickets(tmp_path, name, mark)).read_bytes()
    assert run(["init", name]) == 0
    told = capsys.readouterr()
    assert told.out == "task.yaml\n"
    assert "input         `message`" in told.err
    assert "right answer  `team`" in told.err
    assert "present       `gpt4_answer`, 60 answers" in told.err
    assert "wrote task.present.jsonl, task.rows.jsonl\n" in told.err
    assert (tmp_path / name).read_bytes() == before
    task = read_task(tmp_path / "task.yaml")
    assert (task.name, task.data.file) == (name.split(".")[0], "task.rows.jsonl")
    assert task.present.answers == "task.present.jsonl"
    assert rows_of(tmp_path / "task.rows.jsonl")[0]["id"] == f"{name}:2"
    assert run(["check"]) == 0


def test_columns_can_be_named_and_a_file_that_exists_is_a_file(tmp_path, capsys):
    tickets(tmp_path, other="yes")
    assert run(["init", "tickets.csv", "--input", "message", "--output", "gpt4_answer",
                "--present", "team", "--answers", "old=other"]) == 0  # fmt: skip
    task = read_task(tmp_path / "task.yaml")
    assert (task.present.answers, task.answers["old"].file) == ("task.present.jsonl",
                                                                "task.old.jsonl")  # fmt: skip
    (tmp_path / "other").write_text("".join(
        json.dumps({"id": f"tickets.csv:{k + 2}", "answer": "billing"}) + "\n" for k in range(60)
    ))  # fmt: skip
    assert run(["init", "tickets.csv", "--answers", "old=other", "--force"]) == 0
    assert read_task(tmp_path / "task.yaml").answers["old"].file == "other"
    assert run(["init", "tickets.csv", "--input", "mesage", "--force"]) == 2
    assert "there are: ticket, message, team" in capsys.readouterr().err


def test_output_is_a_column_and_as_before_a_task_file(tmp_path, capsys):
    tickets(tmp_path)
    assert run(["init", "tickets.csv", "--output", "old.yaml"]) == 0
    assert run(["init", "tickets.csv", "--output", "gpt4_answer", "-o", "new.yaml"]) == 0
    assert run(["init", "tickets.csv", "--to", "newer.yml"]) == 0
    assert capsys.readouterr().out.split() == ["old.yaml", "new.yaml", "newer.yml"]
    assert rows_of(tmp_path / "new.rows.jsonl")[0]["output"] == "delivery"
    assert rows_of(tmp_path / "old.rows.jsonl")[0]["output"] == "billing"


def test_several_systems_become_arms(tmp_path):
    tickets(tmp_path, claude="billing", majority_model="billing")
    assert run(["init", "tickets.csv"]) == 0
    task = read_task(tmp_path / "task.yaml")
    assert task.present is None
    assert set(task.answers) == {"gpt4_answer", "claude", "majority_model"}
    assert run(["check"]) == 0


def test_rows_without_use_are_counted_with_their_reason(tmp_path, capsys):
    tickets(tmp_path)
    text = (tmp_path / "tickets.csv").read_text()
    text = text.replace("my order 7 is late", "").replace("is late,billing", "is late,", 2)
    (tmp_path / "tickets.csv").write_text(text + "one,two\n")
    assert run(["init", "tickets.csv"]) == 0
    told = capsys.readouterr().err
    assert "left out 2 records: no right answer (first tickets.csv:2)" in told
    assert "left out 1 record: empty input (first tickets.csv:9)" in told
    assert "left out 1 record: ragged row (first tickets.csv:62)" in told
    assert "57 rows with a right answer" in told


def test_traces_need_right_answers_from_elsewhere_or_a_word_of_yours(tmp_path, capsys):
    traces = [{"traceId": f"t{k}", "type": "GENERATION", "input": f"question {k}",
               "model": "gpt-4o", "output": f"place {k % 4}", "latency": 0.5}
              for k in range(40)]  # fmt: skip
    (tmp_path / "traces.jsonl").write_text("\n".join(map(json.dumps, traces)))
    assert run(["init", "traces.jsonl"]) == 5
    told = capsys.readouterr().err
    assert "40 × no right answer (first traces.jsonl:1)" in told
    assert "`gpt-4o`" in told
    assert "--output NAME" in told
    assert [one.name for one in tmp_path.iterdir()] == ["traces.jsonl"]
    gold = [{"question": f"Question  {k}", "answer": f"place {k % 3}"} for k in range(40)]
    (tmp_path / "gold.json").write_text(json.dumps(gold))
    assert run(["init", "traces.jsonl", "gold.json"]) == 0
    assert read_task(tmp_path / "task.yaml").present.answers == "task.gpt-4o.jsonl"
    found = rows_of(tmp_path / "task.gpt-4o.jsonl")
    assert len(found) == 40
    assert found[5] == {"id": "gold.json:6", "answer": "place 1", "seconds": 0.5}
    assert run(["check"]) == 0
    assert run(["init", "traces.jsonl", "--output", "gpt-4o", "--force"]) == 0
    assert rows_of(tmp_path / "task.rows.jsonl")[5]["output"] == "place 1"


def test_a_file_of_no_format_gets_the_nearest_one_and_what_it_lacks(tmp_path, capsys):
    rows = [{"function_name": "f", "score": k, "tags": {}} for k in range(5)]
    (tmp_path / "x.json").write_text(json.dumps(rows))
    assert run(["init", "x.json"]) == 5
    told = capsys.readouterr().err
    assert "the nearest format is a TensorZero data set, which also needs input.messages" in told
    (tmp_path / "x.bin").write_bytes(b"\x01\xff" * 50)
    assert run(["init", "x.bin"]) == 5
    assert "this form of file is not read" in capsys.readouterr().err
    (tmp_path / "y.csv").write_text("date,amount\n2026-01-01,5\n2026-01-02,6\n")
    assert run(["init", "y.csv"]) == 5
    assert "tuneworthy init y.csv --input COL --output amount" in capsys.readouterr().err
    assert not list(tmp_path.glob("task*"))


def test_a_chat_file_is_read_where_it_lies_unless_rows_must_be_left_out(tmp_path, capsys):
    def chat(*texts):
        roles = ("system", "user", "assistant")
        return {"messages": [{"role": r, "content": t} for r, t in zip(roles, texts, strict=False)]}

    made = [chat("Name the team.", f"order {k} is late", TEAMS[k % 3]) for k in range(30)]
    (tmp_path / "chat.jsonl").write_text("\n".join(map(json.dumps, made)))
    assert run(["init", "chat.jsonl"]) == 0
    told = capsys.readouterr().err
    assert "chat.jsonl: read where it lies" in told
    assert "system prompt the same in each of 30 rows: “Name the team.”" in told
    assert read_task(tmp_path / "task.yaml").data.file == "chat.jsonl"
    made.append(chat("Name the team.", "and this one?"))
    (tmp_path / "chat.jsonl").write_text("\n".join(map(json.dumps, made)))
    assert run(["init", "chat.jsonl", "--force"]) == 0
    assert "left out 1 record: no right answer (first chat.jsonl:31)" in capsys.readouterr().err
    assert len(rows_of(tmp_path / "task.rows.jsonl")) == 30


def test_a_list_of_right_answers_is_said_and_can_be_kept_as_json(tmp_path, capsys):
    rows = [{"q": f"where is thing {k} kept?", "answers": [f"shelf {k}", f"hall {k}"]}
            for k in range(30)]  # fmt: skip
    (tmp_path / "qa.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert run(["init", "qa.jsonl"]) == 0
    assert "lists: any of their texts is right (else: --lists json)" in capsys.readouterr().err
    assert rows_of(tmp_path / "task.rows.jsonl")[2]["accepted"] == ["hall 2"]
    assert run(["init", "qa.jsonl", "--lists", "json", "--force"]) == 0
    assert rows_of(tmp_path / "task.rows.jsonl")[2]["output"] == ["shelf 2", "hall 2"]


class Terminal:
    def isatty(self):
        return True

    def write(self, text):
        return len(text)

    def flush(self):
        pass


def test_the_question_is_put_once_on_a_terminal_and_never_in_a_pipe(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(sys, "stderr", Terminal())
    asked = []
    monkeypatch.setattr(
        question, "input_line", lambda: asked.append(1) or "output=gpt4_answer x=team"
    )
    tickets(tmp_path)
    tickets(tmp_path, "more.csv")
    assert run(["init", "tickets.csv", "more.csv"]) == 0
    assert asked == [1]
    task = read_task(tmp_path / "task.yaml")
    assert set(task.answers) >= {"x"}
    assert run(["init", "tickets.csv", "--input", "message", "--output", "team", "--force"]) == 0
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False)
    assert run(["init", "tickets.csv", "--force"]) == 0
    assert asked == [1]


def at_terminal(monkeypatch, *replies):
    said, left = [], list(replies)
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(question, "print_stderr", said.append)
    monkeypatch.setattr(question, "input_line", lambda: left.pop(0) if left else "")
    return said


@pytest.mark.parametrize("first", ["n", "no", "yes please", "it's 'odd"])
def test_another_reply_than_columns_asks_for_one_after_the_other(first, tmp_path, monkeypatch):
    tickets(tmp_path)
    said = at_terminal(monkeypatch, first, "1", "GPT4_answer", "none")
    assert run(["init", "tickets.csv"]) == 0
    named = next(line for line in said if line.strip().startswith("1 "))
    column = named.split()[1]
    row = rows_of(tmp_path / "task.rows.jsonl")[0]
    with (tmp_path / "tickets.csv").open() as file:
        cells = next(csv.DictReader(file))
    assert (row["input"], row["output"]) == (cells[column], cells["gpt4_answer"])
    assert read_task(tmp_path / "task.yaml").present is None


@pytest.mark.parametrize("form", ["u.csv", "u.parquet"])
def test_unclear_columns_of_any_form_are_asked_for_at_a_terminal_alone(form, tmp_path, monkeypatch,
                                                                       capsys):  # fmt: skip
    rows = [{"a": f"words of thing {k}", "b": "xyz"[k % 3], "c": "zyx"[k % 3]} for k in range(40)]
    if form.endswith("csv"):
        with (tmp_path / form).open("w", newline="") as file:
            out = csv.DictWriter(file, rows[0])
            out.writeheader()
            out.writerows(rows)
    else:
        tables = pytest.importorskip("pyarrow.parquet")
        tables.write_table(sys.modules["pyarrow"].Table.from_pylist(rows), tmp_path / form)
    assert run(["init", form]) == 5
    assert f"tuneworthy init {form} --input a --output b" in capsys.readouterr().err
    said = at_terminal(monkeypatch, "", "nosuch", "3", "b")
    assert run(["init", form]) == 0
    assert said[0] == "no column looks like the right answer: which is it?"
    assert "there is no column `nosuch`" in said
    assert rows_of(tmp_path / "task.rows.jsonl")[0] == {
        "id": f"{form}:{2 if form.endswith('csv') else 1}", "input": "words of thing 0",
        "output": "z",
    }  # fmt: skip
    assert run(["init", form, "--force"]) == 5  # the input ends before a column is named


def test_a_reply_changes_what_it_names():
    roles = Roles("a", "b", {"present": "c"})
    read = question.read_reply
    assert read("", roles) is None
    assert read('output="d e" lists=json', roles) == Choice("a", "d e", "c", {}, "json")
    assert read("old=f", roles) == Choice("a", "b", "c", {"old": "f"})
    with pytest.raises(ValueError, match="ROLE=COLUMN"):
        read("yes please", roles)


def test_a_package_that_is_missing_is_named_with_its_extra(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    (tmp_path / "x.parquet").write_bytes(b"PAR1" + bytes(100))
    assert run(["init", "x.parquet"]) == 2
    assert 'pip install "tuneworthy[tables]"' in capsys.readouterr().err


def test_parquet_saved_data_sets_and_excel_are_read_alike(tmp_path):
    datasets = pytest.importorskip("datasets")
    made = {"question": [f"where is {k}?" for k in range(30)], "label": [k % 2 for k in range(30)]}
    kinds = datasets.Features({"question": datasets.Value("string"),
                               "label": datasets.ClassLabel(names=["no", "yes"])})  # fmt: skip
    found = datasets.Dataset.from_dict(made, features=kinds)
    found.to_parquet("p.parquet")
    found.save_to_disk("one")
    datasets.DatasetDict({"train": found, "test": found.select(range(9))}).save_to_disk("two")
    wanted = [("where is 0?", "no"), ("where is 1?", "yes")]
    for path, count in (("p.parquet", 30), ("one", 30), ("two", 39)):
        assert run(["init", path, "--force"]) == 0
        rows = rows_of(tmp_path / "task.rows.jsonl")
        assert len(rows) == count
        assert [(row["input"], row["output"]) for row in rows[:2]] == wanted
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for cells in (["question", "label"], *([f"where is {k}?", ("yes", "no")[k % 2]]
                                           for k in range(30))):  # fmt: skip
        book.active.append(cells)
    book.save("e.xlsx")
    assert run(["init", "e.xlsx", "--force"]) == 0
    assert len(rows_of(tmp_path / "task.rows.jsonl")) == 30


def test_a_sheet_has_shared_texts_dates_and_gaps(tmp_path, capsys):
    book = openpyxl.Workbook()
    for letter, name in zip("ACDE", ("question", "label", "seen", "n"), strict=True):
        book.active[f"{letter}1"] = name
    for k in range(2, 32):
        day = date(2026, 1, 31) + timedelta(k)
        for letter, value in zip(
            "ACDE", (f"where is {k - 1}?", k % 2 == 1, day, k + 0.5), strict=True
        ):
            book.active[f"{letter}{k}"] = value
    book.save("s.xlsx")
    assert run(["init", "s.xlsx"]) == 0
    first = rows_of(tmp_path / "task.rows.jsonl")[0]
    assert first == {"id": "s.xlsx:2", "input": "where is 1?", "output": False,
                     "meta": {"seen": "2026-02-02", "n": 2.5}}  # fmt: skip
    with zipfile.ZipFile("s.xlsx") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile("s.xlsx", "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content[:400] if "worksheets/" in name else content)
    capsys.readouterr()
    assert run(["init", "s.xlsx", "--force"]) == 5
    assert "the Excel file is broken" in capsys.readouterr().err


def test_of_a_long_file_the_task_is_drafted_by_its_first_rows(tmp_path, capsys):
    tickets(tmp_path, n=10_500)
    assert run(["init", "tickets.csv"]) == 0
    told = capsys.readouterr().err
    assert "10,500 rows; in the first 10,000 answers look like label" in told
    assert "30 % are held out" in (tmp_path / "task.yaml").read_text()
    assert len(rows_of(tmp_path / "task.rows.jsonl")) == 10_500


def test_answers_and_grades_in_a_csv_are_read_like_json_lines(tmp_path):
    tickets(tmp_path)
    lines = ["id,answer,seconds,tokens_out"]
    lines += [f"tickets.csv:{k + 2},billing,0.25,7" for k in range(60)]
    (tmp_path / "logged.csv").write_text("\n".join(lines))
    assert run(["init", "tickets.csv", "--output", "team", "--input", "message", "--answers",
                "old=logged.csv"]) == 0  # fmt: skip
    assert read_task(tmp_path / "task.yaml").answers["old"].file == "logged.csv"
    assert run(["check"]) == 0
    (tmp_path / "logged.csv").write_text("\n".join([*lines[:-1], "tickets.csv:61,billing,fast,7"]))
    assert run(["check"]) == 5


def test_kept_is_said_only_where_something_was_kept(tmp_path, capsys):
    assert run(["check"]) == 2
    assert "kept" not in capsys.readouterr().err
    assert run(["check", "--nonsense"]) == 2
    assert "kept" not in capsys.readouterr().err
    (tmp_path / ".tuneworthy").mkdir()
    assert run(["check"]) == 2
    assert "`tuneworthy run` continues" in capsys.readouterr().err


def test_a_document_on_one_line_and_our_columns_with_another_mark(tmp_path):
    tests = [{"vars": {"q": f"thing {k}"}, "assert": [{"type": "equals", "value": f"p{k % 3}"}]}
             for k in range(20)]  # fmt: skip
    (tmp_path / "tests.json").write_text(json.dumps({"description": "d", "tests": tests}))
    assert run(["init", "tests.json"]) == 0
    assert len(rows_of(tmp_path / "task.rows.jsonl")) == 20
    lines = ["input;output", *(f"thing {k};{TEAMS[k % 3]}" for k in range(30))]
    (tmp_path / "ours.csv").write_text("\n".join(lines))
    assert run(["init", "ours.csv", "--force"]) == 0
    assert read_task(tmp_path / "task.yaml").data.file == "task.rows.jsonl"
    (tmp_path / "ours.csv").write_text("\n".join(lines).replace(";", ","))
    assert run(["init", "ours.csv", "--force"]) == 0
    assert read_task(tmp_path / "task.yaml").data.file == "ours.csv"


def test_two_tables_with_a_system_each_give_two_arms_on_the_same_rows(tmp_path):
    tickets(tmp_path, "may.csv")
    tickets(tmp_path, "june.csv")
    assert run(["init", "may.csv", "june.csv"]) == 0
    assert len(rows_of(tmp_path / "task.rows.jsonl")) == 60
    assert set(read_task(tmp_path / "task.yaml").answers) == {"may", "june"}
    assert run(["check"]) == 0


def test_a_column_that_a_known_format_lacks_is_refused(tmp_path, capsys):
    (tmp_path / "a.jsonl").write_text('{"instruction": "a", "output": "b"}\n' * 3)
    assert run(["init", "a.jsonl", "--input", "question"]) == 2
    assert "read as Alpaca rows" in capsys.readouterr().err


def test_an_import_that_can_not_be_drafted_leaves_nothing_and_none_is_overwritten(tmp_path, capsys):
    turns = [[{"role": "user", "content": f"order {k}"},
              {"role": "assistant", "content": TEAMS[k % 3]}] for k in range(60)]  # fmt: skip
    turns[3][1]["content"] = TEAMS[0].upper()
    chats = [{"messages": pair} for pair in (*turns, turns[0][:1])]
    (tmp_path / "chats.jsonl").write_text("".join(json.dumps(chat) + "\n" for chat in chats))
    assert run(["init", "chats.jsonl"]) == 5
    assert "labels differ only by case" in capsys.readouterr().err
    assert [one.name for one in tmp_path.iterdir()] == ["chats.jsonl"]
    tickets(tmp_path)
    (tmp_path / "task.rows.jsonl").write_text("mine")
    assert run(["init", "tickets.csv"]) == 2
    assert "there is a file of rows already" in capsys.readouterr().err
    assert run(["init", "tickets.csv", "--force"]) == 2
    assert (tmp_path / "task.rows.jsonl").read_text() == "mine"
    (tmp_path / "task.rows.jsonl").write_text('{"input": "an old row", "output": "x"}\n')
    assert run(["init", "tickets.csv", "--force"]) == 0
