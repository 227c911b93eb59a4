"""Stores in every state: cut, flipped, emptied, replaced, locked, with files where none belong."""

import os
import shutil
import sqlite3

import pytest
from fuzz_kit import drawn, holds, indices, real
from hypothesis import strategies as st

from tuneworthy.store.store import open_ledger

pytestmark = pytest.mark.full
COUNT = 100
TARGETS = [
    ".tuneworthy/ledger.sqlite",
    ".tuneworthy/ledger.sqlite",
    ".tuneworthy/ledger.sqlite-wal",
    ".tuneworthy/head",
    ".tuneworthy/lock",
    ".tuneworthy/replies.jsonl",
    ".tuneworthy",
    ".tuneworthy/blobs",
    "results",
    "results/latest",
    "RESULTS/results.json",
    "RESULTS/results.json",
    "RESULTS/verdict.json",
    "RESULTS/report.html",
    ".tuneworthy/.gitignore",
    ".tuneworthy/ledger.sqlite-shm",
]
HOW = ["cut", "cut", "flip", "flip", "insert", "empty", "remove", "folder", "link", "dangling",
       "fifo", "text", "sql", "double", "zeros"]  # fmt: skip
SQL = [
    "UPDATE rows SET value = '{}' WHERE seq = 3",
    "DELETE FROM rows WHERE seq > 5",
    "DELETE FROM rows",
    "DROP TABLE rows",
    "PRAGMA user_version = 99",
    "CREATE VIEW v AS SELECT 1",
    "UPDATE rows SET seconds = 1e308",
    "UPDATE rows SET name = NULL",
    "DELETE FROM sqlite_sequence",
    "UPDATE rows SET value = 'x'",
    "PRAGMA application_id = 1",
    "UPDATE rows SET at = x'ff'",
    "CREATE TRIGGER t AFTER INSERT ON rows BEGIN DELETE FROM rows; END",
    "UPDATE rows SET seq = seq + 1000000",
    "UPDATE sqlite_sequence SET seq = 1",
]
COMMANDS = [
    ["run", "--no-progress"],
    ["report"],
    ["report", "--recompute"],
    ["check"],
    ["plan"],
    ["report", "--json"],
    ["settle", "--show"],
    ["compare"],
    ["run", "--fresh", "--brief"],
]


@st.composite
def inputs(draw):
    """Return what is done to which files, and the commands that meet it."""
    one = st.tuples(st.sampled_from(TARGETS), st.sampled_from(HOW), st.integers(0, 10**6),
                    st.sampled_from(SQL))  # fmt: skip
    return draw(st.lists(one, min_size=1, max_size=2)), draw(st.sampled_from(COMMANDS))


def spoil(home, target, how, number, statement):
    """Do it; what can't be done to this file is left."""
    results = next(path for path in (home / "results").glob("planted-*")) if (
        home / "results").is_dir() else home / "results"  # fmt: skip
    path = (
        results / target.removeprefix("RESULTS/")
        if target.startswith("RESULTS/")
        else home / target
    )
    raw = path.read_bytes() if path.is_file() else b""
    at = number % max(len(raw), 1)
    if how == "sql":
        try:
            with sqlite3.connect(home / ".tuneworthy/ledger.sqlite") as connection:
                connection.execute(statement)
            connection.close()
        except sqlite3.Error:
            pass
        return
    if how in ("remove", "folder", "link", "dangling", "fifo"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        make = {
            "folder": path.mkdir,
            "link": lambda: path.symlink_to("/etc/hostname"),
            "dangling": lambda: path.symlink_to("none"),
            "fifo": lambda: os.mkfifo(path),
        }
        make.get(how, lambda: None)()
    elif not path.is_dir():
        changed = {"cut": raw[:at], "empty": b"", "text": b"no store\n", "double": raw + raw,
                   "flip": raw[:at] + bytes([raw[at] ^ (1 + number % 255)]) + raw[at + 1 :] if raw
                   else b"x", "zeros": raw[:at] + bytes(len(raw) - at),
                   "insert": raw[:at] + b"\x1b[31m\0" + raw[at:]}  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(changed[how])


@indices(COUNT)
def test_store(index, home):
    changes, words = drawn("store", inputs(), COUNT, index)
    for change in changes:
        try:
            spoil(home, *change)
        except (FileExistsError, NotADirectoryError, OSError):
            continue  # two changes to one path
    given = [str(home)] * (2 if words[0] == "compare" else 1)
    holds(home, [words[0], *given, *words[1:]], real=real(index))
    if index % 3 == 0:
        holds(home, ["run", str(home), "--no-progress", "--brief"])


def test_a_store_that_another_process_holds(home):
    with open_ledger(home, say=lambda text: None):
        for words in COMMANDS:
            given = [str(home)] * (2 if words[0] == "compare" else 1)
            ended = holds(home, [words[0], *given, *words[1:]])
            reads = words[0] in ("report", "check", "compare")
            assert (ended.code == 7) != reads, ended.text
