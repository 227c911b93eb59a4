"""Parse the address of a ledger on a Postgres server; it is shown without its password."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import unquote

URL_EXAMPLE = "postgresql://USER@HOST/DATABASE"
_URL_PATTERN = re.compile(
    r"postgres(?:ql)?://(?:(?P<user>[^:@/?#\s]*)(?::(?P<password>[^@/?#\s]*))?@)?"
    r"(?P<hosts>[^@/?#\s]*)(?:/(?P<database>[^@/?#\s]*))?(?:\?(?P<query>[^@#\s]*))?"
)
_LEDGER_NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SECRET_FIELDS = {"password", "sslpassword"}
_PUBLIC_FIELDS = {"host", "hostaddr", "port", "dbname", "user", "service"}


@dataclass(frozen=True)
class LedgerUrl:
    """The address of a ledger: `conninfo` is what libpq gets, `shown` has no password.

    `name` names a ledger of the database ("" if the address names none); `secrets` are the
    passwords, in every spelling that the address has of them; `hosts` the servers' names.
    """

    conninfo: str = field(repr=False)
    shown: str
    name: str
    secrets: tuple[str, ...] = field(repr=False)
    hosts: tuple[str, ...] = ()


def parse_ledger_url(text: str) -> LedgerUrl:
    """Return the parsed address; raise ValueError, without the address in its text, if malformed.

    `?ledger=NAME` is ours; every other parameter is handed to libpq.
    """
    found = _URL_PATTERN.fullmatch(text)
    if found is None:
        raise ValueError(
            f"no address of the form {URL_EXAMPLE}"
            " (in a password, @ : / ? # are %40 %3A %2F %3F %23)"
        )
    pairs = [pair.partition("=") for pair in (found["query"] or "").split("&") if pair]
    names = [value for key, _, value in pairs if key == "ledger"]
    if any(not _LEDGER_NAME_PATTERN.fullmatch(name) for name in names) or len(names) > 1:
        raise ValueError("`?ledger=` takes one name of letters, digits, `.`, `_`, `-`, up to 64")
    hidden = [found["password"] or "", *(value for key, _, value in pairs if key in _SECRET_FIELDS)]
    user = f"{found['user']}@" if found["user"] else ""
    shown = f"postgresql://{user}{found['hosts']}/{found['database'] or ''}"
    own = f"postgresql://{text.partition('://')[2].partition('?')[0]}"
    named = [found["hosts"], *(value for key, _, value in pairs if key in {"host", "hostaddr"})]
    return LedgerUrl(
        hosts=tuple(
            _host_name(host) for text in named for host in unquote(text).split(",") if host
        ),
        conninfo=own + _query_text([p for p in pairs if p[0] != "ledger"]),
        shown=shown + _query_text([p for p in pairs if p[0] in _PUBLIC_FIELDS]),
        name=names[0] if names else "",
        secrets=tuple(dict.fromkeys(s for text in hidden if text for s in (text, unquote(text)))),
    )


def _host_name(host: str) -> str:
    """Return a host without its port and the brackets of an IPv6 address."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host if host.count(":") > 1 else host.partition(":")[0]


def _query_text(pairs: list[tuple[str, str, str]]) -> str:
    text = "&".join("".join(pair) for pair in pairs)
    return f"?{text}" if text else ""
