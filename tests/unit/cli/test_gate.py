"""`tuneworthy gate`: outcomes, exit codes, looks over commits, files for CI, its own flip rate."""

import json
import random
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from tests.studies import lines

from tuneworthy.cli._frame import run
from tuneworthy.verdict import gate_flips

GATE = ["gate", "old.jsonl", "new.jsonl", "--gold", "rows.jsonl"]
N = 160
SCORE = """
def score(case, answer):
    if answer == "odd":
        raise ValueError("no score")
    return float(answer == "yes")
"""


def log(name, right, repeats=1, leave=0, seed=0):
    """Write answers of which a share is right, each row's own chance around it."""
    draw, own = random.Random(f"{name} {seed}"), random.Random(5)
    rows = []
    for at in range(N - leave):
        chance = min(1.0, max(0.0, right + own.uniform(-0.3, 0.3)))
        for turn in range(repeats):
            said = "yes" if draw.random() < chance else "no"
            more = {"repeat": turn + 1} if repeats > 1 else {}
            rows.append({"id": f"q{at}", "answer": said, **more})
    lines(Path(name), rows)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Write rows and work in their folder; logs are written by each test."""
    draw, rows = random.Random(3), []
    for at in range(N):
        text = " ".join("".join(draw.choices("abcdefghijklmnop", k=6)) for _ in range(8))
        rows.append({"id": f"q{at}", "input": text, "output": "yes"})
    lines(tmp_path / "rows.jsonl", rows)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def _few_pairs(monkeypatch):
    monkeypatch.setattr(gate_flips, "_PAIRS", 40)


def told(capsys, *more, gate=GATE):
    """Run a gate with --json; return its exit code and what it said."""
    code = run([*gate, "--json", *more])
    return code, json.loads(capsys.readouterr().out)


def test_the_four_outcomes_have_their_codes(folder, capsys):
    log("old.jsonl", 0.6)
    for name, right, code in (("better", 0.95, 0), ("worse", 0.25, 3), ("cannot say", 0.6, 4)):
        log("new.jsonl", right)
        found, said = told(capsys, "--change", name)
        assert (found, said["gate"], said["exit_code"]) == (code, name, code)
        assert said["passes"] is (code == 0)
    assert said["more_rows"] > 0
    assert told(capsys, "--change", "cannot say", "--cannot-say", "pass")[0] == 0
    log("old.jsonl", 0.6, 40)
    log("new.jsonl", 0.6, 40)
    code, said = told(capsys, "--change", "answers")
    assert (code, said["gate"], said["repeats"]) == (0, "no worse", 40)
    wide = told(capsys, "--change", "answers", "--margin", "0.1%")[1]
    assert (wide["gate"], wide["look"], wide["look_counted_before"]) == ("cannot say", 1, True)


def test_looks_are_counted_over_commits_and_more_rows_continue_them(folder, capsys):
    log("old.jsonl", 0.6)
    log("new.jsonl", 0.65, leave=60)
    _, first = told(capsys, "--bad-rows", "exclude", "--max-bad", "50%")
    assert (first["look"], first["bound_level"], first["n"]) == (1, 0.025, 100)
    log("new.jsonl", 0.65)
    _, grown = told(capsys)
    assert (grown["look"], grown["n"]) == (2, N)
    assert 0.025 / 4 < grown["bound_level"] < 0.025, "what the first look spent is not paid again"
    assert told(capsys)[1]["look_counted_before"] is True
    log("new.jsonl", 0.65, seed=1)
    _, other = told(capsys)
    assert (other["look"], other["bound_level"]) == (3, pytest.approx(0.025 / 12))
    run(GATE)
    screen = capsys.readouterr().out
    assert "Look 3 at these rows" in screen
    assert "the same answers were seen before, which is no new look" in " ".join(screen.split())
    assert len(json.loads(Path(".tuneworthy-gate.json").read_text())["looks"]) == 3
    _, fresh = told(capsys, "--change", "pull request 8")
    assert fresh["look"] == 1


def test_a_gate_with_missing_or_unscored_answers_never_passes(folder, capsys):
    log("old.jsonl", 0.3)
    log("new.jsonl", 0.9, leave=2)
    code, said = told(capsys, "--change", "1")
    assert (code, said["gate"]) == (4, "cannot say")
    assert said["doubts"] == ["B leaves out 2 rows that A answers"]
    allowed = "--bad-rows", "exclude", "--max-bad", "2%"
    assert told(capsys, "--change", "1", *allowed)[1]["gate"] == "better"
    log("old.jsonl", 0.3, leave=3)
    log("new.jsonl", 0.9)
    code, said = told(capsys, "--change", "3")
    assert (code, said["doubts"]) == (4, ["A leaves out 3 rows that B answers"])
    log("old.jsonl", 0.3)
    lines(Path("new.jsonl"), [{"id": f"q{at}", "answer": "odd" if at == 7 else "yes"}
                              for at in range(N)])  # fmt: skip
    Path("score.py").write_text(SCORE)
    found, said = told(capsys, "--change", "2", "--metric", "./score.py:score")
    assert (found, said["gate"]) == (4, "cannot say")
    assert said["doubts"] == ["1 row has an answer that the metric gave no score"]


def test_rows_that_depend_on_their_neighbours_say_nothing(folder, capsys):
    lines(Path("old.jsonl"), [{"id": f"q{at}", "answer": "no"} for at in range(N)])
    runs = [{"id": f"q{at}", "answer": "yes" if at // 20 % 2 else "no"} for at in range(N)]
    lines(Path("new.jsonl"), runs)
    code, said = told(capsys)
    assert (code, said["gate"], said["holds"]) == (4, "cannot say", False)
    assert "depend on their neighbours" in said["because"]


def test_files_for_ci_say_the_same_and_replace_only_their_own(folder, capsys):
    log("old.jsonl", 0.9)
    log("new.jsonl", 0.4)
    rows = [json.loads(line) for line in Path("rows.jsonl").read_text().splitlines()]
    rows[0]["input"] += " | <b>@all</b> [x](https://example.org) `code`"
    lines(Path("rows.jsonl"), rows)
    lines(Path("new.jsonl"), [{"id": "q0", "answer": "<script>no|</script>"}, *(
        json.loads(line) for line in Path("new.jsonl").read_text().splitlines()[1:])])  # fmt: skip
    files = ["--markdown", "gate.md", "--junit", "gate.xml", "--metric", "exact"]
    assert run([*GATE, *files]) == 3
    screen = capsys.readouterr().out
    assert "WORSE: does not pass" in screen
    assert max(map(len, screen.splitlines())) <= 80
    comment = Path("gate.md").read_text("utf-8")
    assert comment.startswith("<!-- tuneworthy gate: rows -->\n### ❌ worse")
    assert "<b>" not in comment.replace("<br>", "")
    assert "<script>" not in comment
    assert "@all" not in comment
    assert "https://" not in comment
    widths = {line.replace("\\|", "").count("|") for line in comment.splitlines()
              if line.startswith(("| lost", "| won"))}  # fmt: skip
    assert widths == {7}
    suite = ET.parse("gate.xml").getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("1", "1", "0")
    assert run([*GATE, *files]) == 3, "both are written again over their own"
    Path("gate.md").write_text("mine")
    capsys.readouterr()
    assert run([*GATE, *files]) == 2
    assert "another file stands there" in capsys.readouterr().err
    log("new.jsonl", 0.9)
    assert run([*GATE, "--junit", "gate.xml", "--change", "2", "--cannot-say", "pass"]) == 0
    assert ET.parse("gate.xml").getroot().get("skipped") == "1"


def test_an_unsure_gate_fails_in_junit_unless_it_may_pass(folder):
    log("old.jsonl", 0.6)
    log("new.jsonl", 0.6)
    assert run([*GATE, "--junit", "gate.xml"]) == 4
    assert ET.parse("gate.xml").getroot().get("failures") == "1"


@pytest.mark.usefixtures("_few_pairs")
def test_a_system_against_itself_counts_no_look(folder, capsys):
    log("old.jsonl", 0.6, 6)
    itself = ["gate", "old.jsonl", "--gold", "rows.jsonl", "--aa", "--margin", "10%"]
    assert run(itself) == 0
    screen = capsys.readouterr().out
    assert "answers to each row, as in this log" in " ".join(screen.split())
    assert not Path(".tuneworthy-gate.json").exists()
    code, said = told(capsys, gate=itself)
    assert (code, said["answers_per_row"]) == (0, 6)
    assert said["flips"] == next(r["flips"] for r in said["rates"] if r["answers_per_row"] == 6)
    assert 1 < said["answers_needed"] <= 12
    log("old.jsonl", 0.6, 1)
    code, said = told(capsys, gate=itself)
    assert (said["flips"], said["answers_needed"], said["rates"]) == (None, None, [])
    assert 0.2 < said["at_most"] < 0.7
    assert "nobody can tell how far answers vary" in said["because"]
    rows = [{"id": f"q{at}", "repeat": k, "answer": "yes"} for at in range(N) for k in (1, 2, 3)]
    lines(Path("old.jsonl"), rows)
    code, said = told(capsys, gate=itself)
    assert (said["flips"], said["answers_needed"]) == (0, 3)
    assert "All 3 answers to each row are alike" in said["because"]


@pytest.mark.usefixtures("_few_pairs")
def test_the_number_of_answers_that_stops_flips_is_told(folder, capsys):
    itself = ["gate", "old.jsonl", "--gold", "rows.jsonl", "--aa"]
    log("old.jsonl", 0.6, 12)
    assert "keep it under 2 %" in told(capsys, "--margin", "25%", gate=itself)[1]["because"]
    said = told(capsys, "--margin", "1%", gate=itself)[1]
    assert said["answers_needed"] is None or said["answers_needed"] > 1


def test_the_margin_is_that_of_a_task_file_unless_it_is_given(folder, capsys):
    log("old.jsonl", 0.6)
    log("new.jsonl", 0.6)
    Path("task.yaml").write_text("data: {file: rows.jsonl}\nsuccess: {margin: 0.12}\n")
    assert told(capsys)[1]["margin"] == 0.05
    assert told(capsys, "--task", "task.yaml")[1]["margin"] == 0.12
    assert told(capsys, "--task", "task.yaml", "--margin", "2%")[1]["margin"] == 0.02


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["gate", "old.jsonl", "--gold", "rows.jsonl"], 2),
        (["gate", "old.jsonl", "new.jsonl"], 2),
        ([*GATE, "--aa"], 2),
        ([*GATE, "--level", "0.5"], 2),
        ([*GATE, "--margin", "200%"], 2),
        ([*GATE, "--metric", "judge"], 2),
        (["gate", "old.jsonl", "gone.jsonl", "--gold", "rows.jsonl"], 5),
    ],
)
def test_what_is_refused_is_no_look(folder, words, code):
    log("old.jsonl", 0.6)
    log("new.jsonl", 0.6)
    assert run(words) == code
    assert not Path(".tuneworthy-gate.json").exists()


def test_a_damaged_file_of_looks_ends_the_gate(folder, capsys):
    log("old.jsonl", 0.6)
    log("new.jsonl", 0.6)
    Path(".tuneworthy-gate.json").write_text('{"tuneworthy gate looks": 1, "looks"')
    assert run(GATE) == 7
    assert "restore it, or remove it" in capsys.readouterr().err
