"""Files that compare can't read are named with the path as given; Windows-1252 is read."""

import json
from pathlib import Path

import openpyxl
import pytest
from tests.studies import lines

from tuneworthy.cli._frame import run

EXCEL = b"PK\x03\x04" + bytes(range(200))
BLOB = bytes([0xAF, 0x80, 0x0A, 0xFE, 0x00, 0x81]) * 50


@pytest.fixture
def logs(tmp_path, monkeypatch):
    """Write 30 rows and two logs under names of their own; work in their folder."""
    monkeypatch.chdir(tmp_path)
    named = [(f"r{at}", "cassé" if at % 3 else "réglé") for at in range(30)]
    gold = [{"rid": name, "question": f"Appareil {name} ?", "right": said} for name, said in named]
    lines(Path("gold.jsonl"), gold)
    for log, every in {"a": 2, "b": 5}.items():
        own = [{"rid": name, "completion": "cassé" if at % every else said}
               for at, (name, said) in enumerate(named)]  # fmt: skip
        lines(Path(f"{log}.jsonl"), own)
    Path("more").mkdir()
    return gold


COMPARE = ["compare", "a.jsonl", "b.jsonl", "--gold", "gold.jsonl"]


@pytest.mark.parametrize("at", [1, 2])
def test_a_log_that_cannot_be_read_is_named_and_not_the_gold_file(logs, capsys, at):
    Path("more/blob.bin").write_bytes(BLOB)
    words = [*COMPARE]
    words[at] = "more/blob.bin"
    assert run(words) == 5
    told = capsys.readouterr().err
    assert "no row of the file can be read: not UTF-8" in told
    assert "more/blob.bin:1:1" in told
    assert "gold.jsonl" not in told


def test_a_log_without_rows_is_named(logs, capsys):
    Path("b.jsonl").write_text("\n\n", "utf-8")
    assert run(COMPARE) == 5
    told = capsys.readouterr().err
    assert "the file has no row" in told
    assert "b.jsonl" in told


@pytest.mark.parametrize("at", [1, 2, 4])
def test_a_missing_file_is_named_by_the_path_as_given(logs, capsys, at):
    words = [*COMPARE]
    words[at] = "more/nope.jsonl"
    assert run(words) == 5
    told = capsys.readouterr().err
    assert "more/nope.jsonl" in told
    assert "the folder you are in" in told
    assert "task.yaml" not in told


def sheet(path, rows):
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path)


def test_excel_is_read_as_json_lines_are_and_a_broken_one_is_named(logs, capsys):
    assert run([*COMPARE, "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    said = [json.loads(line)["completion"] for line in Path("b.jsonl").read_text().splitlines()]
    sheet("more/b.xlsx", [["rid", "completion"], *zip((r["rid"] for r in logs), said, strict=True)])
    assert run(["compare", "a.jsonl", "more/b.xlsx", "--gold", "gold.jsonl", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cases"] == plain["cases"]
    rows = [[*row.values(), "réglé", one] for row, one in zip(logs, said, strict=True)]
    sheet("more/one.xlsx", [["rid", "question", "right", "x", "y"], *rows])
    words = ["--a", "x", "--b", "y", "--gold-column", "right", "--json"]
    assert run(["compare", "more/one.xlsx", *words]) == 0
    assert json.loads(capsys.readouterr().out)["n"] == 30
    Path("more/b.xlsx").write_bytes(EXCEL)
    assert run(["compare", "a.jsonl", "more/b.xlsx", "--gold", "gold.jsonl"]) == 5
    told = capsys.readouterr().err
    assert "more/b.xlsx" in told
    assert "unzip" not in told
    assert run(["compare", "more/b.xlsx"]) == 2
    assert "--gold-column COLUMN" in " ".join(capsys.readouterr().err.split())


def test_a_table_leaves_an_answer_empty_and_a_log_says_which_answer_is_a_repeat(logs, capsys):
    rows = [f"{row['rid']};{'cassé' if at else ''};0.5" for at, row in enumerate(logs)]
    Path("b.txt").write_text("\n".join(["rid;completion;seconds", *rows]), "utf-8")
    assert run(["compare", "a.jsonl", "b.txt", "--gold", "gold.jsonl", "--json"]) == 0
    assert "1 answer is empty in b.txt" in " ".join(json.loads(capsys.readouterr().out)["notes"])
    again = [
        {"rid": row["rid"], "completion": "cassé", "repeat": n} for row in logs for n in (1, 2)
    ]
    lines(Path("b.jsonl"), again)
    assert run([*COMPARE, "--id-column", "rid"]) == 0


def test_a_windows_1252_table_is_read_and_the_screen_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rows = [f"{at};Appareil n° {at};{'réglé' if at % 2 else 'cassé'};réglé;cassé"
            for at in range(30)]  # fmt: skip
    text = "\r\n".join(["réf;texte;catégorie;système a;système b", *rows])
    columns = ["--a", "système a", "--b", "système b", "--gold-column", "catégorie"]
    found = {}
    for encoding in ("cp1252", "utf-8"):
        Path("export.csv").write_bytes(text.encode(encoding))
        assert run(["compare", "export.csv", *columns, "--json"]) == 0
        found[encoding] = json.loads(capsys.readouterr().out)
    said = "export.csv is not UTF-8: its letters are read as Windows-1252"
    assert said in found["cp1252"]["notes"]
    found["cp1252"]["notes"].remove(said)
    assert found["cp1252"] == found["utf-8"]


@pytest.mark.parametrize("usual", [False, True])
def test_windows_1252_logs_are_read_too(logs, capsys, usual):
    if usual:
        for name in ("gold", "a", "b"):
            text = Path(f"{name}.jsonl").read_text("utf-8")
            for own, plain in {"rid": "id", "question": "input", "right": "output",
                               "completion": "answer"}.items():  # fmt: skip
                text = text.replace(f'"{own}"', f'"{plain}"')
            Path(f"{name}.jsonl").write_text(text, "utf-8")
    assert run([*COMPARE, "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    for name in ("gold", "a", "b"):
        rows = Path(f"{name}.jsonl").read_text("utf-8").splitlines()
        text = "\n".join(json.dumps(json.loads(row), ensure_ascii=False) for row in rows)
        Path(f"{name}.jsonl").write_bytes(text.encode("cp1252"))
    assert run([*COMPARE, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert sum("Windows-1252" in note for note in found["notes"]) == 3
    assert found["mean"] == plain["mean"]
    assert found["cases"] == plain["cases"]


def test_a_file_compared_with_itself_or_a_copy_promises_nothing_of_more_rows(logs, capsys):
    Path("copy.jsonl").write_bytes(Path("a.jsonl").read_bytes())
    for other in ("a.jsonl", "copy.jsonl"):
        words = ["compare", "a.jsonl", other, "--gold", "gold.jsonl"]
        assert run(words) == 0
        screen = capsys.readouterr().out
        assert "score the same" in screen
        assert ("same answer to every row" in screen) is (other == "copy.jsonl")
        assert "more row" not in screen
        assert "unlikely to show" not in screen
        assert run([*words, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["more_rows"] is None
    assert run(COMPARE) == 0
    assert "more rows would show it" in " ".join(capsys.readouterr().out.split())
