"""A file that breaks in the middle is never read as if it ended there; no column stands for two."""

import json
import random
import re
import zipfile

import openpyxl
import pytest

from tuneworthy.cli._frame import run
from tuneworthy.records.errors import DataError
from tuneworthy.records.plugins import load
from tuneworthy.records.strict_json import RefusedJson, strict_json
from tuneworthy.rows import load as load_rows
from tuneworthy.rows.bad_rows import RawRow, ReadCount, RowFault
from tuneworthy.rows.containers import inspect_archive
from tuneworthy.rows.containers.arrow import _read as arrow_rows
from tuneworthy.rows.importing import ImportOptions, import_rows
from tuneworthy.rows.table_columns import Choice

TEAMS = ("billing", "delivery", "account")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def table(n=1_000, broken=30, head="ticket,message,team"):
    rows = (f"{k},{chr(34) * (k == broken)}order {k} is late,{TEAMS[k % 3]}" for k in range(n))
    return "\n".join([head, *rows]) + "\n"


def records(n=1_000):
    return [{"message": f"order {k} is late", "team": TEAMS[k % 3]} for k in range(n)]


def cut(text):
    return text[: len(text) // 3]


def excel(path, cells, broken=None):
    """Write a sheet of texts; the cell at `broken` (row, column) names a text that is not there."""
    book = openpyxl.Workbook()
    for row in cells:
        book.active.append(row)
    book.save(path)
    if broken:
        place = f"{chr(65 + broken[1])}{broken[0]}"
        part = "xl/worksheets/sheet1.xml"
        with zipfile.ZipFile(path) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
        cell = rf'(<c r="{place}") t="inlineStr">.*?</c>'.encode()
        parts[part] = re.sub(cell, rb'\g<1> t="s"><v>99999</v></c>', parts[part])
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in parts.items():
                archive.writestr(name, content)
    return path


def sheet(n=1_000):
    return [["message", "team"], *([one["message"], one["team"]] for one in records(n))]


BROKEN = {
    "a quote that is never closed": ("t.csv", table()),
    "a quote that a quoted cell ends": ("t.csv", table() + '1,"a ""quoted"" cell",billing\n'),
    "a quote that a later one closes": ("t.csv", table().replace("order 700 is late", 'late 5"')),
    "a document cut in the middle": ("t.json", cut(json.dumps(records()))),
    "a document of several lists, cut": ("t.json", cut(json.dumps({"rows": records(), "x": [1]}))),
    "lines cut in the middle": ("t.jsonl", cut("\n".join(map(json.dumps, records())))),
    "a key that stands twice": ("t.json", json.dumps(records()).replace(
        '"team": "account"', '"team": "billing", "team": "account"', 1)),
    "a number that is none": ("t.json", json.dumps(records()).replace('"order 7 is late"', "NaN")),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_init_stops_where_a_file_breaks(what, tmp_path, capsys):
    name, text = BROKEN[what]
    (tmp_path / name).write_text(text)
    assert run(["init", name, "--input", "message", "--output", "team"]) == 5
    said = capsys.readouterr().err
    assert "--max-bad" in said
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert run(["init", name, "--input", "message", "--output", "team", "--max-bad", "100%"]) == 0


def test_cells_of_several_lines_are_read(tmp_path):
    letter = "Dear team,\n\nthe order, which I made in May, is late.\nIt is red, not blue, as I"
    rows = [f'"{letter}\nsaid {k}.\n\n\n\n\nYours,\nAnn\n",{TEAMS[k % 3]}' for k in range(20)]
    (tmp_path / "t.csv").write_text("\n".join(["message,team", *rows]))
    found = import_rows([tmp_path / "t.csv"], ImportOptions(Choice()), tmp_path, "task")
    assert found.count == 20


LINES = {
    "a comma a line": "\n".join(f"{k} of this, that" for k in range(12)),
    "a table in a question": "Add these up:\n" + "\n".join(f"{k},{k}" for k in range(12)),
    "a table": "\n".join(f"{k},{k}" for k in range(12)) + "\n",
}


@pytest.mark.parametrize("what", LINES)
def test_cells_that_hold_tables_of_their_own_are_read(what, tmp_path):
    rows = [f'"{LINES[what]}",{TEAMS[k % 3]} {k}' for k in range(20)]
    (tmp_path / "t.csv").write_text("\n".join(["message,team", *rows]))
    found = import_rows([tmp_path / "t.csv"], ImportOptions(Choice()), tmp_path, "task")
    assert found.count == 20


def test_json_that_is_refused_says_why_and_what_to_mend(tmp_path):
    name, text = BROKEN["a key that stands twice"]
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match="duplicate key in an object") as stopped:
        import_rows([tmp_path / name], ImportOptions(Choice()), tmp_path, "task")
    assert (stopped.value.got, stopped.value.fix[:19]) == ("team", "keep one of the two")


def test_a_sheet_with_a_broken_cell_is_refused(tmp_path):
    path = excel(tmp_path / "t.xlsx", sheet(), broken=(400, 1))
    with pytest.raises(DataError, match="the Excel file is broken"):
        import_rows([path], ImportOptions(Choice()), tmp_path, "task")


def test_a_log_that_breaks_is_no_log_of_answers(tmp_path, capsys):
    (tmp_path / "rows.jsonl").write_text("".join(
        json.dumps({"id": str(k), "input": f"order {k}", "output": "ab"[k % 2]}) + "\n"
        for k in range(100)))  # fmt: skip
    lines = (f"{k},{chr(34) * (k == 50)}{'ab'[k % 2]},1.0" for k in range(100))
    (tmp_path / "log.csv").write_text("\n".join(["id,prediction,cost_usd", *lines]))
    before = sorted(tmp_path.iterdir())
    assert run(["init", "rows.jsonl", "--answers", "today=log.csv"]) == 5
    assert "50 of 100 records can't be read" in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(("share", "stops"), [(0.01, True), (0.5, True), (0.99, False)])
def test_rows_behind_an_open_quote_count_as_bad(share, stops, tmp_path):
    (tmp_path / "rows.csv").write_text(table(broken=600, head="id,input,output"))
    task = studies_task(tmp_path, "rows.csv")
    if stops:
        with pytest.raises(DataError, match=r"a quote is never closed.*400 rows are lost"):
            load_rows.load(task, "exclude", share)
    else:
        assert len(load_rows.load(task, "exclude", share).cases) == 600


def studies_task(folder, file):
    from tuneworthy.records.task import Data, Task

    return Task(data=Data(file=file)).at(folder)


def test_half_a_last_row_stops_a_study_unless_all_may_be_lost(tmp_path):
    rows = "".join(
        json.dumps({"input": f"a {k}", "output": "ab"[k % 2]}) + "\n" for k in range(400)
    )
    (tmp_path / "rows.jsonl").write_text(rows[:-9])
    task = studies_task(tmp_path, "rows.jsonl")
    with pytest.raises(DataError, match="nobody knows how many"):
        load_rows.load(task, "exclude", 0.5)
    assert len(load_rows.load(task, "exclude", 1.0).cases) == 399


def test_a_map_of_records_is_read_whatever_its_form(tmp_path):
    by_key = {f"t{k}": {"message": f"order {k}", "team": TEAMS[k % 3], "turns": [{"a": 1}]}
              for k in range(40)}  # fmt: skip
    for name, text in {"m.json": json.dumps(by_key), "m.yaml": json.dumps(by_key),
                       "n.json": json.dumps({"cases": by_key}, indent=2)}.items():  # fmt: skip
        (tmp_path / name).write_text(text)
        form = "yaml_document" if name.endswith("yaml") else "json_document"
        found = list(load("containers", form).records(tmp_path / name))
        assert len(found) == 40, name
        assert found[7].fields["id"] == "t7"


def test_parts_of_a_document_that_share_objects_alone_are_no_records(tmp_path):
    parts = {name: {"rows": [{"a": 1}, {"a": 2}]} for name in ("results", "configs", "n")}
    (tmp_path / "d.json").write_text(json.dumps(parts))
    found = load("containers", "json_document").records(tmp_path / "d.json")
    assert [one.fields for one in found] == [{"a": 1}, {"a": 2}] * 3


def test_a_column_that_stands_twice_is_refused_in_every_table(tmp_path, capsys):
    names = ["message", "team", "team"]
    rows = [[*row, "wrong"] for row in sheet(20)[1:]]
    path = excel(tmp_path / "t.xlsx", [names, *rows])
    with pytest.raises(DataError, match="a column stands twice"):
        import_rows([path], ImportOptions(Choice()), tmp_path, "task")
    names = ["gold", "team", "team"]
    (tmp_path / "t.csv").write_text("\n".join(",".join(row) for row in [names, *rows]))
    assert run(["compare", "t.csv", "--a", "team", "--b", "gold", "--gold-column", "gold"]) == 2
    (tmp_path / "t.csv").write_text("b," + (tmp_path / "t.csv").read_text().replace("\n", "\nx,"))
    assert run(["compare", "t.csv", "--a", "team", "--b", "b", "--gold-column", "gold"]) == 5
    assert "a column stands twice" in capsys.readouterr().err


def test_durations_and_dates_that_python_lacks_in_parquet(tmp_path):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    took = arrow.array([1500], arrow.duration("ms"))
    nested = arrow.array([{"took": 1500}], arrow.struct([("took", arrow.duration("ms"))]))
    made = arrow.table({"input": ["a"], "output": ["b"], "took": took, "all": nested})
    parquet.write_table(made, tmp_path / "t.parquet")
    (row,) = arrow_rows(tmp_path / "t.parquet", "t.parquet", "broken")
    assert row.fields["took"] == "0:00:01.500000"
    assert row.fields["all"] == {"took": "0:00:01.500000"}
    far = arrow.array([10**15], arrow.date64())
    parquet.write_table(arrow.table({"input": ["a"], "day": far}), tmp_path / "u.parquet")
    (fault,) = arrow_rows(tmp_path / "u.parquet", "u.parquet", "broken")
    assert fault.fix == "save it again"


def test_a_column_that_stands_twice_and_bytes_in_parquet(tmp_path):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    texts = arrow.array([one["message"].encode() for one in records(20)])
    teams = arrow.array([one["team"] for one in records(20)])
    images = arrow.array([b"\xff\xd8\xff" + bytes([k]) for k in range(20)])
    made = arrow.Table.from_arrays([texts, teams, images], ["message", "team", "image"])
    parquet.write_table(made, tmp_path / "t.parquet")
    found = import_rows([tmp_path / "t.parquet"], ImportOptions(Choice()), tmp_path, "task")
    row = json.loads(found.rows.read_text().splitlines()[3])
    assert (row["input"], row["output"]) == ("order 3 is late", "billing")
    assert "bytes" not in found.rows.read_text()
    twice = arrow.Table.from_arrays([texts, teams, teams], ["message", "team", "team"])
    parquet.write_table(twice, tmp_path / "u.parquet")
    with pytest.raises(DataError, match="a column stands twice"):
        import_rows([tmp_path / "u.parquet"], ImportOptions(Choice()), tmp_path, "other")


def test_a_training_log_that_can_hardly_be_read_is_no_curve(tmp_path, capsys):
    steps = [json.dumps({"step": k, "loss": 2.0 - k / 100}) for k in range(60)]
    (tmp_path / "train_log.jsonl").write_text("\n".join([*steps, steps[0][:9]]))
    assert run(["check", "--run", str(tmp_path)]) in (0, 3, 4)
    (tmp_path / "train_log.jsonl").write_text("\n".join([*steps, *["{half"] * 40]))
    capsys.readouterr()
    assert run(["check", "--run", str(tmp_path)]) == 4  # nothing was measured
    assert "40 of 100 records" in " ".join(capsys.readouterr().out.split())


def test_the_count_of_what_was_read():
    count = ReadCount()
    for _ in range(98):
        count.add()
    count.check(0.01, "")
    count.add(RowFault("a:1", "bad"))
    count.check(0.0, "")  # one record may be
    count.add(RowFault("a:2", "bad"))
    with pytest.raises(DataError, match="2 of 100 records"):
        count.check(0.01, "--max-bad")
    count.check(0.02, "--max-bad")
    count.add(RowFault("a:3", "cut", lost=float("inf")))
    with pytest.raises(DataError, match="only 98 records could be read"):
        count.check(0.99, "--max-bad")
    count.check(1, "--max-bad")


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2}', "[NaN]", "[-Infinity]", "[1e999]",
                                  r'["\ud800"]', "[" * 65 + "1" + "]" * 65,
                                  "[" * 100_000])  # fmt: skip
def test_strict_json_refuses_what_parsers_disagree_on(text):
    with pytest.raises(RefusedJson) as refused:
        strict_json(text)
    assert refused.value.fix
    with pytest.raises(ValueError):
        strict_json(text.encode())


def test_strict_json_reads_the_rest():
    assert strict_json(b'{"a": [1, 2.5, null, "\\ud83d\\ude00"]}') == {"a": [1, 2.5, None, "😀"]}
    assert strict_json("[" * 64 + "1" + "]" * 64)


def test_records_keep_their_type(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(records(3)))
    found = list(load("containers", "json_document").records(tmp_path / "a.json"))
    assert [type(one) for one in found] == [RawRow] * 3


def test_every_flipped_byte_of_an_archive_is_read_or_told(tmp_path):
    text = json.dumps({"id": 1, "input": random.Random(1).randbytes(200).hex()})
    path = tmp_path / "log.eval"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("samples/a.json", text)
    whole, told = path.read_bytes(), 0
    for at in range(4, len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :])
        if inspect_archive.opens(path, whole[:4]):
            told += any(isinstance(one, RowFault) for one in inspect_archive.records(path))
    assert told > 50
