"""Translate errors of a Postgres server into the one error that a user sees: StoreError, exit 7.

Knows no driver: an error is known by its SQLSTATE, or by its text where a connection failed. No
password reaches a message.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tuneworthy.core.errors import StoreError
from tuneworthy.ledger.trouble import store_errors

_USER = (
    "the ledger's server refuses this user or password",
    "correct the user, or the password: PGPASSWORD, ~/.pgpass or TUNEWORTHY_LEDGER has it",
)
_DATABASE = (
    "the ledger's server has no such database",
    "make it (`createdb --encoding UTF8 NAME`), or correct the address",
)
_RIGHTS = (
    "no right to make or use the ledger's tables",
    "let this user make schemas (GRANT CREATE ON DATABASE …), or let it own an empty one of this"
    " name",
)
_SLOTS = ("the ledger's server takes no more connections", "close some, then run again")
_STARTING = ("the ledger's server is starting or stopping", "wait until it runs, then run again")
_LOST_CONNECTION = (
    "the connection to the ledger's server was lost",
    "start the server or mend the network, then run the same command again",
)
_UNREACHED = (
    "the ledger's server can't be reached",
    "start it, or correct the address: `ledger:` in task.yaml or TUNEWORTHY_LEDGER",
)
_REFUSED = ("the ledger's server refused a request", "look at its log, then run again")
_STATES = {
    "28": _USER, "3D": _DATABASE, "42501": _RIGHTS, "53300": _SLOTS, "57P03": _STARTING,
    "53100": ("the disk of the ledger's server is full", "free some space there, then run again"),
    "53": ("the ledger's server lacks memory or space", "free some there, then run again"),
    "25006": ("the ledger's server is read-only", "use the address of the primary server"),
    "55P03": ("the ledger is locked by another program", "close what has it open, then run again"),
    "57P": _LOST_CONNECTION, "08": _LOST_CONNECTION,
}  # fmt: skip
_DAMAGED_STORE_CODES = ("XX001", "XX002", "42P01", "42703", "3F000")
_CONNECTING = (
    ("password authentication failed", _USER), ("no password supplied", _USER),
    ("pg_hba.conf", _USER), ("role ", _USER), ("authentication failed", _USER),
    ("database \"", _DATABASE), ("too many clients", _SLOTS), ("connection slots", _SLOTS),
    ("the database system is", _STARTING),
)  # fmt: skip


class PostgresTrouble:
    """Makes the errors of a ledger on Postgres; `shown` is its location, `schema` its schema."""

    def __init__(self, shown: str, schema: str, secrets: Sequence[str]) -> None:
        self._shown, self._schema, self._secrets = shown, schema, secrets

    @contextmanager
    def errors(self, home: Path) -> Iterator[None]:
        """Turn OSError and errors of the server inside the block into StoreError."""
        try:
            with store_errors(home):
                yield
        except StoreError:
            raise
        except Exception as error:
            inner = getattr(error, "orig", None) or error  # SQLAlchemy wraps the driver's error
            if not type(inner).__module__.startswith("psycopg"):
                raise
            raise self.of(inner) from self._cause(error)

    def of(self, error: BaseException) -> StoreError:
        """Return the StoreError for an error of the driver in an open session."""
        state = str(getattr(error, "sqlstate", None) or "")
        if state.startswith(_DAMAGED_STORE_CODES):
            return self.malformed(self._got(error))
        fits = [text for start, text in _STATES.items() if state and state.startswith(start)]
        return self._error(fits[0] if fits else _REFUSED if state else _LOST_CONNECTION, error)

    def of_connecting(self, error: BaseException) -> StoreError:
        """Return the StoreError for a connection that could not be made."""
        text = str(error)
        named = next((known for part, known in _CONNECTING if part in text), _UNREACHED)
        return self._error(named, error)

    def lost(self) -> StoreError:
        """Return the error for a session that ended and, having lost its lock, is not reopened."""
        return StoreError(
            _LOST_CONNECTION[0],
            where=self._shown,
            got="the session has ended",
            fix=_LOST_CONNECTION[1],
        )

    def malformed(self, got: str) -> StoreError:
        """Return the error for a schema that is damaged or not ours."""
        return StoreError(
            "the store is malformed",
            where=self._shown,
            got=got,
            fix=f"restore schema {self._schema} from a backup, or drop it and run again: what is"
            " gone is measured again, paid replies are read back from replies.jsonl",
            kept=f"schema {self._schema}, untouched",
        )

    def _error(self, message: tuple[str, str], error: BaseException) -> StoreError:
        return StoreError(message[0], where=self._shown, got=self._got(error), fix=message[1])

    def _got(self, error: BaseException) -> str:
        text = " ".join(str(error).split())
        return "(not shown: it holds the password)" if self._hides(text) else text

    def _cause(self, error: BaseException) -> BaseException | None:
        return None if self._hides(str(error)) else error

    def _hides(self, text: str) -> bool:
        return any(secret in text for secret in self._secrets)
