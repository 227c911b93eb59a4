"""Right answers that came from correcting today's answers: asked, warned of, never firm."""

import json

import pytest

from tuneworthy.cli._frame import run

TASK = """data: {file: rows.jsonl%s}
arms: [present, answers]
present: {answers: logged.jsonl}
answers: {other: {file: other.jsonl, tool: bigger}}
"""


@pytest.fixture
def study(tmp_path, monkeypatch):
    """Write 240 rows that today's system has right but for a tenth; return the folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    rows = [
        {"id": f"r{at}", "input": f"ticket {at * 7919 % 240} of {at}", "output": "ab"[at % 2]}
        for at in range(240)
    ]
    log = [{"id": r["id"], "answer": "c" if at % 10 == 3 else r["output"]}
           for at, r in enumerate(rows)]  # fmt: skip
    other = [{"id": r["id"], "answer": "c" if at % 7 == 3 else r["output"]}
             for at, r in enumerate(rows)]  # fmt: skip
    for name, lines in (("rows.jsonl", rows), ("logged.jsonl", log), ("other.jsonl", other)):
        (tmp_path / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


def told(capsys, *words):
    code = run(list(words))
    return code, " ".join(capsys.readouterr().out.split())


def test_check_asks_until_it_is_said(study, capsys):
    question = "were the right answers written by correcting answers of what runs today?"
    for said, asked in (("", True), (", corrected: false", False), (", corrected: true", False)):
        (study / "task.yaml").write_text(TASK % said)
        code, screen = told(capsys, "check")
        assert code == 0
        assert (question in screen) is asked
        assert ("an error that was accepted counts as right" in screen) is ("true" in said)


def test_no_verdict_on_corrected_answers_is_firm(study, capsys):
    found = {}
    for said in ("false", "true"):
        (study / "task.yaml").write_text(TASK % f", corrected: {said}")
        _, screen = told(capsys, "run", "--json")
        found[said] = json.loads(screen)
    assert (found["false"]["use"], found["false"]["status"]) == ("keep", "firm")
    assert (found["true"]["use"], found["true"]["status"]) == ("keep", "provisional")
    assert "An error that the corrector accepted counts as right." in found["true"]["because"]
    assert found["true"]["next"]["do"] == "label a blind sample"


def test_blind_rows_hold_no_answer_and_replace_no_file(study, capsys):
    (study / "task.yaml").write_text(TASK % "")
    code, screen = told(capsys, "check", "--blind", "30")
    assert code == 0
    assert "30 rows without answers" in screen
    rows = [json.loads(line) for line in (study / "blind_rows.jsonl").open()]
    assert len({row["id"] for row in rows}) == 30
    assert all(set(row) == {"id", "input", "output"} and row["output"] == "" for row in rows)
    before = (study / "blind_rows.jsonl").read_bytes()
    assert run(["check", "--blind", "20"]) == 2
    assert "there is a file already" in capsys.readouterr().err
    assert (study / "blind_rows.jsonl").read_bytes() == before
    assert run(["check", "--blind", "241"]) == 5
    assert "at most 240" in capsys.readouterr().err
