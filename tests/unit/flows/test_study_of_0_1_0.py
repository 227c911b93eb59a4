"""Results of tuneworthy 0.1.0 (2 arms, 45 rows) are shown; recomputing says what differs."""

import gzip
from pathlib import Path

import pytest

from tuneworthy.cli._frame import run
from tuneworthy.report.results_folder import read_results

STORED = Path(__file__).parents[2] / "samples" / "study-of-0.1.0" / "results.json.gz"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = tmp_path / "results" / "old-1ea46c01"
    made.mkdir(parents=True)
    (made / "results.json").write_bytes(gzip.decompress(STORED.read_bytes()))
    return made


def test_its_verdict_and_scores_are_shown_as_they_were(folder, capsys):
    assert run(["report", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert "Use: tfidf (classifier)" in shown
    assert ".33 .13–.58" in shown
    assert "1.00 .88–1.00" in shown
    verdict = read_results(folder).verdict
    assert (verdict.tuneworthy, verdict.arm, verdict.status) == ("0.1.0", "tfidf", "provisional")


def test_recomputing_it_says_that_todays_rule_differs(folder, capsys):
    assert run(["report", str(folder), "--recompute"]) == 1
    assert "differences" in capsys.readouterr().out


def test_results_that_no_version_wrote_are_refused(folder, capsys):
    (folder / "results.json").write_text('{"task": {}}')
    assert run(["report", str(folder)]) == 2
    assert "were written by another version, or were changed" in capsys.readouterr().err
