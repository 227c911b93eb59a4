"""`tuneworthy check --run`: exit codes, JSON, options that belong together."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))
import run_folder_kit as kit
from tuneworthy.cli._frame import run


@pytest.fixture
def rows(tmp_path):
    return str(kit.rows(tmp_path / "rows.jsonl"))


def folder(tmp_path, **made):
    return str(kit.tokenizer(kit.trainer_state(tmp_path / "out"), **made))


def test_a_clean_run_ends_with_0(tmp_path, rows, capsys):
    assert run(["check", "--run", folder(tmp_path), "--data", rows]) == 0
    assert "no failure found" in capsys.readouterr().out


def test_a_failure_ends_with_3_and_in_json_too(tmp_path, rows, capsys):
    given = ["check", "--run", folder(tmp_path, pad="<|im_end|>"), "--data", rows, "--json"]
    assert run(given) == 3
    out = json.loads(capsys.readouterr().out)
    assert out["exit_code"] == 3
    found = [each for each in out["findings"] if each["state"] == "found"]
    assert [(each["case"], each["value"]) for each in found] == [("never-stops", 0.0)]
    assert out["facts"]["p_end"] is None
    assert out["missing"]["p_end"]


def test_nothing_measured_ends_with_4(tmp_path, capsys):
    path = tmp_path / "out"
    kit.tokenizer(path)
    assert run(["check", "--run", str(path)]) == 4
    assert "nothing could be measured" in capsys.readouterr().out


def test_another_folder_ends_with_2_and_keeps_the_form_of_errors(tmp_path, capsys):
    assert run(["check", "--run", str(tmp_path / "none"), "--json"]) == 2
    out = json.loads(capsys.readouterr().out)
    assert (out["error"], out["where"]) == ("TaskError", "--run")
    assert out["fix"]


def test_rows_that_cannot_be_read_end_with_5(tmp_path, capsys):
    (tmp_path / "rows.jsonl").write_text("{broken\n")
    given = ["check", "--run", folder(tmp_path), "--data", str(tmp_path / "rows.jsonl")]
    assert run(given) == 5
    assert "rows.jsonl:1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "what"),
    [
        (["--data", "x.jsonl"], "belongs to --run"),
        (["--base", "x"], "belongs to --run"),
        (["--run", "out", "--live", "x.jsonl"], "two checks"),
        (["--run", "out", "--gold", "x.jsonl"], "two checks"),
        (["--run", "out", "--data", "gone.jsonl"], "no such file of rows"),
        (["--run", "out", "--base", "out"], "holds no safetensors"),
    ],
)
def test_options_that_do_not_go_together_end_with_2(tmp_path, monkeypatch, capsys, given, what):
    folder(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert run(["check", *given]) == 2
    assert what in capsys.readouterr().err


def test_no_colour_and_no_escape_codes_of_a_row_reach_the_terminal(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    rows = kit.rows(tmp_path / "rows.jsonl")
    rows.write_text(rows.read_text() + json.dumps({"\x1b[31m": "x"}) + "\n")
    run(["check", "--run", folder(tmp_path), "--data", str(rows)])
    assert "\x1b" not in capsys.readouterr().out
