"""Small rules of the store, each with the value that it must have."""

import errno
import json
import os
import sqlite3
import time
from decimal import Decimal

import pytest

from tuneworthy.records.errors import StoreError, TaskError
from tuneworthy.store import signals
from tuneworthy.store.blobs import receive_files, require_whole
from tuneworthy.store.database import Head, read_head
from tuneworthy.store.elsewhere import next_look, record_look, release_look, retake_look
from tuneworthy.store.failpoint import failpoint
from tuneworthy.store.journal import Row
from tuneworthy.store.mirror import REPLIES_FILE, reply_seconds
from tuneworthy.store.purse import SpendingCap
from tuneworthy.store.store import open_ledger
from tuneworthy.store.trouble import from_system, store_errors


@pytest.fixture
def ledger(tmp_path):
    with open_ledger(tmp_path) as opened:
        yield opened


def test_a_folder_that_is_not_whole_is_named(tmp_path):
    with pytest.raises(StoreError) as error:
        require_whole(tmp_path)
    assert error.value.where == str(tmp_path)


def test_files_that_can_not_be_received_are_an_error_of_their_folder(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(StoreError) as error:
        receive_files(tmp_path, {"a": b"1"})
    assert error.value.where == str(tmp_path)


def test_a_file_that_is_no_store_of_ours_is_not_opened(tmp_path):
    with open_ledger(tmp_path) as ledger:
        path = ledger.journal.database.path
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA application_id = 7")
    connection.close()
    with pytest.raises(StoreError, match="did not make"), open_ledger(tmp_path):
        pass


def test_the_head_of_a_missing_folder_is_not_written(tmp_path):
    head = Head(tmp_path / "none" / "head")
    head.note(3, "abc")
    head.close()
    head = Head(tmp_path / "head")
    for seq in (10_000, 3):
        head.note(seq, "abc")
    head.close()
    assert read_head(tmp_path / "head") == (3, "abc", 0)
    assert (tmp_path / "head").stat().st_size == 128


def test_a_look_that_is_taken_again_counts_and_is_told_with_its_rows(ledger):
    marks = [f"{i:012x}" for i in range(5)]
    record_look(ledger, "one", "rows", marks)
    release_look(ledger, "one", "rows")
    assert next_look(ledger, "two", "rows", marks).look == 1
    retake_look(ledger, "one", "rows")
    assert next_look(ledger, "two", "rows", marks).look == 2
    kept = [row.content for row in ledger.journal.rows("frozen", "one")]
    assert kept.count({"rows": "rows"}) == 2


def test_a_failpoint_that_can_not_be_read_is_shown(monkeypatch):
    monkeypatch.setenv("TW_FAILPOINT", "put.before:x:kill")
    with pytest.raises(TaskError) as error:
        failpoint("put.before")
    assert error.value.got == "put.before:x:kill"


def test_a_row_that_something_else_wrote_is_shown():
    row = Row(1, "sort", "name", "kind", "s", "not json", None, "2026-01-01", "link")
    with pytest.raises(StoreError) as error:
        row.content  # noqa: B018
    assert error.value.got == "not json"


def test_only_the_end_of_a_long_list_of_replies_is_read(tmp_path):
    def reply(seconds):
        entry = {"key": "k", "study": "s", "usd": 0, "tokens": 0, "reply": {"seconds": seconds}}
        return json.dumps(entry) + "\n"

    path = tmp_path / REPLIES_FILE
    path.write_text(reply(1) + reply(0) + reply(2.5) + '{"torn')
    assert reply_seconds(tmp_path) == [1.0, 2.5]
    path.write_text(reply(9) + "x" * 5_000_000 + "\n" + reply(2.5))
    assert reply_seconds(tmp_path) == [2.5]


def test_a_fact_about_an_endpoint_is_that_of_its_study(ledger):
    one, other = SpendingCap(ledger, None, None, "one"), SpendingCap(ledger, None, None, "other")
    one.learn("limit", {"tokens": 5})
    assert one.recall("limit") == {"tokens": 5}
    assert other.recall("limit") is None
    assert one.learn("limit", {"tokens": 7}) == {"tokens": 5}


def test_an_outcome_of_another_study_leaves_an_attempt_unknown(tmp_path):
    with open_ledger(tmp_path) as ledger:
        for study in ("one", "other"):
            purse = SpendingCap(ledger, Decimal(9), None, study)
            ticket = purse.reserve(Decimal(1), 5)
            if study == "other":
                purse.settle(ticket, Decimal(1), 5)
    with open_ledger(tmp_path) as ledger:
        assert [u.usd for u in SpendingCap(ledger, Decimal(9), None, "one").spent().unknown] == [1]
        assert SpendingCap(ledger, Decimal(9), None, "other").spent().unknown == ()


def test_a_stop_after_a_time_is_requested_with_its_code():
    with signals.stop_after(0.05, 7):
        until = time.monotonic() + 30
        while signals.requested_exit_code() is None and time.monotonic() < until:
            time.sleep(0.01)
        assert signals.requested_exit_code() == 7
    assert signals.requested_exit_code() is None


@pytest.mark.parametrize(
    ("number", "what"),
    [(errno.ENOSPC, "the disk is full"), (errno.EROFS, "read-only"),
     (errno.EIO, "the disk failed"), (errno.EISDIR, "a folder stands")],
)  # fmt: skip
def test_an_error_of_the_system_is_told_with_its_place_and_its_words(number, what, tmp_path):
    found = from_system(OSError(number, os.strerror(number)), "/out/report.html")
    assert what in found.what
    assert (found.where, found.fix != "") == ("/out/report.html", True)
    assert os.strerror(number) in found.got
    with pytest.raises(StoreError) as error, store_errors(tmp_path):
        raise OSError(number, os.strerror(number))
    assert error.value.where == str(tmp_path)
    assert error.value.fix


def test_an_error_of_the_database_is_told_by_its_name(tmp_path):
    connection = sqlite3.connect(tmp_path / "full.sqlite")
    connection.execute("CREATE TABLE t (x)")
    connection.execute("PRAGMA max_page_count = 2")
    with pytest.raises(StoreError) as error, store_errors(tmp_path):
        connection.execute("INSERT INTO t VALUES (?)", ["x" * 100_000])
    connection.close()
    assert "SQLITE_FULL" in error.value.got
    assert "full" in error.value.what
