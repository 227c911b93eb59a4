"""Looks across folders: digests in one file of the user's, which never stops a run."""

import json
import os
import subprocess
import sys

import pytest

from tuneworthy.store.elsewhere import (
    LOOKS_FILE,
    LOOKS_VARIABLE,
    LookCount,
    ShownLook,
    next_look,
    note_shown,
    record_look,
    release_look,
    shown_looks,
)
from tuneworthy.store.store import open_ledger

MARKS = [f"{i:012x}" for i in range(100)]


@pytest.fixture
def state(tmp_path, monkeypatch):
    """The file of this test, looks across folders switched on."""
    monkeypatch.delenv(LOOKS_VARIABLE)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "tuneworthy" / LOOKS_FILE


def opened(folder, study, rows="rows", marks=MARKS):
    folder.mkdir(exist_ok=True)
    with open_ledger(folder) as ledger:
        return record_look(ledger, study, rows, marks)


def test_the_same_rows_in_another_folder_are_known_again(tmp_path, state):
    assert opened(tmp_path / "a", "one") == LookCount(1, "user")
    assert opened(tmp_path / "b", "two") == LookCount(2, "user")
    assert opened(tmp_path / "c", "three", "renamed", MARKS[:40]).look == 3
    assert opened(tmp_path / "d", "four", "others", [*MARKS[:4], *map(str, range(96))]).look == 1
    with open_ledger(tmp_path / "a") as ledger:
        assert next_look(ledger, "five", "rows", MARKS).look == 4
    assert next_look(None, "five", "rows", MARKS).look == 4
    assert next_look(None, "one", "rows", MARKS).look == 3  # its own look is none before it
    assert state.stat().st_mode & 0o077 == 0
    lines = [json.loads(line) for line in state.read_text().splitlines()]
    assert [line["study"] for line in lines] == ["one", "two", "three", "four"]
    assert set(lines[0]) == {"study", "rows", "marks"}  # digests and a name, no text


def test_a_study_counts_once_whatever_folder_it_is_run_in_or_run_again_in(tmp_path, state):
    opened(tmp_path / "a", "one")
    assert opened(tmp_path / "b", "two").look == 2
    for folder in ("a", "b", "copy of b without its ledger"):
        assert opened(tmp_path / folder, "two").look == 2
    assert opened(tmp_path / "a", "one").look == 1
    assert len(state.read_text().splitlines()) == 2


def test_looks_of_one_folder_are_counted_once_and_a_resumed_study_keeps_its_own(tmp_path, state):
    assert [opened(tmp_path / "a", study).look for study in ("one", "two", "one")] == [1, 2, 1]
    assert opened(tmp_path / "b", "three").look == 3
    assert opened(tmp_path / "a", "two").look == 2  # opened since: no look before it
    assert opened(tmp_path / "a", "four").look == 4


def test_switched_off_nothing_is_read_or_written(tmp_path, state, monkeypatch):
    opened(tmp_path / "a", "one")
    before = state.read_bytes()
    monkeypatch.setenv(LOOKS_VARIABLE, "folder")
    assert opened(tmp_path / "b", "two") == LookCount(1, "folder")
    assert next_look(None, "three", "rows", MARKS) == LookCount(1, "folder")
    assert state.read_bytes() == before
    monkeypatch.setenv(LOOKS_VARIABLE, "")
    assert opened(tmp_path / "b", "two").look == 1  # what a study was told stays so
    assert opened(tmp_path / "c", "three").look == 3


def test_a_file_that_cannot_be_written_stops_nothing_and_is_said(tmp_path, state, monkeypatch):
    state.parent.parent.write_text("no folder")
    found = opened(tmp_path / "a", "one")
    assert (found.look, found.scope) == (1, "folder")
    assert "counted in this folder only" in found.trouble
    assert str(state) in found.trouble
    assert "\n" not in found.trouble
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pathlib.Path.home", no_home)
    assert "no home" in opened(tmp_path / "b", "two").trouble


def no_home():
    raise RuntimeError("no home")


def test_a_relative_state_folder_is_not_used(tmp_path, state, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", "state")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    opened(tmp_path / "a", "one")
    assert (tmp_path / "home" / ".local" / "state" / "tuneworthy" / LOOKS_FILE).exists()
    assert not state.exists()


def test_a_torn_or_foreign_line_loses_that_line_alone(tmp_path, state):
    opened(tmp_path / "a", "one")
    whole = state.read_bytes()
    state.write_bytes(b"\n" + whole + whole.replace(b"one", b"two")[:40])
    found = opened(tmp_path / "c", "three")
    assert (found.look, found.scope) == (2, "user")
    assert found.trouble.startswith("1 lines of")
    assert opened(tmp_path / "d", "four").look == 3  # what came behind the torn line is read
    state.write_bytes(b"[1]\n{}\n\xff\n")
    assert opened(tmp_path / "e", "five").trouble.startswith("3 lines of")


def test_a_file_that_somebody_holds_is_waited_for_and_then_left(tmp_path, state, monkeypatch):
    opened(tmp_path / "a", "one")
    monkeypatch.setattr("tuneworthy.store.elsewhere.LOCK_WAIT_SECONDS", 0.05)
    held = "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX); print()\n"
    with subprocess.Popen([sys.executable, "-c", held + "sys.stdin.read()", str(state)],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:  # fmt: skip
        other.stdout.readline()
        assert opened(tmp_path / "b", "two").scope == "folder"
        other.stdin.close()


WRITER = """
import sys
from pathlib import Path
from tuneworthy.store.elsewhere import record_look
from tuneworthy.store.store import open_ledger
name, folder = sys.argv[1], Path(sys.argv[2])
for i in range(8):
    with open_ledger(folder) as ledger:
        record_look(ledger, f"{name}{i}", f"rows of {name}{i}", [str(j) for j in range(3000)])
"""


def test_two_writers_at_once_lose_nothing(tmp_path, state):
    env = {**os.environ}
    writers = []
    for name in "ab":
        (tmp_path / name).mkdir()
        call = [sys.executable, "-c", WRITER, name, str(tmp_path / name)]
        writers.append(subprocess.Popen(call, env=env))
    assert [writer.wait(60) for writer in writers] == [0, 0]
    lines = [json.loads(line) for line in state.read_text().splitlines()]
    assert sorted(line["study"] for line in lines) == [f"{n}{i}" for n in "ab" for i in range(8)]
    assert all(len(line["marks"]) == 3000 for line in lines)


def test_what_a_study_showed_is_kept_beside_the_lines_of_older_versions(tmp_path, state):
    opened(tmp_path / "a", "old")  # a line of an older version: it does not say what was shown
    look = opened(tmp_path / "b", "new").look
    shown = ShownLook("new", "rows", frozenset(MARKS), look, ("an arm", "another"), ((1, 40.0),))
    with open_ledger(tmp_path / "b") as ledger:
        for _ in range(2):  # a resumed study keeps nothing twice
            note_shown(ledger, shown, {"arm": 1})
        assert shown_looks(ledger, "new") == []
        assert record_look(ledger, "new", "rows", MARKS).earlier == ((1, 40.0),)
    assert len(state.read_text().splitlines()) == 3
    (tmp_path / "c").mkdir()
    with open_ledger(tmp_path / "c") as ledger:
        assert shown_looks(ledger, "third") == [shown]
        assert next_look(ledger, "third", "rows", MARKS).look == 3  # both count, as before
        with open(state, "a") as file:
            file.write('{"study": "odd", "rows": "r", "marks": [], "shown": {"look": "x"}}\n')
        assert shown_looks(ledger, "third") == [shown]


def test_a_study_that_showed_what_another_had_shown_has_its_look(tmp_path, state):
    opened(tmp_path / "a", "first")
    first = ShownLook("first", "rows", frozenset(MARKS), 1, ("one", "two", "three"))
    with open_ledger(tmp_path / "a") as ledger:
        note_shown(ledger, first, {})
    opened(tmp_path / "b", "second")
    with open_ledger(tmp_path / "b") as ledger:
        (known,) = shown_looks(ledger, "second")
        release_look(ledger, "second", "rows")
        own = ShownLook("second", "rows", frozenset(MARKS), 2, ("one", "two"))
        note_shown(ledger, own, {}, of_other=known)
        count = record_look(ledger, "second", "rows", MARKS)
        assert (count.look, count.arms) == (1, 3)
    assert opened(tmp_path / "c", "third").look == 2
