"""The ledger on both databases: units, decisions, doors, looks, the hash chain, readers."""

import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from tests.store_kit import edit, lose

from tuneworthy.records.errors import StoreError
from tuneworthy.records.run import Spec
from tuneworthy.store import journal, store
from tuneworthy.store.place import database_of
from tuneworthy.store.store import open_ledger


def quiet(folder, **options):
    return open_ledger(folder, say=lambda text: None, **options)


@pytest.fixture
def ledger(tmp_path):
    with quiet(tmp_path) as opened:
        yield opened


def path(folder):
    return folder / ".tuneworthy" / "ledger.sqlite"


def five_parts(error, *words):
    parts = error.value.plain()
    assert parts["exit_code"] == 7
    assert parts["error"] == "StoreError"
    assert all(parts[name] for name in ("what", "where", "fix", "kept")), parts
    for word in words:
        assert word in str(error.value), (word, str(error.value))


def test_a_unit_is_made_once_and_reads_back_what_was_made(ledger):
    made = []

    def make():
        made.append(1)
        return {"t": (1, 2), "x": 0.1 + 0.2, "s": "\x00 \ud800 é", "none": None}

    first = ledger.unit("k", "run", make, "s")
    assert first == ledger.unit("k", "run", make, "s") == ledger.get("k")
    assert first == {"t": [1, 2], "x": 0.1 + 0.2, "s": "\x00 \ud800 é", "none": None}
    assert made == [1]
    assert ledger.keys("s", "run") == ["k"]
    assert ledger.keys("s", "other") == []
    assert ledger.get("other") is None


def test_a_record_is_stored_by_its_public_names(ledger):
    assert ledger.put("k", "spec", Spec(name="a", arm="b"))["arm"] == "b"
    with pytest.raises(ValueError):
        ledger.put("nan", "x", {"x": float("nan")})
    assert ledger.get("nan") is None


def test_seconds_are_measured_once(ledger):
    ledger.unit("k", "run", lambda: {"a": 1}, "s")
    once = ledger.seconds("k")
    ledger.unit("k", "run", lambda: {"a": 1}, "s")
    ledger.put("unmeasured", "run", {}, "s")
    assert ledger.seconds("k") == once
    assert once > 0
    assert ledger.seconds("unmeasured") is None


def test_a_second_value_for_a_key_is_an_error_and_the_same_value_is_none(ledger):
    ledger.put("k", "x", {"a": 1, "b": 2})
    assert ledger.put("k", "x", {"b": 2, "a": 1}) == {"a": 1, "b": 2}
    assert ledger.verify() == 1
    with pytest.raises(StoreError, match="tampered") as error:
        ledger.put("k", "x", {"a": 2})
    five_parts(error, "k")
    assert ledger.get("k") == {"a": 1, "b": 2}


def test_threads_that_want_one_unit_make_it_once(ledger):
    made, gate = [], threading.Barrier(8)

    def want():
        gate.wait()
        ledger.unit("k", "x", lambda: made.append(1) or {"n": len(made)})

    threads = [threading.Thread(target=want) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert made == [1]


def test_a_value_that_is_not_final_is_held_and_not_stored(ledger):
    made = []

    def want():
        made.append(1)
        return {"replies": (len(made),)}

    first = ledger.unit("k", "x", want, "s", lambda value: len(made) > 1)
    assert first == ledger.unit("k", "x", want, "s") == ledger.get("k") == {"replies": [1]}
    assert ledger.keys("s") == []
    assert made == [1]


def test_the_first_freeze_wins(ledger):
    assert ledger.freeze("s", "plan", {"minutes": 20}) == {"minutes": 20}
    assert ledger.freeze("s", "plan", {"minutes": 5}) == {"minutes": 20}
    assert ledger.freeze("other", "plan", {"minutes": 5}) == {"minutes": 5}
    assert ledger.frozen("s", "plan") == {"minutes": 20}
    assert ledger.frozen("s", "task") is None


def test_looks_count_each_study_once_in_order_of_first_opening(tmp_path):
    with quiet(tmp_path) as ledger:
        assert [ledger.looks(s, "rows") for s in "aabcab"] == [1, 1, 2, 3, 1, 2]
        assert ledger.looks("b", "other rows") == 1
        assert ledger.looked("rows") == 3
        assert ledger.looked("never") == 0
    with quiet(tmp_path) as ledger:
        assert ledger.looks("b", "rows") == 2


def test_looks_know_cases_again_by_their_marks_from_1_in_20(tmp_path):
    marks = [f"m{i}" for i in range(100)]
    with quiet(tmp_path) as ledger:
        assert ledger.looks("a", "rows", marks) == 1
        assert ledger.looks("b", "others", [*marks[:5], *(f"x{i}" for i in range(95))]) == 2
        assert ledger.looks("c", "fewer", [*marks[:4], *(f"y{i}" for i in range(96))]) == 1
        assert ledger.looks("d", "unmarked") == 1
        assert ledger.looked("again", marks[:50]) == 3  # a, b with 5 and c with 4 of 50
        assert ledger.looked("again", marks[50:]) == 1
        assert ledger.looks("a", "rows", marks) == 1


def test_doors_are_logged_with_their_purpose(ledger):
    for _ in range(2):  # a resumed study opens them again
        ledger.door("s", "audit", "lengths")
        ledger.door("s", "open", "score")
    said = [(door["door"], door["purpose"]) for door in ledger.doors("s")]
    assert said == [("audit", "lengths"), ("open", "score")]
    assert ledger.doors("t") == []


def test_i148_order_is_by_number_whatever_the_clock_says(ledger, monkeypatch):
    from datetime import UTC, datetime

    times = [datetime(2030, 1, 1, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC)]

    class Clock:
        @staticmethod
        def now(zone):
            return times.pop(0)

    monkeypatch.setattr(journal, "datetime", Clock)
    first = ledger.log("s", "said", {"n": 1})
    ledger.log("s", "said", {"n": 2})
    assert [event["value"]["n"] for event in ledger.events("s")] == [1, 2]
    assert [event["value"]["n"] for event in ledger.events("s", after=first)] == [2]
    assert ledger.verify() == 2


def test_a_key_of_any_shape_stays_inside_blobs(ledger):
    blobs = ledger.home / "blobs"
    for key in ("a" * 64, "../../x", "/etc", "", ".hidden", "x" * 500, "CON\n"):
        assert ledger.folder(key).parent == blobs
        assert ledger.folder(key).is_dir()
    assert ledger.folder("a" * 64).name == "a" * 64


# A86: the chain


@pytest.fixture
def filled(tmp_path):
    with quiet(tmp_path) as ledger:
        for number in range(5):
            ledger.put(f"k{number}", "answer", {"text": f"right {number}"}, "s")
        assert ledger.verify() == 5
    return tmp_path


def relink(folder, seq):
    """Forge the hash of one row, as somebody who knows the rule would."""
    opened = journal.Journal(database_of(folder), write=False)
    rows = {row.seq: row for row in opened.all_rows()}
    opened.close()
    row = rows[seq]
    forged = journal.row_hash(rows[seq - 1].link, seq, row[1:7], row.at)
    edit(folder, f"UPDATE rows SET link = '{forged}' WHERE seq = {seq}")


def test_a86_an_edited_answer_is_seen_on_reading_it_and_by_verify(filled):
    edit(filled, """UPDATE rows SET value = '{"text":"wrong"}' WHERE seq = 3""")
    with quiet(filled) as ledger:
        assert ledger.get("k1") == {"text": "right 1"}
        for seen in (lambda: ledger.get("k2"), ledger.verify):
            with pytest.raises(StoreError) as error:
                seen()
            five_parts(error, "row 3")


def test_a86_an_edit_with_its_hash_forged_is_seen_at_the_next_row(filled):
    edit(filled, """UPDATE rows SET value = '{"text":"wrong"}' WHERE seq = 3""")
    relink(filled, 3)
    with quiet(filled) as ledger, pytest.raises(StoreError, match="row 4"):
        ledger.verify()


@pytest.mark.parametrize("column", ["sort", "name", "kind", "study", "at", "seconds"])
def test_a86_every_column_is_covered(filled, column):
    edit(filled, f"UPDATE rows SET {column} = '7' WHERE seq = 2")
    with quiet(filled) as ledger, pytest.raises(StoreError, match="row 2"):
        ledger.verify()


@pytest.mark.parametrize(("gone", "row"), [("= 1", 1), ("= 3", 3), ("= 5", 6), ("> 2", 3)])
def test_a86_a_removed_row_is_seen(filled, gone, row):
    edit(filled, f"DELETE FROM rows WHERE seq {gone}")
    with quiet(filled) as ledger, pytest.raises(StoreError):
        ledger.verify()


# readers


def test_p15_readers_see_whole_rows_and_never_block_the_writer(tmp_path):
    code = (
        "import sys; from pathlib import Path; from tuneworthy.store.store import open_ledger\n"
        "with open_ledger(Path(sys.argv[1]), write=False) as ledger:\n"
        "    seen = 0\n"
        "    while ledger.get('last') is None:\n"
        "        count = len(ledger.keys('s')); assert count >= seen; seen = count\n"
        "    print(ledger.verify())\n"
    )
    with quiet(tmp_path) as ledger:
        ledger.put("k", "x", {}, "s")
        readers = [
            subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
            for _ in range(2)
        ]
        for number in range(40):
            ledger.put(f"k{number}", "x", {"n": number}, "s")
            with quiet(tmp_path, write=False) as reader:  # the lab, in the writer's own process
                assert reader.get(f"k{number}") == {"n": number}
        ledger.put("last", "x", {}, "s")
        assert [int(r.communicate(timeout=60)[0]) for r in readers] == [42, 42]
        assert [reader.returncode for reader in readers] == [0, 0]
        assert ledger.verify() == 42


def test_a_reader_can_not_write(tmp_path):
    with quiet(tmp_path) as ledger:
        ledger.put("k", "x", {"a": 1})
    with quiet(tmp_path, write=False) as reader:
        with pytest.raises(StoreError, match="reading"):
            reader.put("other", "x", {})
        assert reader.put("k", "x", {"a": 1}) == {"a": 1}  # nothing to write
    with pytest.raises(StoreError, match="closed"):
        reader.get("k")


def test_a_reader_needs_a_ledger(tmp_path):
    with pytest.raises(StoreError, match="no ledger") as error:
        quiet(tmp_path, write=False)
    five_parts(error)
    assert not list(tmp_path.iterdir())


# bad stores and disks


def as_nobody(folder, use):
    """Use a folder as a user without rights on it, in a forked child; return what it said."""
    told, tell = os.pipe()
    if (child := os.fork()) == 0:
        try:
            if os.getuid() == 0:
                os.setgroups([]), os.setgid(65534), os.setuid(65534)
            os.write(tell, use(folder).encode())
        except StoreError as error:
            os.write(tell, f"{error.exit_code} {error}".encode())
        finally:
            os._exit(0)
    os.close(tell)
    os.waitpid(child, 0)
    said = os.read(told, 5000).decode()
    os.close(told)
    return said


@pytest.fixture
def public():
    """A folder that every user can reach, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.mark.parametrize("mode", [0o555, 0o000])
def test_i137_i138_a_folder_without_permission(mode, public):
    folder = public / "study"
    folder.mkdir()
    folder.chmod(mode)
    said = as_nobody(folder, lambda f: str(quiet(f)))
    folder.chmod(0o755)
    assert said.startswith("7 StoreError: no permission"), said
    assert not list(folder.iterdir())


def test_i137_a_study_on_a_read_only_folder_can_still_be_read_and_not_written(public):
    with quiet(public) as ledger:
        ledger.put("k", "x", {"a": "right"})
    home = public / ".tuneworthy"
    for place in (*home.glob("*"), home):
        place.chmod(0o555 if place.is_dir() else 0o444)

    def read(folder):
        with quiet(folder, write=False) as ledger:
            return ledger.get("k")["a"]

    assert as_nobody(public, read) == "right"
    assert as_nobody(public, lambda f: str(quiet(f))).startswith("7 StoreError: no permission")


def test_i151_few_file_descriptors_are_enough(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
    try:
        for number in range(30):  # three each would be too many if they leaked
            with quiet(tmp_path) as ledger:
                ledger.put(f"k{number}", "x", {})
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_paid_replies_come_back_from_the_mirror(tmp_path):
    from tuneworthy.store.purse import SpendingCap

    with quiet(tmp_path) as ledger:
        purse = SpendingCap(ledger, usd=1, study="s")
        purse.settle(purse.reserve("0.5", 10, "q"), "0.2", 7, {"text": "dear"})
    mirror = tmp_path / ".tuneworthy" / "replies.jsonl"
    assert json.loads(mirror.read_text())["reply"] == {"text": "dear"}
    with mirror.open("a") as file:
        file.write('{"key": "half')
    lose(tmp_path)
    said = []
    with open_ledger(tmp_path, say=said.append) as ledger:
        purse = SpendingCap(ledger, usd=1, study="s")
        assert purse.recorded("q") == {"text": "dear"}
        assert str(purse.spent().usd) == "0.2"
        purse.settle(purse.reserve("0.5", 10, "r"), "0.1", 7, {"text": "after the torn line"})
    assert "1 paid replies" in said[0]
    assert [json.loads(line)["key"] for line in mirror.read_text().splitlines()[::2]] == ["q", "r"]


def test_a_forked_child_can_not_write_and_does_not_hold_the_lock(tmp_path):
    ledger = quiet(tmp_path)
    child = os.fork()
    if child == 0:
        try:
            ledger.log("s", "x", {})
        except StoreError:
            os.read(0, 0)
            ledger.close()
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    ledger.log("s", "x", {})
    ledger.close()
    assert store._open_here == {}
