"""Files as engineers have them: logs with costs, tool calls, odd exports, unused columns."""

import json

import openpyxl
import pytest

from tuneworthy.cli._frame import run
from tuneworthy.rows.log_roles import measured_columns, measured_values
from tuneworthy.rows.logs import spans
from tuneworthy.rows.taskfile import read_task

TEAMS = ("refund", "replace", "apologise")


def rows_of(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def gold_and_logs(folder, end="."):
    gold = [{"ticket_id": f"T{k}", "body": f"order {k} is late", "expected": TEAMS[k % 3]}
            for k in range(60)]  # fmt: skip
    lines(folder / "gold.jsonl", gold)
    for name, wrong in (("one", 5), ("two", 4)):
        lines(folder / f"{name}.jsonl", [
            {"ticket_id": row["ticket_id"],
             "model_output": row["expected"].title() + end if k % wrong else "none",
             "cost_usd": 0.002, "latency_ms": 250, "usage": {"prompt_tokens": 9}}
            for k, row in reversed(list(enumerate(gold)))
        ])  # fmt: skip


def test_logs_by_id_beside_rows_become_systems_with_their_costs(tmp_path, capsys):
    gold_and_logs(tmp_path)
    assert run(["init", "one.jsonl", "gold.jsonl", "two.jsonl"]) == 0
    told = capsys.readouterr().err
    assert "from one.jsonl: answer `model_output`, usd `cost_usd`, seconds `latency_ms`" in told
    assert set(read_task(tmp_path / "task.yaml").answers) == {"one", "two"}
    assert rows_of(tmp_path / "task.one.jsonl")[-1] == {
        "answer": "none", "id": "T0", "usd": 0.002, "seconds": 0.25, "tokens_in": 9,
    }  # fmt: skip
    assert run(["init", "one.jsonl", "two.jsonl", "--force"]) == 5  # no rows among them


def test_labels_with_a_mark_behind_them_are_right_for_init_and_compare(tmp_path, capsys):
    gold_and_logs(tmp_path)
    assert run(["init", "gold.jsonl", "one.jsonl", "two.jsonl"]) == 0
    told = capsys.readouterr().err
    assert "0 of 120 recorded answers equal a right label, 93 but for punctuation" in told
    assert "counts as wrong" not in told
    task = read_task(tmp_path / "task.yaml")
    assert (task.output.type, task.success.metric) == ("label", "exact_words")
    words = ["compare", "one.jsonl", "two.jsonl", "--gold", "gold.jsonl", "--json"]
    assert run(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["metric"] == "exact_words"
    assert found["a"]["score"]["mean"] == pytest.approx(48 / 60)
    assert found["b"]["score"]["mean"] == pytest.approx(45 / 60)
    gold_and_logs(tmp_path, end="")
    assert run(words) == 0
    assert json.loads(capsys.readouterr().out)["metric"] == "accuracy"


def test_a_right_answer_that_calls_a_tool_is_its_call_as_json(tmp_path, capsys):
    def chat(k, **last):
        return {"messages": [{"role": "system", "content": "Use tools."},
                             {"role": "user", "content": f"weather on day {k}?"},
                             {"role": "assistant", **last}]}  # fmt: skip

    def call(name, **arguments):
        return {"id": "1", "type": "function",
                "function": {"name": name, "arguments": json.dumps(arguments)}}  # fmt: skip

    made = [chat(k, tool_calls=[call("get_weather", day=k)]) for k in range(40)]
    made.append(chat(40, content=None, tool_calls=[call("a"), call("b", x=1)]))
    made.append(chat(41, tool_calls=[{"id": "odd"}]))
    lines(tmp_path / "ft.jsonl", made)
    assert run(["init", "ft.jsonl"]) == 0
    told = capsys.readouterr().err
    assert "41 right answers that called tools: written as JSON" in told
    assert "left out 1 record: the answer is a tool call (first ft.jsonl:42)" in told
    rows = rows_of(tmp_path / "task.rows.jsonl")
    answers = [json.loads(row["messages"][-1]["content"]) for row in rows]
    assert answers[3] == {"name": "get_weather", "arguments": {"day": 3}}
    assert answers[40] == [{"name": "a", "arguments": {}}, {"name": "b", "arguments": {"x": 1}}]
    lines(tmp_path / "ft.jsonl", made[:30])  # without a record left out it is imported as well
    assert run(["init", "ft.jsonl", "--force"]) == 0
    assert len(rows_of(tmp_path / "task.rows.jsonl")) == 30


def test_a_support_export_is_read_by_its_words_and_unused_columns_are_told(tmp_path, capsys):
    head = "Vorgang;Betreff;Freitext;Bearbeiter;Zugewiesen an;Bot-Vorschlag"
    cells = [head]
    for k in range(60):
        said = TEAMS[k % 3] if k % 4 else TEAMS[(k + 1) % 3]
        cells.append(f"V-{k:04};Anliegen;Grüße, die Sache {k} hängt;{'mk'[k % 2]};"
                     f"{TEAMS[k % 3]};{said}")  # fmt: skip
    (tmp_path / "export 1.csv").write_bytes("\n".join(cells).encode("iso-8859-1"))
    assert run(["init", "export 1.csv"]) == 0
    told = capsys.readouterr().err
    for line in ("id            `Vorgang`", "input         `Freitext`",
                 "right answer  `Zugewiesen an`", "not used      `Betreff`, `Bearbeiter`",
                 "present       `Bot-Vorschlag`, 60 answers"):  # fmt: skip
        assert line in told
    assert rows_of(tmp_path / "task.rows.jsonl")[7]["id"] == "V-0007"


def test_attributes_alone_make_no_span():
    assert not spans.reads({"attributes": {"text": "hi"}, "id": 3})
    assert spans.reads({"attributes": {"text": "hi"}, "trace_id": "0x1"})
    assert spans.reads({"attributes": {"gen_ai.system": "x"}})


def test_what_a_log_measured_is_read_by_its_names_and_units():
    columns = ["id", "Cost_USD", "Latency_ms", "usage", "usage.input_tokens", "tokens_out"]
    found = measured_columns(columns)
    assert found == {"usd": "Cost_USD", "seconds": "Latency_ms",
                     "tokens_in": "usage.input_tokens"}  # fmt: skip
    record = {"Cost_USD": "0.5", "Latency_ms": 1500, "usage": {"input_tokens": 7}}
    assert measured_values(record, found) == {"usd": 0.5, "seconds": 1.5, "tokens_in": 7}
    for odd in (None, True, "n/a", -1, float("inf"), [1]):
        assert measured_values({"Cost_USD": odd}, {"usd": "Cost_USD"}) == {}
    assert measured_values({"duration_s": 2}, {"seconds": "duration_s"}) == {"seconds": 2}


def workbook(path, sheets):
    """Write a workbook of {name: rows of texts}."""
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)


def test_of_several_sheets_the_first_that_holds_a_table_is_read_and_named(tmp_path, capsys):
    tickets = [["N° ticket", "Customer text", "Correct team"]]
    tickets += [[f"{1000 + k}", f"my parcel {k} is late", TEAMS[k % 3]] for k in range(40)]
    notes = [["Readme"], ["Owner: Ann"], *([f"line {k}"] for k in range(20))]
    workbook(tmp_path / "book.xlsx", {"Readme": notes, "Tickets Q1": tickets, "More": tickets})
    assert run(["init", "book.xlsx"]) == 0
    told = capsys.readouterr().err
    assert "book.xlsx: read as the sheet `Tickets Q1` of 3" in told
    assert "id            `N° ticket`" in told
    assert len(rows_of(tmp_path / "task.rows.jsonl")) == 40
    workbook(tmp_path / "one.xlsx", {"Only": tickets[:6]})
    assert run(["init", "one.xlsx", "--force"]) == 0
    assert "one.xlsx: read as an Excel sheet" in capsys.readouterr().err
