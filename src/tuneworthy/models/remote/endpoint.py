"""The address of a remote model, and whether the API key may be sent there. Opens no connection."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tuneworthy.records.addresses import ip_address, refuse_address, refuse_resolved_host
from tuneworthy.records.errors import SecurityError, TaskError

OPENAI = "https://api.openai.com/v1"


@dataclass(frozen=True)
class Endpoint:
    """An address and the key to send there (None: no key). The key is never shown.

    `started` identifies the command of a server that we started: its address changes with each
    start, so stored answers have this name instead.
    """

    url: str
    origin: str
    key: str | None = field(repr=False)
    loopback: bool
    started: str = ""


def endpoint(url: str | None) -> Endpoint:
    """Return the endpoint of a URL; OPENAI_API_KEY is its key only at OPENAI_BASE_URL (or OpenAI).

    Raises SecurityError for forbidden addresses, and for those that would expose the key; TaskError
    if there is no key for OpenAI's own address.
    """
    home = os.environ.get("OPENAI_BASE_URL") or OPENAI
    address = url or home
    origin, host = _origin(address)
    local = _is_loopback(host)
    key = _key()
    if key and origin != _origin(home)[0]:
        key = None
    if key and address.startswith("http:") and not local:
        raise SecurityError(
            "the key would travel unencrypted",
            got=origin,
            fix="use https, or unset OPENAI_API_KEY for a server that needs none",
        )
    if key is None and origin == _origin(OPENAI)[0]:
        raise TaskError(
            "there is no key for this endpoint", got=origin, fix="set OPENAI_API_KEY and run again"
        )
    return Endpoint(address.rstrip("/"), origin, key, local)


def name_and_url(spec: str) -> tuple[str, str]:
    """Return (name, URL) of a spec KIND:NAME[@URL], the URL "" if it has none.

    The model of KIND:URL has the kind as its name.
    """
    kind, _, rest = spec.partition(":")
    name, _, url = rest.partition("@")
    return (kind, rest) if "://" in name else (name, url)


def keyless(address: str) -> Endpoint:
    """Return the endpoint of an address that gets no key. Raises SecurityError or TaskError."""
    origin, host = _origin(address)
    return Endpoint(address, origin, None, _is_loopback(host))


def lacks_key(url: str | None) -> bool:
    """Return whether the address (None: the default) is OpenAI's and OPENAI_API_KEY is not set.

    Raises SecurityError for forbidden addresses, TaskError for no address.
    """
    address = url or os.environ.get("OPENAI_BASE_URL") or OPENAI
    _origin(address)  # `check` and `plan` refuse the address that `run` would refuse
    return urlsplit(address).netloc == urlsplit(OPENAI).netloc and not _key()


def _key() -> str | None:
    """Return the key in OPENAI_API_KEY without the line end of a file; None for no key.

    Raises SecurityError, without the key in it, if no header can hold it: libraries print such a
    header whole.
    """
    key = os.environ.get("OPENAI_API_KEY", "").strip()
    if not (key.isascii() and key.isprintable()):
        raise SecurityError(
            "the key holds a character that no header can carry",
            where="environment variable OPENAI_API_KEY",
            got="(not shown) a line end, a control or a letter that is not ASCII inside the key",
            fix="set the key alone, on one line",
        )
    return key or None


def _origin(url: str) -> tuple[str, str]:
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError as error:
        raise TaskError(
            "this is no address", got=url, fix="write openai:NAME@https://HOST/v1"
        ) from error
    if parts.scheme not in {"http", "https"} or not host:
        raise TaskError("this is no address", got=url, fix="write openai:NAME@https://HOST/v1")
    if parts.username or parts.password or not host.isascii():
        raise SecurityError(
            "an address with a user name or with letters that look like others",
            got=host,
            fix="write the plain address; keys belong in OPENAI_API_KEY",
        )
    refuse_address(host)
    return f"{parts.scheme}://{host}:{port or (443 if parts.scheme == 'https' else 80)}", host


def refuse_resolved(where: Endpoint) -> None:
    """Raise SecurityError if the endpoint's host name resolves to a forbidden address."""
    parts = urlsplit(where.origin)
    refuse_resolved_host(parts.hostname, parts.port)


def on_this_machine(url: str) -> bool:
    """Return whether a URL's host is this machine, so that the user pays for its compute time."""
    return _is_loopback(urlsplit(url).hostname or "")


def _is_loopback(host: str) -> bool:
    number = ip_address(host)
    return host == "localhost" if number is None else number.is_loopback
