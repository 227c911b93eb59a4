"""P31: the ledger on a real Postgres server: bad addresses, lost sessions, crashes, two drivers."""

import os
import socket
import subprocess
import sys
import threading
import time
from urllib.parse import quote

import pytest
from tests import studies
from tests.postgres_kit import (
    PASSWORD,
    Server,
    edit,
    end_sessions,
    kill,
    programs,
    schema,
    wait_for,
)

from tuneworthy.core.errors import NotInstalled, StoreError, TaskError
from tuneworthy.core.run_options import RunOptions
from tuneworthy.ledger.place import LEDGER_VARIABLE, place_to_write
from tuneworthy.ledger.purse import SpendingCap
from tuneworthy.ledger.store import open_ledger, read_ledger
from tuneworthy.results_folder import against_ledger, find_results, read_results
from tuneworthy.study import run

pytestmark = pytest.mark.full
OPTIONS = RunOptions(brief=True)


@pytest.fixture
def server(postgres, monkeypatch):
    monkeypatch.setenv(LEDGER_VARIABLE, postgres.url())
    return postgres


def quiet(folder, **options):
    return open_ledger(folder, say=lambda text: None, **options)


def refused(folder, *words):
    with pytest.raises(StoreError) as error:
        quiet(folder)
    parts = error.value.plain()
    assert parts["exit_code"] == 7
    assert all(parts[name] for name in ("what", "where", "got", "fix", "kept")), parts
    for word in words:
        assert word in str(error.value), str(error.value)
    for spelling in (PASSWORD, quote(PASSWORD, safe="")):
        assert spelling not in str(error.value)
    return error.value


# Servers that can't be used


def test_an_unreachable_server(tmp_path, monkeypatch):
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # bound and not listening: refused
        port = bound.getsockname()[1]
        monkeypatch.setenv(
            LEDGER_VARIABLE, f"postgresql://me:{quote(PASSWORD, safe='')}@127.0.0.1:{port}/x"
        )
        refused(tmp_path, "can't be reached", str(port), "Connection refused")
    assert not (tmp_path / ".tuneworthy" / "ledger.sqlite").exists()


@pytest.mark.parametrize("password", ["wrong", "", None, f"{quote(PASSWORD, safe='')}x"])
def test_a_wrong_password(server, tmp_path, monkeypatch, password):
    monkeypatch.setenv(LEDGER_VARIABLE, server.tcp(password))
    refused(tmp_path, "user or password", "PGPASSWORD")


def test_the_right_password_in_each_place(server, tmp_path, monkeypatch):
    monkeypatch.setenv(LEDGER_VARIABLE, server.tcp(quote(PASSWORD, safe="")))
    with quiet(tmp_path) as ledger:
        ledger.put("k", "x", {"a": 1})
    monkeypatch.setenv(LEDGER_VARIABLE, server.tcp(None))
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    with quiet(tmp_path) as ledger:
        assert ledger.get("k") == {"a": 1}


def test_a_missing_database(server, tmp_path, monkeypatch):
    monkeypatch.setenv(LEDGER_VARIABLE, server.url(database="nowhere"))
    refused(tmp_path, "no such database", "createdb")


def test_a_user_who_may_not_make_tables(server, tmp_path, monkeypatch):
    monkeypatch.setenv(LEDGER_VARIABLE, server.url(user="guest"))
    refused(tmp_path, "no right to make", "GRANT CREATE")
    server.sql(f'CREATE SCHEMA "{schema(tmp_path)}" AUTHORIZATION guest', database="work")
    with quiet(tmp_path) as ledger:  # an empty schema that the user owns is enough
        ledger.put("k", "x", {"a": 1})
        assert ledger.verify() == 1


def test_a_database_that_is_not_in_utf8(server, tmp_path, monkeypatch):
    monkeypatch.setenv(LEDGER_VARIABLE, server.url(database="latin"))
    refused(tmp_path, "UTF8", "SQL_ASCII")


def test_a_server_that_is_read_only(server, tmp_path, monkeypatch):
    only = quote("-c default_transaction_read_only=on", safe="")
    monkeypatch.setenv(LEDGER_VARIABLE, server.url(more=f"&options={only}"))
    with pytest.raises(StoreError, match="read-only"):
        quiet(tmp_path)


def test_another_programs_schema_is_refused_and_untouched(server, tmp_path):
    name = schema(tmp_path)
    server.sql(f'CREATE SCHEMA "{name}" AUTHORIZATION worker',
               f'CREATE TABLE "{name}".theirs (x int)', database="work")  # fmt: skip
    refused(tmp_path, "did not make", name)
    left = server.sql("SELECT tablename FROM pg_tables WHERE schemaname LIKE 'tuneworthy_%' AND"
                      f" schemaname = '{name}'", database="work")  # fmt: skip
    assert left == [("theirs",)]


@pytest.mark.parametrize(
    "planted",
    [
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        "CREATE TRIGGER t BEFORE INSERT ON rows FOR EACH ROW EXECUTE FUNCTION f()",
        "CREATE RULE r AS ON INSERT TO rows DO INSTEAD NOTHING",
        "CREATE VIEW v AS SELECT 1",
        "CREATE TABLE extra (x int)",
        "DROP INDEX rows_by_study",
        "ALTER TABLE rows ALTER seconds TYPE real",
        "ALTER TABLE rows DROP CONSTRAINT rows_sort_name_key",
    ],
)
def test_a54_a_schema_that_defines_anything_else_is_refused(server, tmp_path, planted):
    with quiet(tmp_path) as ledger:
        ledger.put("k", "x", {})
    edit(tmp_path, planted)
    for write in (True, False):
        with pytest.raises(StoreError, match="malformed"):
            quiet(tmp_path, write=write)


def test_a_missing_driver(tmp_path, monkeypatch):
    monkeypatch.setenv(LEDGER_VARIABLE, "postgresql://me@127.0.0.1/x")
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(NotInstalled, match="psycopg") as error:
        quiet(tmp_path)
    assert error.value.fix == 'pip install "tuneworthy[postgres]"'


def test_an_address_that_is_none_is_not_shown(tmp_path, monkeypatch):
    monkeypatch.setenv(LEDGER_VARIABLE, "mysql://me:geheim@host/x")
    with pytest.raises(TaskError) as error:
        quiet(tmp_path)
    assert error.value.exit_code == 2
    assert "geheim" not in str(error.value)
    assert LEDGER_VARIABLE in error.value.where


# Sessions and servers that end


def test_a_lost_session_stops_the_writer_and_keeps_what_was_booked(server, tmp_path):
    ledger = quiet(tmp_path)
    ledger.put("kept", "x", {"a": 1}, "s")
    end_sessions(server)
    for _ in range(2):  # and no later call makes a session of its own, which would have no lock
        with pytest.raises(StoreError, match="connection to the ledger's server was lost"):
            ledger.put("lost", "x", {"a": 2}, "s")
    with pytest.raises(StoreError, match="lost"):
        ledger.get("kept")
    ledger.close()
    said = []
    with open_ledger(tmp_path, say=said.append) as again:
        assert again.recovered
        assert again.get("kept") == {"a": 1}
        assert again.get("lost") is None
        assert again.put("lost", "x", {"a": 2}, "s") == {"a": 2}
        assert again.verify() == 2
    assert "checked" in said[0]


def test_p2_a_reply_whose_session_is_lost_is_read_back_and_never_paid_again(server, tmp_path):
    ledger = quiet(tmp_path)
    purse = SpendingCap(ledger, usd=1, study="s")
    ticket = purse.reserve("0.5", 10, "q")
    end_sessions(server)
    with pytest.raises(StoreError, match="lost"):
        purse.settle(ticket, "0.2", 7, {"text": "dear"})
    ledger.close()
    with quiet(tmp_path) as ledger:
        purse = SpendingCap(ledger, usd=1, study="s")
        assert purse.recorded("q") == {"text": "dear"}
        spent = purse.spent()
        assert (str(spent.usd), spent.tokens, spent.attempts, spent.unknown) == ("0.2", 7, 1, ())


@pytest.fixture
def own_server(tmp_path_factory, postgres):
    """A second server, to be stopped."""
    folder = postgres.folder / f"second-{os.urandom(4).hex()}"
    folder.mkdir()
    folder.chmod(0o755)
    if os.getuid() == 0:
        import shutil

        shutil.chown(folder, "postgres", "postgres")
    server = Server(programs(), folder).make()
    yield server
    if (folder / "data" / "postmaster.pid").exists():
        server.stop("immediate")


def test_a_server_that_crashes_in_mid_transaction_loses_nothing_booked(
    own_server, tmp_path, monkeypatch
):
    monkeypatch.setenv(LEDGER_VARIABLE, own_server.url())
    ledger, booked, stopped = quiet(tmp_path), [], []

    def work():
        try:
            for number in range(100_000):
                ledger.put(f"k{number}", "x", {"n": number}, "s")
                booked.append(number)
        except StoreError as error:
            stopped.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    wait_for(lambda: len(booked) >= 20)
    own_server.stop("immediate")
    thread.join(30)
    assert stopped, "it went on without a server"
    assert "lost" in str(stopped[0])
    ledger.close()
    refused(tmp_path, "can't be reached")
    own_server.start()
    with quiet(tmp_path) as again:
        kept = again.keys("s")
        assert kept[: len(booked)] == [f"k{number}" for number in booked]
        assert len(kept) - len(booked) in (0, 1)  # one may be there without our knowing
        assert again.verify() == len(kept)
        again.put("after", "x", {})


def test_a_shut_down_server_says_so(own_server, tmp_path, monkeypatch):
    monkeypatch.setenv(LEDGER_VARIABLE, own_server.url())
    with quiet(tmp_path) as ledger:
        ledger.put("k", "x", {})
        own_server.stop("fast")
        with pytest.raises(StoreError, match="lost"):
            ledger.put("l", "x", {})


# One writer


def elsewhere(tmp_path, server, monkeypatch):
    """Return two folders (machines) that name one ledger."""
    monkeypatch.setenv(LEDGER_VARIABLE, server.url(more=f"&ledger={tmp_path.name}"))
    folders = tmp_path / "a", tmp_path / "b"
    [folder.mkdir() for folder in folders]
    return folders


def test_p14_two_drivers_on_one_ledger_one_works_and_the_other_says_so(
    server, tmp_path, monkeypatch
):
    one, other = elsewhere(tmp_path, server, monkeypatch)
    with quiet(one) as ledger:
        ledger.put("k", "x", {"a": 1}, "s")
        error = refused(other, "another run has this study open", f"pid {os.getpid()}", "since 20")
        assert socket.gethostname()[:30] in error.got
        assert "nothing was changed" in error.kept
        ledger.put("l", "x", {"a": 2}, "s")
        with quiet(other, write=False, task="any") as reader:
            assert reader.journal.counted() == 2
    with quiet(other) as ledger:
        assert ledger.get("k") == {"a": 1}
        assert not ledger.recovered


def test_i143_a_killed_drivers_lock_is_free_for_another_machine(server, tmp_path, monkeypatch):
    one, other = elsewhere(tmp_path, server, monkeypatch)
    ready, tell = os.pipe()
    if (child := os.fork()) == 0:
        ledger = quiet(one)
        ledger.put("k", "x", {"a": 1})
        if os.fork() == 0:  # a process of its own, which must not keep the session
            os.write(tell, str(os.getpid()).encode())
            time.sleep(60)
            os._exit(0)
        time.sleep(60)
    grandchild = int(os.read(ready, 20))
    kill(child)
    try:
        with quiet(other) as ledger:
            assert ledger.recovered
            assert ledger.get("k") == {"a": 1}
    finally:
        os.kill(grandchild, 9)


def test_a_second_writer_can_not_add_a_row_even_where_the_lock_does_not_hold(server, tmp_path):
    with quiet(tmp_path) as ledger:
        ledger.put("k", "x", {})
        edit(tmp_path, "UPDATE ledger SET holder = 'another'")
        with pytest.raises(StoreError, match="another process has written") as error:
            ledger.put("l", "x", {})
        assert "pooler" in error.value.got
    edit(tmp_path, "UPDATE ledger SET holder = ''")
    with quiet(tmp_path) as ledger:
        assert ledger.get("l") is None
        assert ledger.verify() == 1


def test_i142_rows_locked_by_another_program(server, tmp_path):
    import psycopg

    with quiet(tmp_path) as ledger:
        ledger.put("k", "x", {})
        raw = ledger.journal.engine.raw_connection().driver_connection
        raw.execute("SET lock_timeout TO '50ms'")
        raw.commit()
        address = place_to_write(tmp_path, None, None).url.conninfo
        with psycopg.connect(address) as other:
            other.execute(f'LOCK TABLE "{schema(tmp_path)}".rows')
            with pytest.raises(StoreError, match="locked"):
                ledger.put("l", "x", {})
        ledger.put("l", "x", {})


# Where it lies


def test_readers_need_the_address_and_a_folder_from_elsewhere_never_makes_us_connect(
    server, tmp_path, monkeypatch
):
    with quiet(tmp_path) as ledger:
        ledger.put("k", "x", {"a": 1})
    with read_ledger(tmp_path) as reader:
        assert reader.get("k") == {"a": 1}
    note = (tmp_path / ".tuneworthy" / "ledger.json").read_text()
    assert "worker@" in note
    monkeypatch.delenv(LEDGER_VARIABLE)
    with read_ledger(tmp_path) as reader:
        assert reader is None


def test_a_change_of_place_is_said_and_loses_nothing(server, tmp_path, monkeypatch):
    with quiet(tmp_path) as ledger:
        ledger.put("k", "x", {"a": "on the server"})
    monkeypatch.delenv(LEDGER_VARIABLE)
    said = []
    with open_ledger(tmp_path, say=said.append) as ledger:
        assert ledger.get("k") is None
    assert "ledger was postgresql://worker@" in said[0]
    monkeypatch.setenv(LEDGER_VARIABLE, server.url())
    said.clear()
    with open_ledger(tmp_path, say=said.append) as ledger:
        assert ledger.get("k") == {"a": "on the server"}
    assert "ledger.sqlite; this run uses postgresql://" in said[0]


def test_paid_replies_come_along_to_a_new_place(server, tmp_path, monkeypatch):
    monkeypatch.delenv(LEDGER_VARIABLE)
    with quiet(tmp_path) as ledger:
        purse = SpendingCap(ledger, usd=1, study="s")
        purse.settle(purse.reserve("0.5", 10, "q"), "0.2", 7, {"text": "dear"})
    monkeypatch.setenv(LEDGER_VARIABLE, server.url())
    with quiet(tmp_path) as ledger:
        assert SpendingCap(ledger, usd=1, study="s").recorded("q") == {"text": "dear"}


@pytest.mark.parametrize("name", ["a" * 64, "Mixed.Case-1", "x"])
def test_names_of_ledgers(server, tmp_path, name, monkeypatch):
    monkeypatch.setenv(LEDGER_VARIABLE, server.url(more=f"&ledger={name}"))
    with quiet(tmp_path) as ledger:
        ledger.put("k", "x", {})
    found = server.sql("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'tuneworthy_%'",
                       database="work")  # fmt: skip
    assert (schema(tmp_path),) in found


def test_p23_the_password_is_in_no_file_and_no_process_title(server, tmp_path, monkeypatch):
    monkeypatch.setenv(LEDGER_VARIABLE, server.tcp(quote(PASSWORD, safe="")))
    with quiet(tmp_path) as ledger:
        ledger.put("k", "x", {})
        assert PASSWORD not in repr(ledger.journal.database.__dict__)
        titles = subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True).stdout
        listed = server.sql("SELECT application_name FROM pg_stat_activity")
    written = [p.read_text("utf-8", "replace") for p in tmp_path.rglob("*") if p.is_file()]
    for text in (titles, str(listed), *written):
        assert PASSWORD not in text
        assert quote(PASSWORD, safe="") not in text


# Studies


def verdict(folder):
    return studies.timeless(next((folder / "results").glob("*/verdict.json")).read_bytes())


def test_p31_a_study_whose_session_is_lost_ends_in_the_verdict_of_one_in_a_file(
    server, tmp_path, monkeypatch
):
    monkeypatch.delenv(LEDGER_VARIABLE)
    arms = [*studies.LIGHT, "tfidf"]
    plain = studies.write(tmp_path / "file", 30, arms=arms)
    run(plain, OPTIONS)
    at = server.url(more=f"&ledger={tmp_path.name}")
    task = studies.write(tmp_path / "server", 30, arms=arms, ledger=at)
    steps = []

    def watch(event, data):
        steps.append(event)
        if steps.count("step") == 2 and event == "step":
            end_sessions(server)

    with pytest.raises(StoreError, match="lost"):
        run(task, OPTIONS, watch)
    run(task, OPTIONS)
    assert verdict(tmp_path / "server") == verdict(tmp_path / "file")
    assert not (tmp_path / "server" / ".tuneworthy" / "ledger.sqlite").exists()
    results = find_results(tmp_path / "server")
    assert "does not name it" in against_ledger(results, read_results(results))
    monkeypatch.setenv(LEDGER_VARIABLE, server.url())
    assert against_ledger(results, read_results(results), whole=True) == ""
    edit(tmp_path / "server", "UPDATE rows SET value = '{}' WHERE seq = 3")
    with pytest.raises(StoreError, match="row 3"):
        against_ledger(results, read_results(results), whole=True)
