"""Find the ledger of a study folder: `.tuneworthy/ledger.sqlite`, or one on a Postgres server.

`TUNEWORTHY_LEDGER` names the server for every task, `ledger:` in task.yaml for one. The folder
notes the ledger it was opened with (`.tuneworthy/ledger.json`, without password). That note alone
never makes us connect: a folder may come from somebody else.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tuneworthy.core.addresses import refuse_address
from tuneworthy.core.errors import TaskError
from tuneworthy.core.ledger_url import LedgerUrl, parse_ledger_url
from tuneworthy.core.record import digest, plain_file
from tuneworthy.ledger.trouble import store_errors

if TYPE_CHECKING:  # SQLAlchemy is slow to import, which would delay `--help`
    from tuneworthy.ledger.database import Database

HOME_FOLDER, STORE_FILE, SERVER_NOTE_FILE = ".tuneworthy", "ledger.sqlite", "ledger.json"
LEDGER_VARIABLE = "TUNEWORTHY_LEDGER"
_NOTE_BYTES = 10_000


@dataclass(frozen=True)
class Place:
    """The location of a ledger: the SQLite file in `home` without `url`, else `name` there."""

    home: Path
    url: LedgerUrl | None = None
    name: str = ""

    @property
    def shown(self) -> str:
        """Return the location as messages show it, without a password."""
        return f"{self.url.shown}, ledger {self.name}" if self.url else str(self.home / STORE_FILE)

    def database(self) -> Database:
        """Return the database at this location. Raises NotInstalled if psycopg is missing."""
        if self.url is None:
            from tuneworthy.ledger.sqlite_database import SqliteDatabase

            return SqliteDatabase(self.home / STORE_FILE)
        from tuneworthy.ledger.postgres_database import PostgresDatabase

        return PostgresDatabase(self.home, self.url, self.name)


def place_to_write(folder: Path, at: str | None, task: str | None) -> Place:
    """Return where to write a folder's ledger: by the environment, else `at`, else SQLite.

    `task` is the name of the task; it names the ledger on a server unless the address or the
    folder's note does. Raises TaskError for an address that is none.
    """
    home = Path(folder) / HOME_FOLDER
    url = _server_url(at)
    return Place(home, url, _schema_name(home, url, task)) if url else Place(home)


def place_to_read(folder: Path, at: str | None, task: str | None) -> Place:
    """Return where to read a folder's ledger; an existing SQLite file stays in use.

    A folder without a note, read without its task (`at` and `task` None), has none on a server.
    """
    home = Path(folder) / HOME_FOLDER
    noted, named = noted_server(home) is not None, at is not None or task is not None
    if noted or (named and not os.path.lexists(home / STORE_FILE)):
        url = _server_url(at)
        return Place(home, url, _schema_name(home, url, task)) if url else Place(home)
    return Place(home)


def why_unread(folder: Path) -> str:
    """Return why a folder's ledger can't be read without its task, "" if it can."""
    place = place_to_read(folder, None, None)
    if place.url is not None or os.path.exists(place.home / STORE_FILE):
        return ""
    if server := noted_server(place.home):
        return f"the ledger of these results is on {server}, and {LEDGER_VARIABLE} does not name it"
    return "no ledger lies beside these results"


def note_place(place: Place, say: Callable[[str], None]) -> None:
    """Write the ledger's location into the folder's note; report by `say` if it has changed."""
    path, before = place.home / SERVER_NOTE_FILE, noted_server(place.home)
    now = place.url.shown if place.url else None
    if before == now and (now is None or path.exists()):
        return
    was = before or (
        str(place.home / STORE_FILE) if os.path.lexists(place.home / STORE_FILE) else None
    )
    if was and was != (now or str(place.home / STORE_FILE)):
        say(f"this folder's ledger was {was}; this run uses {place.shown}: nothing was copied, and"
            " what the other holds is measured again")  # fmt: skip
    with store_errors(path):
        if now is None:
            path.unlink(missing_ok=True)
        else:
            path.write_text(json.dumps({"server": now, "name": place.name}) + "\n", "utf-8")


def noted_server(home: Path) -> str | None:
    """Return the server named in the note of a `.tuneworthy` folder, None for SQLite."""
    return _server_note(home).get("server")


def _server_note(home: Path) -> dict[str, str]:
    with suppress(OSError, ValueError):
        note = json.loads(plain_file(home / SERVER_NOTE_FILE, _NOTE_BYTES))
        if isinstance(note, dict) and all(isinstance(note.get(k), str) for k in ("server", "name")):
            return note
    return {}


def _schema_name(home: Path, url: LedgerUrl, task: str | None) -> str:
    note = _server_note(home)
    noted = note["name"] if note.get("server") == url.shown else None
    folder = home.resolve().parent
    return url.name or noted or task or f"{folder.name[:31]}-{digest(str(folder), 8)}"


def _server_url(at: str | None) -> LedgerUrl | None:
    """Return the parsed address of the environment or of the task; None for SQLite."""
    named = os.environ.get(LEDGER_VARIABLE, "")
    if not (text := named or at):
        return None
    try:
        url = parse_ledger_url(text)
        for host in url.hosts:
            refuse_address(host)
        return url
    except ValueError as error:
        raise TaskError(
            "the ledger's address can't be read",
            where=f"environment variable {LEDGER_VARIABLE}" if named else "task.yaml ledger",
            got="(not shown: it may hold a password)",
            fix=f"it is {error}; leave it out for SQLite",
        ) from None
