"""Files made to break a reader end with an error of ours, in bounded time and memory."""

import io
import json
import os
import sys
import zipfile

import pytest
from tests import studies
from tests.in_time import ends_within

from tuneworthy.cli._frame import run
from tuneworthy.lab.own_log import window_means
from tuneworthy.records.errors import DataError
from tuneworthy.records.plugins import load
from tuneworthy.rows.bad_rows import RawRow, RowFault
from tuneworthy.rows.importing import ImportOptions, import_rows
from tuneworthy.rows.table_columns import Choice
from tuneworthy.store.elsewhere import next_look

TESTS = "tests:\n" + "".join(
    f"  - vars: {{q: 'ask {k}'}}\n    assert: [{{type: equals, value: {'ab'[k % 2]}}}]\n"
    for k in range(30)
)
BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def read(path):
    return import_rows([path], ImportOptions(Choice()), path.parent, "task")


def test_a_date_and_aliases_of_a_promptfoo_file_are_read(tmp_path):
    shared = "shared: &right {type: equals, value: 2026-01-31}\nbase: &base {q: 'ask'}\n"
    rest = "".join(f"  - vars: {{<<: *base, n: {k}}}\n    assert: [*right]\n" for k in range(30))
    (tmp_path / "p.yaml").write_text(f"{shared}made: 2026-01-31\ntests:\n{rest}")
    rows = [json.loads(line) for line in read(tmp_path / "p.yaml").rows.read_text().splitlines()]
    assert {row["output"] for row in rows} == {"2026-01-31"}
    assert "ask" in rows[0]["input"]


@pytest.mark.parametrize(
    "more",
    [
        "blob: !!binary aGVsbG8=\n",
        "own: &own [1, *own]\n",
        "own: &own {a: *own}\n",
        BOMB,
        f"deep: {'[' * 500}{']' * 500}\n",
        "tests: []\n",
        "x: !!python/object/apply:os.system [true]\n",
    ],
)
def test_yaml_made_to_break_a_reader_is_refused_in_time(more, tmp_path):
    (tmp_path / "p.yaml").write_text(TESTS + more)
    with ends_within(20), pytest.raises(DataError) as refused:
        read(tmp_path / "p.yaml")
    assert refused.value.where


def test_an_inspect_header_of_another_form_is_no_crash(tmp_path):
    with zipfile.ZipFile(tmp_path / "log.eval", "w") as log:
        log.writestr("header.json", json.dumps({"eval": ["a", 1]}))
        log.writestr(
            "samples/1.json", json.dumps({"id": 1, "epoch": 1, "input": "a", "target": "b"})
        )
    found = list(load("containers", "inspect_archive").records(tmp_path / "log.eval"))
    assert [type(one) for one in found] == [RawRow] * 2
    assert found[0].fields == {}


@pytest.mark.parametrize("listed", [5, [5], {"a": 1}, ["x"], [None], [[]], "data", None])
@pytest.mark.parametrize("splits", [None, 3, [7], "train", [None], ["../.."]])
def test_a_saved_data_set_of_another_form_is_no_crash(listed, splits, tmp_path):
    pytest.importorskip("pyarrow")
    if splits is not None:
        (tmp_path / "dataset_dict.json").write_text(json.dumps({"splits": splits}))
    (tmp_path / "state.json").write_text(json.dumps({"_data_files": listed}))
    form = load("containers", "arrow")
    assert all(isinstance(one, RowFault) for one in form.records(tmp_path))
    assert isinstance(form.form_of(tmp_path), str)


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path, monkeypatch, capsys):
    (tmp_path / "kiln" / "runs" / "1").mkdir(parents=True)
    (tmp_path / "kiln" / "task.kiln").write_text("{}")
    os.mkfifo(tmp_path / "kiln" / "runs" / "1" / "task_run.kiln")
    found = list(load("containers", "kiln_folder").records(tmp_path / "kiln"))
    assert [type(one) for one in found] == [RawRow, RowFault]
    state = tmp_path / "state"
    (state / "tuneworthy").mkdir(parents=True)
    os.mkfifo(state / "tuneworthy" / "looks.jsonl")
    monkeypatch.setenv("XDG_STATE_HOME", str(state))
    monkeypatch.delenv("TUNEWORTHY_LOOKS", raising=False)
    assert "no plain file" in str(next_look(None, "study", "rows", ["mark"]))
    path = studies.write(tmp_path, arms=["present", "majority"])
    assert run(["check", str(path)]) == 0
    assert run(["run", str(path), "--no-progress"]) in (0, 3)


@pytest.mark.parametrize("word", ["tour", "settle"])
def test_a_byte_that_is_no_utf8_is_no_crash(word, monkeypatch, tmp_path, capsys):
    raw = io.BytesIO(b"\xff\xfe caf\xe9\n" * 3)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(raw, encoding="utf-8"))
    assert run([word]) in (2, 130)
    assert "Traceback" not in capsys.readouterr().err


def test_one_huge_loss_leaves_the_means_after_it_right():
    assert window_means([1e300, 1e300, 1.0, 3.0, 5.0], 2) == [1e300, 5e299, 2.0, 4.0]
    assert window_means([1.7e308, 1.7e308, 1.0, 1.0], 2)[-1] == 1.0


@pytest.mark.parametrize("loss", [1e308, 1.7e308, -1e308, 5e-324])
def test_a_loss_beyond_all_bounds_is_not_measured(loss, tmp_path, capsys):
    for places in ((0,), (3, 4, 5), range(12)):
        steps = [{"step": k + 1, "loss": loss if k in places else 2.0} for k in range(12)]
        (tmp_path / "trainer_state.json").write_text(json.dumps({"log_history": steps}))
        assert run(["check", "--run", str(tmp_path), "--json"]) in (0, 3, 4)
        json.loads(capsys.readouterr().out)


def book(tag, place):
    """Return a workbook with a table of ten rows and one cell elsewhere, as zip members."""
    openpyxl = pytest.importorskip("openpyxl")
    made, file = openpyxl.Workbook(), io.BytesIO()
    for row in [("question", "label"), *((f"where is {k}?", "ab"[k % 2]) for k in range(10))]:
        made.active.append(row)
    made.save(file)
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    end = b"</sheetData>"
    parts["xl/worksheets/sheet1.xml"] = parts["xl/worksheets/sheet1.xml"].replace(
        end, tag.format(place).encode() + end
    )
    return parts


def zipped(path, parts):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize(
    ("tag", "place", "fault"),
    [('<row r="12"><c r="{}"><v>1</v></c></row>', "C12", ""),
     ('<row r="1048576"><c r="{}"><v>1</v></c></row>', "XFD1048576", "1,048,576 rows and 16,384"),
     ("<row r='1048576'><x:c  s='1' r='{}'><v>1</v></x:c></row>", "XFD1048576", "16,384 columns"),
     ('<row r="{}"></row><row r="9"><c r="XFD9"><v>1</v></c></row>', "1048576", "delete stray")],
)  # fmt: skip
def test_a_sheet_with_a_cell_in_the_last_corner_ends_in_an_error(tmp_path, tag, place, fault):
    """The reader makes a cell of each place up to the last one: the process was killed."""
    path = zipped(tmp_path / "t.xlsx", book(tag, place))
    found = list(load("containers", "excel").records(path))
    faults = [one for one in found if isinstance(one, RowFault)]
    assert len(found) == (1 if fault else 10)
    assert [fault in str(one) for one in faults] == [True] * bool(fault)


@pytest.mark.parametrize("times", [1, 400])
def test_a_small_archive_that_unpacks_to_much_is_refused(tmp_path, times):
    sample = {"id": 1, "epoch": 1, "input": "a", "target": "b", "note": "c" * 25_000 * times}
    header = {"eval": {"task": "t"}}
    parts = {"header.json": json.dumps(header), "samples/1.json": json.dumps(sample)}
    path = zipped(tmp_path / "log.eval", parts)
    found = list(load("containers", "inspect_archive").records(path))
    assert [type(one) for one in found][-1] is (RawRow if times == 1 else RowFault)
    assert ("unpacks 100 times its size" in str(found[-1])) == (times > 1)
    swollen = {**book("{}", ""), "xl/sharedStrings.xml": b"<t>" + b"a" * 25_000 * times}
    told = list(load("containers", "excel").records(zipped(tmp_path / "s.xlsx", swollen)))
    assert ("unpacks 100 times its size" in str(told[0])) == (times > 1)
