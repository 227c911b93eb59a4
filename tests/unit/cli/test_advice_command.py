"""`advice`: the table, its JSON, nothing to judge, asking a scripted model, refusals."""

import json
from pathlib import Path

import pytest
from tests import advice_kit as kit

from tuneworthy.advice import measured_tasks as source
from tuneworthy.cli._frame import run


@pytest.fixture
def measured(tmp_path, monkeypatch):
    """Write made-up measured tasks; work in their folder."""
    tasks = [kit.task(f"t{i}", size=600) for i in range(5)]
    tasks += [kit.prompt_task(f"p{i}") for i in range(3)]
    text = "".join(each.model_dump_json() + "\n" for each in tasks)
    (tmp_path / "measured.jsonl").write_text(text, "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUNEWORTHY_SOUP", "/nowhere/soup")
    return tasks


ADVICE = ["advice", "--tasks", "measured.jsonl"]


def test_the_table_counts_by_hand(measured, capsys):
    assert run(ADVICE) == 0
    screen = capsys.readouterr().out
    assert max(map(len, screen.splitlines())) <= 80
    assert "The checklist predicts the measured winner in 8 of 8 (63 to 100 %)." in screen
    assert "8 measured tasks from 8 sets of rows, 8 of them firm" in screen
    always = next(line for line in screen.splitlines() if "always fine-tune" in line)
    assert always.split()[2:5] == ["8", "0", "0"]
    assert "3 trainings not needed (3 min, $7.50)" in screen
    never = next(line for line in screen.splitlines() if "never fine-tune" in line)
    assert never.split()[3:6] == ["3", "5", "0"]
    assert "soup-cli is not installed" in " ".join(screen.split())
    assert not Path(".tuneworthy").exists()


def test_json_holds_the_same_counts(measured, capsys):
    assert run([*ADVICE, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    by_name = {each["name"]: each for each in told["advisers"]}
    assert (told["tasks"], told["firm"]) == (8, 8)
    assert by_name["five_hundred"]["right"] == 8
    assert by_name["never_tune"]["lost"]["mean"] == pytest.approx((5 * 0.2 + 3 * 0.02) / 8)
    assert by_name["always_tune"]["usd"] == 7.5
    assert told["headline"].startswith("The checklist predicts")


def test_without_a_measured_task_it_says_so_and_how_to_get_some(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(source, "SHIPPED", tmp_path)
    assert run(["advice"]) == 4
    told = capsys.readouterr().out
    assert "no measured task" in told
    assert "--tasks FILE.jsonl" in told
    assert run(["advice", "--json"]) == 4
    assert "no measured task" in json.loads(capsys.readouterr().out)["headline"]


def test_shipped_tasks_are_read_without_an_option(measured, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(source, "SHIPPED", tmp_path)
    assert run(["advice"]) == 0
    assert "8 measured tasks" in capsys.readouterr().out


def test_a_scripted_model_is_asked_once_and_scored(measured, capsys):
    reply = json.dumps({"because": "rows", "tune": 0.8, "prompt": 0.2})
    Path("replies.jsonl").write_text(json.dumps({"when": "Instruction", "say": reply}), "utf-8")
    asking = [*ADVICE, "--ask", "scripted:replies.jsonl"]
    assert run(asking) == 0
    both = capsys.readouterr()
    assert "8 asked now" in both.err
    assert "scripted:replies.jsonl" in both.out
    assert run(asking) == 0
    assert "0 asked now" in capsys.readouterr().err
    assert run([*ADVICE, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["advisers"][-1]
    assert (told["name"], told["right"]) == ("scripted:replies.jsonl", 8)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([*ADVICE, "--with-skill"], 2, "belongs to --ask"),
        ([*ADVICE, "--ask", "magic"], 2, "no model has this name"),
        ([*ADVICE, "--ask", "openai:gpt-4o-mini"], 2, "no cap"),
        (["advice", "--tasks", "none.jsonl"], 5, "can't be read"),
        (["advice", "--tasks", "bad.jsonl"], 5, "no measured task"),
        (["advice", "--tasks", "twice.jsonl"], 5, "one key"),
        ([*ADVICE, "--answers", "bad.jsonl"], 5, "no recorded advice"),
    ],
)
def test_refusals(measured, capsys, words, code, message):
    Path("bad.jsonl").write_text('{"key": "x"}\n', "utf-8")
    Path("twice.jsonl").write_text(Path("measured.jsonl").read_text("utf-8") * 2, "utf-8")
    assert run(words) == code
    assert message in capsys.readouterr().err
    assert not Path("advice.jsonl").exists()
