"""`python -m bench.atlas`: cells, entries in and out; exit codes and JSON."""

import json
from pathlib import Path

import pytest
from bench.atlas import cells
from bench.atlas.__main__ import main
from bench.atlas.atlas_data import read_atlas
from tests import atlas_kit, studies

from tuneworthy.cli._frame import run as run_tuneworthy

CELL = "clause_type-20"


def run(words):
    return main(words[1:])


@pytest.fixture(autouse=True)
def few(monkeypatch, tmp_path):
    atlas_kit.few_rows(monkeypatch)
    monkeypatch.chdir(tmp_path)
    yield
    cells.generated_task.cache_clear()


def told(capsys):
    found = capsys.readouterr()
    return found.out, found.err


def test_a_cell_is_measured_shown_and_not_measured_twice(capsys):
    command = ["atlas", "run", CELL, "--arms", "majority,tfidf", "--no-progress"]
    assert run([*command, "--json"]) == 0
    assert json.loads(told(capsys)[0]) == {"measured": [CELL], "failed": {}, "left": []}
    assert len(read_atlas(Path()).entries) == 1


def test_time_that_is_up_is_no_failure_and_says_what_is_left(capsys):
    command = ["atlas", "run", CELL, "clause_type-40", "--arms", "majority,tfidf", "--no-progress"]
    assert run([*command, "--minutes", "0.01s", "--json"]) == 0
    out, err = told(capsys)
    assert json.loads(out)["left"]
    assert "goes on where it stopped" in err
    assert run([*command, "--json"]) == 0
    assert json.loads(told(capsys)[0])["left"] == []


def test_a_cell_that_fails_stops_no_other_and_gives_its_exit_code(capsys):
    names = ["word_sums-20", CELL]  # no classifier applies to numbers
    command = ["atlas", "run", *names, "--arms", "majority,tfidf", "--no-progress", "--json"]
    assert run(command) == 5
    out, err = told(capsys)
    found = json.loads(out)
    assert found["measured"] == [CELL]
    assert list(found["failed"]) == ["word_sums-20"]
    assert "no arm applies to these rows" in err


def test_wrong_words_are_usage_errors(capsys):
    assert run(["atlas", "run", "clause-20"]) == 2
    assert "no such cell" in told(capsys)[1]
    assert run(["atlas", "run", CELL, "--minutes", "soon"]) == 2
    assert run(["atlas", "entry", "nothing", "--out", "e"]) == 2


@pytest.fixture
def study(tmp_path):
    path = studies.write(tmp_path / "mine", arms=atlas_kit.ARMS)
    assert run_tuneworthy(["run", str(path), "--brief", "--no-progress"]) == 0
    return str(path.parent)


def test_an_entry_of_ones_own_goes_out_and_in_again(study, capsys):
    assert run(["atlas", "entry", study, "--out", "e", "--kind", "Mails", "--key", "mails"]) == 0
    assert "60 of your scored rows, 10 rows to learn from and 240 answers" in told(capsys)[1]
    assert run(["atlas", "add", "e", "--json"]) == 0
    added = json.loads(told(capsys)[0])
    assert (added["key"], added["scored_again"]) == ("mails", 240)
    assert list(read_atlas(Path()).entries) == ["mails"]
    assert run(["atlas", "entry", study, "--out", "e"]) == 2
    assert run(["atlas", "entry", study, "--out", "f", "--key", "../x"]) == 2


def test_a_forged_entry_is_refused_with_5_and_nothing_is_added(study, tmp_path, capsys):
    assert run(["atlas", "entry", study, "--out", "e", "--key", "mails"]) == 0
    path = tmp_path / "e" / "answers.jsonl"
    text = path.read_text("utf-8")
    path.write_text(text.replace('"score": 0.0', '"score": 1.0', 3), "utf-8")
    capsys.readouterr()
    assert run(["atlas", "add", "e", "--json"]) == 5
    assert "scores otherwise: 3" in told(capsys)[1]
    assert not (tmp_path / ".tuneworthy" / "atlas").exists()
    assert run(["atlas", "add", "nowhere"]) == 5


def test_figures_only_are_taken_only_as_such(study, capsys):
    assert run(["atlas", "entry", study, "--out", "e", "--key", "mails", "--figures-only"]) == 0
    assert "no row and no answer" in told(capsys)[1]
    assert run(["atlas", "add", "e"]) == 5
    assert "--figures-only" in told(capsys)[1]
    assert run(["atlas", "add", "e", "--figures-only"]) == 0
    assert "as stated" in told(capsys)[0]
    assert read_atlas(Path()).entries["mails"].head.figures_only
