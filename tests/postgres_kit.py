"""A real Postgres server of this machine's packages, for tests of the ledger; and both databases.

`database` runs a test on SQLite and, in the full tier, on Postgres: it sets TUNEWORTHY_LEDGER, so
the test itself opens a ledger as ever. Without a server's programs the latter are skipped.
"""

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tuneworthy.ledger.place import LEDGER_VARIABLE, place_to_write

PASSWORD = "s3cret-Pa/ss wörd"
HBA = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
SETTINGS = """
listen_addresses = '127.0.0.1'
max_connections = 40
shared_buffers = 32MB
log_min_messages = warning
"""


def programs():
    """Return the folder of the newest server's programs, None if there is none."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda p: int(p.parts[4])
    )
    if found:
        return found[-1].parent
    there = shutil.which("postgres")
    return Path(there).resolve().parent if there else None


def free_port():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return bound.getsockname()[1]


@dataclass
class Server:
    """A server in a temporary folder, run by a user who is not root, as Postgres demands."""

    bin: Path
    folder: Path
    port: int = field(default_factory=free_port)

    def start(self):
        """Start it and wait until it takes connections."""
        self._as_user("pg_ctl", "-D", "data", "-l", "log", "-w", "-t", "60", "start")

    def stop(self, how="fast"):
        """Stop it: `fast` ends sessions, `immediate` is a crash."""
        self._as_user("pg_ctl", "-D", "data", "-m", how, "-w", "-t", "60", "stop")

    def make(self):
        """Make the cluster: a user of each kind, a database in UTF8 and one in Latin."""
        self._as_user("initdb", "-D", "data", "-U", "postgres", "-E", "UTF8", "--locale=C",
                      "--no-sync", "-A", "trust")  # fmt: skip
        data = self.folder / "data"
        with (data / "postgresql.conf").open("a") as file:
            file.write(f"{SETTINGS}unix_socket_directories = '{self.folder}'\nport = {self.port}\n")
        (data / "pg_hba.conf").write_text(HBA)
        self.start()
        self.sql("CREATE DATABASE latin ENCODING 'SQL_ASCII' TEMPLATE template0",
                 f"CREATE ROLE worker LOGIN PASSWORD '{PASSWORD}'",
                 "CREATE ROLE guest LOGIN", "CREATE DATABASE work OWNER worker")  # fmt: skip
        return self

    def sql(self, *statements, database="postgres"):
        """Run statements as the server's owner, each in a transaction of its own."""
        import psycopg

        where = f"host={self.folder} port={self.port} user=postgres dbname={database}"
        with psycopg.connect(where, autocommit=True) as session:
            for statement in statements:
                last = session.execute(statement)
            return last.fetchall() if last.description else []

    def url(self, user="worker", database="work", more=""):
        """Return the address by its socket, which trusts everybody."""
        return f"postgresql://{user}@/{database}?host={self.folder}&port={self.port}{more}"

    def tcp(self, password, user="worker", database="work"):
        """Return the address by TCP, which demands a password (None: the address has none)."""
        given = "" if password is None else f":{password}"
        return f"postgresql://{user}{given}@127.0.0.1:{self.port}/{database}"

    def _as_user(self, program, *words):
        command = [str(self.bin / program), *words]
        if os.getuid() == 0:
            command = ["runuser", "-u", "postgres", "--", *command]
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "TUNE"))}
        with open(self.folder / "out", "a+b") as out:  # a pipe would stay open in the server
            done = subprocess.run(command, cwd=self.folder, env=environment, stdout=out,
                                  stderr=out, stdin=subprocess.DEVNULL)  # fmt: skip
        assert done.returncode == 0, (self.folder / "out").read_text()


@pytest.fixture(scope="session")
def postgres():
    """A running server, ended with the tests; skipped where there is none."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    if (found := programs()) is None:
        pytest.skip("no Postgres server here: apt-get install postgresql")
    shared = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="tw-pg-", dir=shared if shared.is_dir() else None))
    folder.chmod(0o755)
    if os.getuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    server = Server(found, folder)
    try:
        yield server.make()
    finally:
        if (folder / "data" / "postmaster.pid").exists():
            server.stop("immediate")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.full)])
def database(request, monkeypatch):
    """Run the test on SQLite, and on Postgres in the full tier; return the name."""
    if request.param == "postgres":
        server = request.getfixturevalue("postgres")
        monkeypatch.setenv(LEDGER_VARIABLE, server.url())
    return request.param


def on_postgres():
    """Return whether the test at work runs on Postgres."""
    return bool(os.environ.get(LEDGER_VARIABLE))


def schema(folder):
    """Return the schema of a folder's ledger."""
    return place_to_write(folder, None, None).database().schema


def edit(folder, *statements):
    """Change the stored rows behind the ledger's back; return what the last statement found."""
    if on_postgres():
        import psycopg

        address = place_to_write(folder, None, None).url.conninfo
        with psycopg.connect(address, autocommit=True) as session:
            session.execute(f'SET search_path TO "{schema(folder)}"')
            for statement in statements:
                last = session.execute(statement)
            return last.fetchall() if last.description else []
    with sqlite3.connect(folder / ".tuneworthy" / "ledger.sqlite") as connection:
        for statement in statements:
            last = connection.execute(statement)
        found = last.fetchall()
    connection.close()
    return found


def lose(folder):
    """Remove the stored rows of a folder's ledger, as a lost disk or a dropped schema does."""
    if on_postgres():
        edit(folder, f'DROP SCHEMA "{schema(folder)}" CASCADE')
    else:
        (folder / ".tuneworthy" / "ledger.sqlite").unlink()


def unsynced(ledger):
    """Leave out the syncs of an open ledger: for tests that are about sums, not about the disk."""
    setting = "SET synchronous_commit TO off" if on_postgres() else "PRAGMA synchronous=OFF"
    raw = ledger.journal.engine.raw_connection()
    raw.driver_connection.cursor().execute(setting).close()
    if on_postgres():
        raw.driver_connection.commit()


def end_sessions(server):
    """End every session of the tests' user, as an administrator or a broken network does."""
    server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'worker'")


def wait_for(true, seconds=10):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def kill(pid):
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
