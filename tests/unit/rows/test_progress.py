"""Reading a long file reports its progress every few seconds; a short file reports none."""

from tests import studies

from tuneworthy.cli._frame import run as command
from tuneworthy.flows.study import check
from tuneworthy.rows import load as loading
from tuneworthy.rows import reading


def test_a_short_file_says_nothing(tmp_path, capsys):
    path = studies.write(tmp_path, arms=studies.LIGHT)
    assert command(["check", str(path)]) == 0
    assert capsys.readouterr().err == ""


def test_a_long_file_says_how_far_it_is(tmp_path, monkeypatch):
    path = studies.write(tmp_path, 3500, arms=studies.LIGHT)
    clock = iter(range(0, 10**6, 2))  # two seconds between two looks
    monkeypatch.setattr(reading.time, "monotonic", lambda: float(next(clock)))
    monkeypatch.setattr(loading, "SLOW_COMPARISON_ROWS", 3000)
    said = []
    check(path, watch=lambda event, data: said.append((event, data)))
    assert said == [
        ("say", "rows.jsonl: 2,000 rows read"),
        ("say", "comparing 3,500 rows with each other"),
    ]


def test_progress_goes_to_stderr(tmp_path, monkeypatch, capsys):
    path = studies.write(tmp_path, arms=studies.LIGHT)
    monkeypatch.setattr(reading, "_ROWS_PER_CHECK", 20)
    monkeypatch.setattr(reading.ReadingProgress.__init__, "__defaults__", (0.0,))
    assert command(["check", str(path), "--json"]) == 0
    told = capsys.readouterr()
    assert "rows.jsonl: 20 rows read" in told.err
    assert "rows read" not in told.out
