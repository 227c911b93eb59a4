"""Sessions on a Postgres server, and the writer's lock: the only module that imports psycopg.

The lock is an advisory one, which belongs to the session: the server releases it when the writer's
process or machine is gone (a lost machine within a minute, by keepalives).
"""

from __future__ import annotations

import json
import os
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tuneworthy.core.addresses import refuse_resolved_host
from tuneworthy.core.errors import NotInstalled, StoreError
from tuneworthy.core.ledger_url import LedgerUrl
from tuneworthy.core.record import digest
from tuneworthy.ledger.lock import WriterLock, busy_error, is_alive, writer_name
from tuneworthy.ledger.postgres_trouble import PostgresTrouble

if TYPE_CHECKING:
    import psycopg

OLDEST_SERVER = 120000  # the oldest server: Postgres 12, the first to print floats exactly
DEAD_WRITER_SECONDS = 10.0  # to wait until the server notices that a writer on this host is gone
_LOCK_CLASS = 0x74776C67  # "twlg": the first half of our advisory locks' keys
_DEFAULTS = {"connect_timeout": 10, "keepalives_idle": 30, "keepalives_interval": 10,
             "keepalives_count": 3}  # fmt: skip
_SETTINGS = """SET client_encoding TO 'UTF8'; SET synchronous_commit TO on;
SET default_transaction_isolation TO 'read committed'; SET lock_timeout TO '10s';
SET tcp_keepalives_idle TO 30; SET tcp_keepalives_interval TO 10; SET tcp_keepalives_count TO 3;
SELECT set_config(name, '0', false) FROM pg_catalog.pg_settings
WHERE name IN ('idle_session_timeout', 'idle_in_transaction_session_timeout')"""
_HOLDER_QUERY = """SELECT a.application_name, a.backend_start FROM pg_catalog.pg_locks l
JOIN pg_catalog.pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.classid::bigint = %s AND l.objid::bigint = %s
AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())"""
_held: set[int] = set()


def open_session(
    url: LedgerUrl, schema: str, trouble: PostgresTrouble, *, write: bool
) -> psycopg.Connection[Any]:
    """Return a new session whose search path is the schema; a reader's session can't write.

    Raises StoreError if the server can't be reached, refuses, is too old or not UTF8;
    NotInstalled if psycopg is missing.
    """
    try:
        import psycopg
        from psycopg import conninfo, sql
    except ImportError:
        raise NotInstalled(
            "a ledger on Postgres needs psycopg, which is not installed",
            fix='pip install "tuneworthy[postgres]"',
        ) from None
    for host in url.hosts:
        refuse_resolved_host(host, None)
    me = writer_name()
    ours = f"tuneworthy {me['host'][:30]} {me['pid']} {me['started']}"
    try:
        options: dict[str, Any] = {**_DEFAULTS, **conninfo.conninfo_to_dict(url.conninfo)}
        options["application_name"] = ours
        session = psycopg.connect(conninfo.make_conninfo(**options), autocommit=True)
    except psycopg.Error as error:
        raise trouble.of_connecting(error) from None
    try:
        session.execute(_SETTINGS)
        path = sql.SQL("SET search_path TO {}, pg_temp").format(sql.Identifier(schema))
        session.execute(path)
        _check_server(session, url.shown, write)
        session.autocommit = False
    except BaseException:
        session.close()
        raise
    return session


def _check_server(session: psycopg.Connection[Any], shown: str, write: bool) -> None:
    encoding = session.info.parameter_status("server_encoding")
    version = session.info.server_version
    if version < OLDEST_SERVER:
        got, fix = f"Postgres {version // 10000}", "use Postgres 12 or later"
        raise StoreError("the ledger's server is too old", where=shown, got=got, fix=fix)
    if encoding != "UTF8":
        fix = "make one: createdb --encoding UTF8 --template template0 NAME"
        what = "the ledger's database is not in UTF8"
        raise StoreError(what, where=shown, got=str(encoding), fix=fix)
    if not write:
        session.execute("SET default_transaction_read_only TO on")
    elif _single_value(session, "SHOW transaction_read_only") != "off":
        raise StoreError("the ledger's server is read-only", where=shown,
                         fix="use the address of the primary server")  # fmt: skip


def unsynced(session: psycopg.Connection[Any]) -> bool:
    """Return whether the server does not sync its disk, so that a power loss can lose rows."""
    synced = _single_value(session, "SHOW fsync")
    session.commit()
    return str(synced) == "off"


class PostgresLock:
    """The writer's session, with its advisory lock, and the lock of the local folder.

    `dirty`: the last writer, here or on another machine, never released it.
    """

    def __init__(
        self, session: psycopg.Connection[Any], local: WriterLock, schema: str, shown: str
    ) -> None:
        self.session, self._local, self.dirty = session, local, local.dirty
        self.name = json.dumps(writer_name())
        self._key = int(digest(schema, 8), 16) & 0x7FFFFFFF
        self._wait_for_lock(shown)
        self._fd = session.fileno()
        _held.add(self._fd)

    def _wait_for_lock(self, shown: str) -> None:
        end = time.monotonic() + DEAD_WRITER_SECONDS
        keys = (_LOCK_CLASS, self._key)
        while not _single_value(self.session, "SELECT pg_try_advisory_lock(%s, %s)", keys):
            who = _lock_holder(self.session, keys)
            self.session.commit()
            if (who and who["alive"]) or time.monotonic() > end:
                raise busy_error(shown, who)
            time.sleep(0.05)  # the server has not yet noticed that this writer is gone
        self.session.commit()

    def release(self, *, clean: bool = True) -> None:
        """End the session, and with it the lock; unless `clean`, the next writer checks first."""
        if self._local.fd < 0:
            return
        _held.discard(self._fd)
        with suppress(Exception):  # a lost session has released its lock, and stays noted as dirty
            self.session.rollback()
            if clean:
                self.session.execute("UPDATE ledger SET holder = '' WHERE holder = %s", [self.name])
            self.session.execute("SELECT pg_advisory_unlock_all()")
            self.session.commit()
        self.session.close()
        self._local.release(clean=clean)


def _lock_holder(session: psycopg.Connection[Any], keys: tuple[int, int]) -> dict[str, Any] | None:
    """Return the lock's holder (host, pid, since, alive) by its session's name, or None."""
    found = session.execute(_HOLDER_QUERY, keys).fetchone()
    if found is None:
        return None
    words = str(found[0]).split(" ")
    host = socket.gethostname()[:30]
    who: dict[str, Any] = {"since": f"{found[1]:%Y-%m-%dT%H:%M:%S%z}", "host": "unknown", "pid": 0}
    if len(words) == 4 and words[0] == "tuneworthy" and words[2].isdecimal():
        started = words[3].replace(".", "", 1)
        who |= {"host": words[1], "pid": int(words[2])}
        who |= {"started": float(words[3])} if started.isdecimal() else {}
    local = who["host"] == host
    return who | {"alive": not local or is_alive({**who, "host": socket.gethostname()})}


def _single_value(session: psycopg.Connection[Any], query: Any, values: Any = None) -> Any:
    found = session.execute(query, values).fetchone()
    return found[0] if found else None


def _forget_in_child() -> None:
    # A forked child shares the socket and would keep the session after the writer has died. The
    # driver closes nothing in a child, so the server is told nothing.
    for fd in _held:
        with suppress(OSError):
            os.close(fd)
    _held.clear()


os.register_at_fork(after_in_child=_forget_in_child)
