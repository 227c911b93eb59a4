"""Find the ledger of a study folder: `.tuneworthy/ledger.sqlite`."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

from tuneworthy.records.errors import TaskError
from tuneworthy.records.record import plain_file
from tuneworthy.store.database import Database

HOME_FOLDER, STORE_FILE = ".tuneworthy", "ledger.sqlite"
_SERVER_NOTE, _NOTE_BYTES = "ledger.json", 10_000  # what 0.2.0 wrote beside a ledger on a server


def database_of(folder: Path) -> Database:
    """Return the `Database` of a study folder's ledger, whether its file exists or not.

    Raises TaskError if the environment names a server, as releases up to 0.2.0 read it.
    """
    if os.environ.get("TUNEWORTHY_LEDGER"):
        raise TaskError(
            "a ledger on a database server is gone",
            where="environment variable TUNEWORTHY_LEDGER",
            got="(not shown: it may hold a password)",
            fix="unset it: a ledger is the file .tuneworthy/ledger.sqlite in the study's folder;"
            " to go on elsewhere, copy the folder",
        )
    return Database(Path(folder) / HOME_FOLDER / STORE_FILE)


def why_unread(folder: Path) -> str:
    """Return why a folder's ledger can't be read, "" if it can."""
    home = folder / HOME_FOLDER
    if os.path.exists(home / STORE_FILE):
        return ""
    if server := noted_server(home):
        return f"the ledger of these results is on {server}, which this release does not read"
    return "no ledger lies beside these results"


def noted_server(home: Path) -> str:
    """Return the server that had a folder's ledger under 0.2.0; "" if none had."""
    with suppress(OSError, ValueError):
        note = json.loads(plain_file(home / _SERVER_NOTE, _NOTE_BYTES))
        return str(note.get("server", "")) if isinstance(note, dict) else ""
    return ""
