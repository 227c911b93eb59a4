"""`compare --grade`: rows whose answers differ are graded blind, and correct the difference."""

import io
import json
from pathlib import Path

import pytest
from tests.studies import lines

from tuneworthy.cli._frame import run

WORDS = ["compare", "a.jsonl", "b.jsonl", "--gold", "gold.jsonl", "--metric", "contains", "--json"]
N = 120


@pytest.fixture
def logs(tmp_path, monkeypatch):
    """Write 120 open questions; B's longer answers hold the gold words more often, but are wrong.

    Both are right in every second row by what a person says.
    """
    monkeypatch.chdir(tmp_path)
    gold = [{"id": f"q{k}", "input": f"Who found number {k} and why then?", "output": f"Ada {k}"}
            for k in range(N)]  # fmt: skip
    lines(Path("gold.jsonl"), gold)
    a = [{"id": f"q{k}", "answer": f"It was Ada {k}." if k % 4 == 0 else f"Lovelace, {k}"}
         for k in range(N)]  # fmt: skip
    b = [{"id": f"q{k}", "answer": f"Some say Ada {k}, others Bob" if k % 2 else f"Countess {k}"}
         for k in range(N)]  # fmt: skip
    lines(Path("a.jsonl"), a)
    lines(Path("b.jsonl"), b)
    return gold


def compared(capsys, *words):
    code = run([*WORDS, *words])
    out = capsys.readouterr()
    return code, json.loads(out.out or "{}"), out.err


def test_the_metric_is_named_and_grades_are_offered(logs, capsys):
    assert run([word for word in WORDS if word != "--json"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "shown by `contains`" in shown
    assert "--grade 60 shows you rows whose answers differ, blind" in shown


def test_grades_in_the_terminal_correct_the_difference(logs, capsys, monkeypatch):
    typed = io.StringIO("x\n" + "e\n" * 40)
    monkeypatch.setattr("sys.stdin", typed)
    code, told, err = compared(capsys, "--grade", "40")
    assert code == 0
    assert "[l]eft right" in err
    assert "expected: Ada" in err
    assert "40 rows are graded, in grades.jsonl" in err
    assert told["graded"] == 40
    assert told["automatic"]["mean"] == pytest.approx(0.25)
    assert told["low"] <= 0 <= told["high"], "people see no difference"
    written = Path("grades.jsonl").read_text("utf-8").splitlines()
    assert len(written) == 80, "both answers of each row"
    code, again, _ = compared(capsys, "--grades", "grades.jsonl")
    assert (again["mean"], again["low"]) == (told["mean"], told["low"])


def test_grading_stops_and_goes_on(logs, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("b\nb\nq\n"))
    _, told, err = compared(capsys, "--grade", "30")
    assert "2 rows are graded" in err
    assert (told["low"], told["high"]) == (-1, 1), "too few grades show nothing"
    monkeypatch.setattr("sys.stdin", io.StringIO("b\n" * 28))
    _, told, err = compared(capsys, "--grade", "30")
    assert "30 rows are graded" in err
    assert told["graded"] == 30
    assert -1 < told["low"] <= 0 <= told["high"] < 1


def test_sides_are_shuffled_and_the_better_one_wins(logs, capsys, monkeypatch):
    """A person who finds A right each time sees it left and right; B is behind then."""

    class Person(io.StringIO):
        def readline(self, *_):
            shown = capsys.readouterr().err.splitlines()
            left = next(line for line in reversed(shown) if line.strip().startswith("left"))
            self.seen.append("Lovelace" in left or "It was" in left)
            return "l\n" if self.seen[-1] else "r\n"

    person = Person()
    person.seen = []
    monkeypatch.setattr("sys.stdin", person)
    _, told, _ = compared(capsys, "--grade", "50")
    assert {True, False} == set(person.seen)
    assert told["high"] < 0


def test_grades_of_chosen_rows_do_not_count(logs, capsys):
    chosen = [{"id": "q1", "answer": "Lovelace, 1", "grade": 1},
              {"id": "q1", "answer": "Some say Ada 1, others Bob", "grade": 0}]  # fmt: skip
    lines(Path("own.jsonl"), chosen)
    _, told, _ = compared(capsys, "--grades", "own.jsonl")
    assert told["graded"] == 0
    assert "not counted: 1 graded row that --grade did not draw" in " ".join(told["notes"])
